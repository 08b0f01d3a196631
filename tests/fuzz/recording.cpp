// Whatever a file holds: it is no recording, or all that is said of it holds, and whoever goes on behind it keeps that.
//
// No sum would ever be right by chance, nor a body that zstd packed. So sums are put right wherever a label stands, and
// a body that zstd has not packed is packed, as what it should be.
#include <recording_generated.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include <weir/checksum.hpp>
#include <weir/format.hpp>
#include "recording/recording.hpp"

#include "fuzz/keeper.hpp"

namespace weir::recording {
namespace {

using fuzz::require;

constexpr std::size_t label_size = 24, summed = 16;

template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T out{};
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

template <typename T>
void set_number(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::string packed(std::string_view content) {
  std::string out(ZSTD_compressBound(content.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), content.data(), content.size(), 1));
  return out;
}

/// Says in a block's head how much its body holds, if it is one.
void tell_content(std::string& head, std::size_t bytes) {
  flatbuffers::Verifier verifier{reinterpret_cast<const std::uint8_t*>(head.data()), head.size()};
  if (!verifier.VerifyBuffer<recorded::Block>(nullptr)) return;
  auto* block = flatbuffers::GetMutableRoot<flatbuffers::Table>(head.data());
  block->SetField<std::uint32_t>(recorded::Block::VT_CONTENT_BYTES, static_cast<std::uint32_t>(bytes), 0);
}

/// The frame at the beginning of `bytes`, put right; takes it off them. Empty: there is none.
std::string mended_frame(std::string_view& bytes) {
  if (bytes.size() < label_size || !bytes.starts_with("wrec")) return {};
  const auto head_size = number_at<std::uint32_t>(bytes, 8), body_size = number_at<std::uint32_t>(bytes, 12);
  if (std::uint64_t{head_size} + body_size > bytes.size() - label_size) return {};
  std::string out{bytes.substr(0, label_size)}, head{bytes.substr(label_size, head_size)},
      body{bytes.substr(label_size + head_size, body_size)};
  bytes.remove_prefix(label_size + head_size + body_size);
  constexpr std::string_view magic_of_zstd{"\x28\xb5\x2f\xfd", 4};
  constexpr std::uint32_t block = 2;
  if (number_at<std::uint32_t>(out, 4) == block && !body.starts_with(magic_of_zstd)) {
    tell_content(head, body.size());
    body = packed(body);
    set_number(out, 12, static_cast<std::uint32_t>(body.size()));
  }
  set_number(out, summed, checksum(out.substr(0, summed) + head));
  return out + head + body;
}

std::string mended(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    if (const std::string frame = mended_frame(bytes); !frame.empty()) {
      out += frame;
    } else {
      out += bytes.front();
      bytes.remove_prefix(1);
    }
  }
  return out;
}

/// A file that is only in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_{::memfd_create("recording", MFD_CLOEXEC)} {
    require(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return weir::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

void check_messages(const Block& block, const Messages& messages) {
  require(messages.items.size() == block.messages);
  const Message* before = nullptr;
  std::uint32_t markers = 0;
  for (const Message& message : messages.items) {
    require(message.sequence >= block.first && message.sequence <= block.last);
    require(message.arrival >= block.before && message.arrival <= block.reached);
    if (before != nullptr) require(before->sequence < message.sequence && before->arrival <= message.arrival);
    markers += message.marker ? 1 : 0;
    before = &message;
  }
  require(markers == block.markers);
}

void check_blocks(const Reader& file, std::uint64_t size) {
  std::map<Partition, Position> last;
  std::uint64_t end = 0;
  for (const Block& block : file.blocks()) {
    require(block.at >= end && block.at + block.bytes <= size - file.unfinished());
    end = block.at + block.bytes;
    require(block.first <= block.last);
    const auto [before, first] = last.try_emplace(block.partition, block.last);
    require(first || before->second < block.first);
    before->second = block.last;
    (void)file.keys(block);
    if (const auto messages = file.read(block))
      check_messages(block, **messages);
    else
      require(messages.error().kind == Error::Kind::changed && !messages.error().message.empty());
  }
  for (const Damage& damage : file.damages()) {
    require(damage.from < damage.to && damage.to <= size);
    for (const Block& block : file.blocks()) require(damage.to <= block.at || damage.from >= block.at + block.bytes);
  }
}

void check(std::string_view bytes) {
  const std::string all = mended(bytes);
  const MemoryFile memory{all};
  const auto file = Reader::open(memory.path());
  if (!file) {
    require(file.error().kind == Error::Kind::invalid && !file.error().message.empty());
    return;
  }
  require(file->unfinished() <= all.size());
  check_blocks(*file, all.size());
  if (file->cut()) return;
  {
    const auto writer = Writer::open(memory.path(), file->beginning());
    require(writer.has_value() && writer->reached().size() == file->reached().size());
  }
  const auto again = Reader::open(memory.path());
  require(again.has_value() && again->unfinished() == 0 && again->blocks().size() == file->blocks().size());
}

}  // namespace
}  // namespace weir::recording

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::recording::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
