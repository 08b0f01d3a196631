// The outbox in flash: a restart, a power cut at every byte written, damaged pages.
#include <gtest/gtest.h>
#include <weir_flash.h>

#include <algorithm>
#include <random>

#include "device.hpp"

namespace weir::firmware {
namespace {

/// Flash as strict as the strictest part: a unit is written once between erases. At `bytes_until_cut` it stops in the
/// middle of what it does.
class Flash {
 public:
  Flash(std::uint32_t page_size, std::uint32_t pages, std::uint32_t unit) : bytes(page_size * pages, 0xff) {
    written_.resize(bytes.size(), false);
    config.context = this;
    config.page_size = page_size;
    config.page_count = pages;
    config.write_size = unit;
    config.read = [](void* context, std::uint32_t address, void* data, std::uint32_t size) {
      auto& self = *static_cast<Flash*>(context);
      if (address + size > self.bytes.size()) throw std::runtime_error{"read behind the end"};
      std::copy_n(self.bytes.begin() + address, size, static_cast<std::uint8_t*>(data));
      return 0;
    };
    config.write = [](void* context, std::uint32_t address, const void* data, std::uint32_t size) {
      return static_cast<Flash*>(context)->write(address, static_cast<const std::uint8_t*>(data), size);
    };
    config.erase = [](void* context, std::uint32_t page) { return static_cast<Flash*>(context)->erase(page); };
  }

  WeirFlashConfig config{};
  std::vector<std::uint8_t> bytes;
  std::uint32_t bytes_until_cut = WEIR_NEVER;
  bool is_dead = false;
  std::uint32_t erases = 0;

