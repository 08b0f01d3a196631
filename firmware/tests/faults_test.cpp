// What must hold wherever a link breaks: samples arrive in order, each once, and none is lost uncounted.
#include <gtest/gtest.h>

#include <random>

#include "device.hpp"

namespace weir::firmware {
namespace {

std::vector<std::string> values(const FakeServer& server) {
  std::vector<std::string> out;
  for (const auto& line : server.stored) out.push_back(line.substr(line.rfind(' ') + 1));
  return out;
}

/// Six frames of one sample, 20 ms apart.
void run(Device& device) {
  ASSERT_EQ(device.start(), WEIR_OK);
  for (int i = 1; i <= 6; ++i) {
    ASSERT_EQ(weir_sensor_sample(&device.sensor, device.memory.now, i), WEIR_OK);
    weir_sensor_flush(&device.sensor);
    device.advance(20 * ms);
  }
  device.advance(120'000 * ms, 50 * ms);
}

const std::vector<std::string> six{"1", "2", "3", "4", "5", "6"};

TEST(Cut, atEveryByteReceivedKeepsOrder) {
  bool was_cut = true;
  for (std::uint32_t at = 0; was_cut; ++at) {
    Device device;
    device.config.clock_interval_ms = 60'000;
    device.memory.receives_until_cut = at;
    run(device);
    was_cut = device.sensor.nats.statistics.losses > 0;
    ASSERT_EQ(values(device.server), six) << "cut after " << at << " bytes";
    ASSERT_TRUE(weir_sensor_is_empty(&device.sensor));
    EXPECT_TRUE(was_cut || at > 500U);
  }
}

TEST(Cut, atEveryByteSentKeepsOrder) {
  bool was_cut = true;
  for (std::uint32_t at = 0; was_cut; ++at) {
    Device device;
    device.config.clock_interval_ms = 60'000;
    device.memory.sends_until_cut = at;
    run(device);
    was_cut = device.sensor.nats.statistics.losses > 0;
    ASSERT_EQ(values(device.server), six) << "cut after " << at << " bytes";
    EXPECT_TRUE(was_cut || at > 1000U);
  }
}

// Cuts, stalls, failed opens, missing acknowledgements and odd sizes, for ten minutes of a sensor.
TEST(Soak, losesNothingUncounted) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random{seed};
    const auto below = [&](unsigned bound) { return static_cast<std::uint32_t>(random() % bound); };
    Device device;
    device.memory.seed = seed;
    device.config.policy = static_cast<std::uint8_t>(seed % 3);
    device.config.outbox_size = 400 + below(2000);
    device.config.nats.backoff_max_ms = 4000;
    ASSERT_EQ(device.start(), WEIR_OK);
    double value = 0;
    for (int i = 0; i < 6000; ++i) {
      if (below(3) == 0) weir_sensor_sample(&device.sensor, device.memory.now, ++value);
      if (below(200) == 0) weir_memory_port_cut(&device.memory);
      if (below(100) == 0) device.memory.receive_most = below(4);
      if (below(100) == 0) device.memory.send_most = below(4);
      if (below(300) == 0) device.memory.sends_until_cut = below(600);
      if (below(300) == 0) device.memory.open_fails = !device.memory.open_fails;
      if (below(300) == 0) device.memory.stalls = !device.memory.stalls;
      if (below(200) == 0) device.server.acknowledges = !device.server.acknowledges;
      if (below(200) == 0) device.server.stores = !device.server.stores;
      device.memory.now += below(200) * ms;
      device.poll();
    }
    device.memory.open_fails = device.memory.stalls = false;
    device.server.acknowledges = device.server.stores = true;
    device.advance(120'000 * ms, 50 * ms);
    const auto& all = device.sensor.statistics;
    std::uint32_t dropped = 0;
    for (int reason = 0; reason < WEIR_DROP_REASONS; ++reason) dropped += all.samples_dropped[reason];
    // A frame whose acknowledgement was lost may be stored and dropped.
    EXPECT_LE(all.samples, device.server.stored.size() + dropped);
    EXPECT_TRUE(weir_sensor_is_empty(&device.sensor));
    EXPECT_GT(device.server.stored.size(), 10U);
    double last = 0;
    for (const auto& text : values(device.server)) {
      const double next = std::stod(text);
      ASSERT_GT(next, last) << "out of order, or twice";
      last = next;
    }
  }
}

// Full jitter: each wait is anywhere between 0 and a bound that doubles.
TEST(Backoff, isRandomAndBounded) {
  Device device;
  device.memory.open_fails = true;
  ASSERT_EQ(device.start(), WEIR_OK);
  std::vector<std::int64_t> waits;
  std::int64_t last = device.memory.now;
  while (waits.size() < 200) {
    device.memory.now += 5 * ms;
    if (device.poll() >= 0) continue;
    waits.push_back((device.memory.now - last) / ms);
    last = device.memory.now;
  }
  std::int64_t bound = 500;
  std::int64_t sum = 0;
  for (std::size_t i = 1; i < waits.size(); ++i, bound = std::min<std::int64_t>(2 * bound, 60'000)) {
    EXPECT_LE(waits[i], bound + 10);
    if (i > 10) sum += waits[i];
  }
  EXPECT_NEAR(static_cast<double>(sum) / 189, 30'000, 4'000);
}

TEST(Config, outOfBoundsIsRefused) {
  const auto result = [](auto change) {
    Device device;
    if (device.start() != WEIR_OK) return 1;
    change(device.config);
    return weir_sensor_init(&device.sensor, &device.config);
  };
  EXPECT_EQ(result([](auto&) {}), WEIR_OK);
  EXPECT_EQ(result([](auto& c) { c.vehicle = "a.b"; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.vehicle = ""; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.sensor = "x y"; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.sensor = "01234567890123456789012345678901234567890"; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.nats.send_size = c.frame_size + 383; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.outbox_size = c.frame_size + 23; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.nats.user = "u"; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.nats.jwt = "j"; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.max_age_ms = 3'600'001; }), WEIR_ERROR_CONFIG);
  EXPECT_EQ(result([](auto& c) { c.nats.backoff_min_ms = 70'000; }), WEIR_ERROR_CONFIG);
}

TEST(Samples, invalidOnesAreRefusedAndCounted) {
  Device device;
  ASSERT_EQ(device.start(), WEIR_OK);
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(weir_sensor_sample(&device.sensor, 0, nan), WEIR_ERROR_VALUE);
  EXPECT_EQ(weir_sensor_sample(&device.sensor, 0, -infinite), WEIR_ERROR_VALUE);
  EXPECT_EQ(weir_sensor_position(&device.sensor, 0, 1, 2, infinite), WEIR_ERROR_VALUE);
  EXPECT_EQ(weir_sensor_position(&device.sensor, 0, nan, 2, 3), WEIR_ERROR_VALUE);
  EXPECT_EQ(weir_sensor_text(&device.sensor, 0, "012345678901", 12), WEIR_ERROR_VALUE);
  EXPECT_EQ(weir_sensor_text(&device.sensor, 0, "01234567890", 11), WEIR_OK);
  EXPECT_EQ(device.sensor.statistics.samples_invalid, 5U);
}

TEST(Clock, errorIsBounded) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random{seed};
    Device device;
    device.memory.seed = seed;
    device.config.clock_interval_ms = 2'000;
    device.server.time_ahead = static_cast<std::int64_t>(random()) * 1000;
    ASSERT_EQ(device.start(), WEIR_OK);
    for (int i = 0; i < 300; ++i) {
      device.memory.now += static_cast<std::int64_t>(random() % 90) * ms;
      device.poll();
      std::int64_t utc = 0, error = 0;
      if (!weir_sensor_utc(&device.sensor, device.memory.now, &utc, &error)) continue;
      EXPECT_LE(std::abs(utc - (device.memory.now + device.server.time_ahead)), error);
      EXPECT_LT(error, 100 * ms);
    }
    std::int64_t utc = 0, error = 0;
    EXPECT_TRUE(weir_sensor_utc(&device.sensor, device.memory.now, &utc, &error));
  }
}

TEST(Subscription, receivesAndEnds) {
  Device device;
  ASSERT_EQ(device.start(), WEIR_OK);
  std::string got;
  WeirNatsSubscription subscription{};
  subscription.subject = "command.v1.*";
  subscription.context = &got;
  subscription.on_message = [](void* context, const WeirNatsMessage* message) {
    auto& text = *static_cast<std::string*>(context);
    text += std::string{message->subject} + "=" +
            std::string{reinterpret_cast<const char*>(message->payload), message->payload_size} + ";";
  };
  weir_nats_subscribe(&device.sensor.nats, &subscription);
  device.advance(100 * ms);
  device.server.deliver("command.v1.light", "on");
  device.advance(100 * ms);
  EXPECT_EQ(got, "command.v1.light=on;");
  weir_memory_port_cut(&device.memory);
  device.advance(5'000 * ms);
  device.server.deliver("command.v1.light", "off", "NATS/1.0\r\nA: b\r\n\r\n");
  device.advance(100 * ms);
  EXPECT_EQ(got, "command.v1.light=on;command.v1.light=off;");
  EXPECT_EQ(weir_nats_unsubscribe(&device.sensor.nats, &subscription), WEIR_OK);
  device.advance(100 * ms);
  device.server.deliver("command.v1.light", "again");
  device.advance(100 * ms);
  EXPECT_EQ(got, "command.v1.light=on;command.v1.light=off;");
}

}  // namespace
}  // namespace weir::firmware
