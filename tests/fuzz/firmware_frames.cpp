// Any samples in frames of any size: the verifier accepts each frame, and the codec reads back what was given.
#include <weir_sensor.h>

#include <cmath>
#include <cstring>

#include <weir/operator.hpp>

#include "fakes/codecs.hpp"
#include "memory.h"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace {

/// Reads each frame from the store that the sensor appends to.
struct Reader {
  std::vector<std::string> lines;
  static int append(void* context, const WeirFrameInfo* info, const std::uint8_t* frame, bool, WeirDropped* dropped) {
    static const auto codec = weir::fakes::make_codec(weir::weir_operator_codecs_flatbuffers());
    *dropped = {};
    const std::string_view payload{reinterpret_cast<const char*>(frame), info->size};
    const auto samples = weir::fakes::decoded(*codec, payload);
    if (samples.size() != info->samples) std::abort();
    auto& lines = static_cast<Reader*>(context)->lines;
    lines.insert(lines.end(), samples.begin(), samples.end());
    return WEIR_OK;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  WeirMemoryPort memory;
  WeirPort port;
  weir_memory_port_init(&memory, &port);
  Reader reader;
  const WeirStore store{&reader, Reader::append, [](void*, WeirFrameInfo*) { return false; },
                        [](void*, std::uint8_t*) { return 0; }, [](void*) { return 0; }};
  const std::uint32_t frame_size = 128U + data[0] * 4U;
  std::vector<std::uint8_t> frame(frame_size), send(frame_size + 384), receive(128);
  WeirSensorConfig config{};
  config.nats.port = &port;
  config.nats.host = "h";
  config.nats.send_buffer = send.data();
  config.nats.send_size = frame_size + 384;
  config.nats.receive_buffer = receive.data();
  config.nats.receive_size = 128;
  config.vehicle = "v";
  config.sensor = "s";
  config.frame_buffer = frame.data();
  config.frame_size = frame_size;
  config.store = &store;
  WeirSensor sensor;
  if (weir_sensor_init(&sensor, &config) != WEIR_OK) std::abort();
  std::size_t taken = 0;
  for (std::size_t at = 1; at + 17 <= size;) {
    std::int64_t time = 0;
    double value = 0;
    std::memcpy(&time, data + at + 1, 8);
    std::memcpy(&value, data + at + 9, 8);
    const std::uint8_t kind = data[at] % 3;
    const std::uint32_t text_size = data[at] / 3;
    at += 17;
    int result = 0;
    if (kind == 0) result = weir_sensor_sample(&sensor, time, value);
    if (kind == 1) result = weir_sensor_position(&sensor, time, value, 1, std::nan(""));
    if (kind == 2) {
      if (at + text_size > size) break;
      result = weir_sensor_text(&sensor, time, reinterpret_cast<const char*>(data) + at, text_size);
      at += text_size;
    }
    taken += result == WEIR_OK ? 1 : 0;
  }
  weir_sensor_flush(&sensor);
  if (reader.lines.size() != taken || sensor.statistics.samples != taken) std::abort();
  return 0;
}
