// Whatever lies in the flash: the log opens, gives frames inside their bounds, and takes new ones.
#include <weir_flash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::uint32_t page_size = 512, pages = 4;

struct Flash {
  std::array<std::uint8_t, page_size * pages> bytes;
  static int read(void* context, std::uint32_t address, void* data, std::uint32_t size) {
    if (address + size > page_size * pages) std::abort();
    std::copy_n(static_cast<Flash*>(context)->bytes.begin() + address, size, static_cast<std::uint8_t*>(data));
    return 0;
  }
  static int write(void* context, std::uint32_t address, const void* data, std::uint32_t size) {
    if (address + size > page_size * pages) std::abort();
    std::copy_n(static_cast<const std::uint8_t*>(data), size, static_cast<Flash*>(context)->bytes.begin() + address);
    return 0;
  }
  static int erase(void* context, std::uint32_t page) {
    std::fill_n(static_cast<Flash*>(context)->bytes.begin() + page * page_size, page_size, std::uint8_t{0xff});
    return 0;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Flash flash;
  flash.bytes.fill(0xff);
  std::copy_n(data, std::min(size, flash.bytes.size()), flash.bytes.begin());
  const WeirFlashConfig config{&flash, Flash::read, Flash::write, Flash::erase, page_size, pages, 4, WEIR_DROP_OLDEST};
  WeirFlash log;
  const WeirStore* store = nullptr;
  if (weir_flash_open(&log, &config, &store) != WEIR_OK) std::abort();
  std::array<std::uint8_t, page_size> frame{};
  WeirFrameInfo info{};
  WeirDropped dropped{};
  for (int i = 0; i < 20; ++i) {
    info = {7, static_cast<std::uint32_t>(i + 1), 72, 1, 0, 1};
    if (store->append(store->context, &info, frame.data(), false, &dropped) != WEIR_OK) std::abort();
  }
  std::uint32_t last = 0;
  int frames = 0;
  for (; store->front(store->context, &info); ++frames) {
    if (info.size > page_size || frames > 100) std::abort();
    if (store->read(store->context, frame.data()) != WEIR_OK) std::abort();
    if (info.boot == 7) last = info.sequence;
    if (store->pop(store->context) != WEIR_OK) std::abort();
  }
  if (last != 20) std::abort();
  return 0;
}