 private:
  bool lives() {
    if (bytes_until_cut == 0) is_dead = true;
    if (bytes_until_cut != WEIR_NEVER && bytes_until_cut > 0) bytes_until_cut--;
    return !is_dead;
  }
  int write(std::uint32_t address, const std::uint8_t* data, std::uint32_t size) {
    if (address % config.write_size != 0 || size % config.write_size != 0) throw std::runtime_error{"not aligned"};
    for (std::uint32_t i = 0; i < size; ++i) {
      if (!lives()) return -1;
      if (written_.at(address + i)) throw std::runtime_error{"written twice"};
      written_[address + i] = true;
      bytes[address + i] = data[i];
    }
    return 0;
  }
  int erase(std::uint32_t page) {
    erases++;
    // From its end, so that the page's first record is the last to go.
    for (std::uint32_t i = config.page_size; i-- > 0;) {
      if (!lives()) return -1;
      written_.at(page * config.page_size + i) = false;
      bytes[page * config.page_size + i] = 0xff;
    }
    return 0;
  }
  std::vector<bool> written_;
};

std::vector<int> values(const FakeServer& server) {
  std::vector<int> out;
  for (const auto& line : server.stored) out.push_back(std::stoi(line.substr(line.rfind(' ') + 1)));
  return out;
}

/// A device whose outbox is in flash, from one start to the next.
struct Persistent : Device {
  explicit Persistent(Flash& flash_of) : flash{flash_of} { config.nats.backoff_max_ms = 500; }
  int boot() {
    weir_memory_port_cut(&memory);
    memory.stalls = false;
    if (const int result = weir_flash_open(&log, &flash.config, &config.store); result != WEIR_OK) return result;
    return start();
  }
  void take(int value) {
    weir_sensor_sample(&sensor, memory.now, value);
    weir_sensor_flush(&sensor);
    advance(20 * ms);
  }
  Flash& flash;
  WeirFlash log{};
};

TEST(Persistence, keepsFramesAndTheirIdentifiersOverARestart) {
  Flash flash{512, 8, 8};
  Persistent device{flash};
  ASSERT_EQ(device.boot(), WEIR_OK);
  device.server.acknowledges = false;  // stored, but the device never learns of it
  device.advance(100 * ms);
  for (int i = 1; i <= 5; ++i) device.take(i);
  EXPECT_EQ(values(device.server), std::vector<int>{1});
  const auto first_id = device.server.published.back().id();
  device.server.acknowledges = true;
  ASSERT_EQ(device.boot(), WEIR_OK);
  device.take(6);
  device.advance(5'000 * ms);
  EXPECT_EQ(values(device.server), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(device.server.duplicates, 1U);
  EXPECT_EQ(device.server.published.at(1).id(), first_id);
  EXPECT_NE(device.server.published.back().id().substr(0, 16), first_id.substr(0, 16)) << "another start of the device";
  ASSERT_EQ(device.boot(), WEIR_OK);
  EXPECT_TRUE(weir_sensor_is_empty(&device.sensor));
}

/// Takes samples, with the link down for a while; ends where the power is cut. Returns how many were taken.
int scenario(Persistent& device, int samples) {
  int taken = 0;
  while (taken < samples && !device.flash.is_dead) {
    if (taken == samples / 3) weir_memory_port_cut(&device.memory), device.memory.open_fails = true;
    if (taken == samples / 2) device.memory.open_fails = false;
    device.take(++taken);
    device.memory.stalls = device.flash.is_dead;
  }
  for (int i = 0; i < 50 && !device.flash.is_dead; ++i) device.advance(20 * ms);
  return taken;
}

void cut_everywhere(std::uint32_t page_size, std::uint32_t pages, std::uint32_t unit, std::uint32_t stride) {
  constexpr int samples = 24;
  bool was_cut = true;
  std::uint32_t cuts = 0;
  for (std::uint32_t at = 0; was_cut; at += stride, ++cuts) {
    SCOPED_TRACE("cut after " + std::to_string(at) + " bytes");
    Flash flash{page_size, pages, unit};
    flash.bytes_until_cut = at;
    Persistent device{flash};
    ASSERT_EQ(device.boot(), WEIR_OK);
    const int taken = scenario(device, samples);
    was_cut = flash.is_dead;
    const auto before = values(device.server);
    flash.is_dead = false;
    flash.bytes_until_cut = WEIR_NEVER;
    device.memory.open_fails = false;
    ASSERT_EQ(device.boot(), WEIR_OK);
    device.take(1000);
    device.advance(6'000 * ms, 50 * ms);
    ASSERT_TRUE(weir_sensor_is_empty(&device.sensor));
    const auto after = values(device.server);
    // In order, each once, and at most the last one taken is missing.
    ASSERT_TRUE(std::ranges::is_sorted(after));
    ASSERT_FALSE(after.empty());
    ASSERT_EQ(after.back(), 1000);
    ASSERT_GE(static_cast<int>(after.size()), taken) << testing::PrintToString(after);
    for (int i = 1; i < taken; ++i) ASSERT_EQ(after[static_cast<std::size_t>(i) - 1], i);
    if (cuts % 8 != 0) continue;
    // The log still works: it goes round once more.
    for (int i = 1001; i < 1040; ++i) device.take(i);
    device.advance(1'000 * ms, 50 * ms);
    ASSERT_EQ(values(device.server).back(), 1039);
    ASSERT_EQ(device.server.stored.size(), after.size() + 39);
  }
  EXPECT_GT(cuts, 500U);
}

TEST(Persistence, survivesAPowerCutAtEveryByte) { cut_everywhere(512, 8, 8, 1); }
TEST(Persistence, survivesAPowerCutWithOtherUnits) {
  cut_everywhere(256, 16, 1, 5);
  cut_everywhere(1024, 4, 32, 5);
}

// A write that fails without a restart: that frame is dropped and counted, and the log goes on behind it.
TEST(Persistence, aFailedWriteDropsItsFrameOnly) {
  for (std::uint32_t at = 40; at < 1000; at += 7) {
    SCOPED_TRACE("fails after " + std::to_string(at) + " bytes");
    Flash flash{512, 8, 8};
    Persistent device{flash};
    ASSERT_EQ(device.boot(), WEIR_OK);
    device.memory.open_fails = true;
    flash.bytes_until_cut = at;
    std::uint32_t taken = 0;
    for (; taken < 12; ++taken) {
      device.take(static_cast<int>(taken) + 1);
      if (flash.is_dead) flash.bytes_until_cut = WEIR_NEVER;
      flash.is_dead = false;
    }
    const auto dropped = device.sensor.statistics.frames_dropped[WEIR_DROPPED_STORAGE];
    ASSERT_LE(dropped, 1U);
    ASSERT_EQ(device.reported[WEIR_DROPPED_STORAGE], dropped);
    device.memory.open_fails = false;
    ASSERT_EQ(device.boot(), WEIR_OK);  // reads what was written
    device.advance(6'000 * ms, 50 * ms);
    ASSERT_EQ(device.server.stored.size(), taken - dropped);
    ASSERT_TRUE(std::ranges::is_sorted(values(device.server)));
  }
}

TEST(Persistence, dropsWholePagesOrNewFramesAndCountsThem) {
  for (const auto policy : {WEIR_DROP_OLDEST, WEIR_DROP_NEWEST}) {
    Flash flash{512, 4, 4};
    flash.config.policy = static_cast<std::uint8_t>(policy);
    Persistent device{flash};
    ASSERT_EQ(device.boot(), WEIR_OK);
    device.memory.open_fails = true;
    for (int i = 1; i <= 40; ++i) device.take(i);
    const auto reason = policy == WEIR_DROP_OLDEST ? WEIR_DROPPED_OLDEST : WEIR_DROPPED_NEWEST;
    const auto dropped = device.sensor.statistics.frames_dropped[reason];
    EXPECT_GT(dropped, 20U);
    EXPECT_EQ(device.reported[reason], dropped);
    device.memory.open_fails = false;
    device.advance(20'000 * ms);
    const auto stored = values(device.server);
    EXPECT_EQ(stored.size() + dropped, 40U);
    EXPECT_EQ(policy == WEIR_DROP_OLDEST ? stored.back() : stored.front(), policy == WEIR_DROP_OLDEST ? 40 : 1);
  }
}

// Whatever the flash holds, the log opens, loses what is damaged, and works.
TEST(Persistence, opensAnyBytes) {
  std::mt19937 random{1};
  for (int round = 0; round < 300; ++round) {
    Flash flash{512, 4, 4};
    {
      Persistent device{flash};
      ASSERT_EQ(device.boot(), WEIR_OK);
      device.memory.open_fails = true;
      for (int i = 1; i <= round % 12; ++i) device.take(i);
    }
    const auto flips = random() % 40;
    for (unsigned i = 0; i < flips; ++i) {
      auto& byte = flash.bytes[random() % flash.bytes.size()];
      byte = static_cast<std::uint8_t>(byte ^ 1U << random() % 8);
    }
    Persistent device{flash};
    ASSERT_EQ(device.boot(), WEIR_OK);
    for (int i = 101; i <= 130; ++i) device.take(i);
    device.advance(6'000 * ms, 50 * ms);
    const auto stored = values(device.server);
    ASSERT_TRUE(std::ranges::is_sorted(stored));
    ASSERT_EQ(stored.back(), 130);
    ASSERT_TRUE(weir_sensor_is_empty(&device.sensor));
  }
}

TEST(Persistence, wearIsEven) {
  Flash flash{512, 4, 4};
  Persistent device{flash};
  ASSERT_EQ(device.boot(), WEIR_OK);
  for (int i = 1; i <= 300; ++i) device.take(i);
  EXPECT_EQ(device.server.stored.size(), 300U);
  EXPECT_LE(flash.erases, 300 * (32 + 72 + 32) / (512 - 32 - 104) + 1);
}

}  // namespace
}  // namespace weir::firmware
