/// A sensor with its buffers, a port in memory and the server behind it, under virtual time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <weir_sensor.h>

#include "fake_server.hpp"

namespace weir::firmware {

constexpr std::int64_t ms = 1'000'000;

class Device {
 public:
  Device() {
    memory.now = 1'000 * ms;
    memory.seed = 2463534242U;
    config.nats.port = &port;
    config.nats.host = "server";
    config.vehicle = "v1";
    config.sensor = "speed";
    config.frame_size = 128;
    config.outbox_size = 2048;
    config.on_drop = [](void* context, const WeirDropped* dropped) {
      auto& self = *static_cast<Device*>(context);
      self.reported[dropped->reason] += dropped->frames;
    };
    config.drop_context = this;
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Takes `config` as it is now; again after a restart of the device.
  int start() {
    frame_.resize(config.frame_size);
    outbox_.resize(config.outbox_size);
    send_.resize(config.frame_size + 640);
    receive_.resize(512);
    config.frame_buffer = frame_.data();
    config.outbox_buffer = outbox_.data();
    config.nats.send_buffer = send_.data();
    config.nats.send_size = static_cast<std::uint32_t>(send_.size());
    config.nats.receive_buffer = receive_.data();
    config.nats.receive_size = static_cast<std::uint32_t>(receive_.size());
    return weir_sensor_init(&sensor, &config);
  }

  /// One step of the client and of the server.
  int poll() {
    const int result = weir_sensor_poll(&sensor);
    server.step();
    return result;
  }

  /// Polls every `step` until so much time has passed.
  void advance(std::int64_t time, std::int64_t step = 10 * ms) {
    const std::int64_t end = memory.now + time;
    for (;;) {
      poll();
      if (memory.now >= end) return;
      memory.now += step < end - memory.now ? step : end - memory.now;
    }
  }

  WeirMemoryPort memory{};
  WeirPort port{};
  WeirSensorConfig config{};
  WeirSensor sensor{};
  FakeServer server{memory, port};
  std::uint32_t reported[WEIR_DROP_REASONS] = {};

 private:
  std::vector<std::uint8_t> frame_, outbox_, send_, receive_;
};

}  // namespace weir::firmware
