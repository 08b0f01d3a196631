// Whatever a server sends: the client neither reads nor writes outside its buffers, and its outbox keeps its order.
#include <weir_sensor.h>

#include <cstdint>
#include <cstdlib>

#include "memory.h"

// The first byte chooses the sizes of what arrives at once; "ready" inputs follow an INFO and a PONG.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  static constexpr char greeting[] = "INFO {\"headers\":true,\"max_payload\":1024}\r\nPONG\r\n";
  std::uint8_t incoming[4096], outgoing[4096], frame[128], outbox[300], send[512], receive[128];
  std::size_t used = 0;
  if (data[0] & 1) {
    for (; used + 1 < sizeof greeting; ++used) incoming[used] = static_cast<std::uint8_t>(greeting[used]);
  }
  for (std::size_t i = 1; i < size && used < sizeof incoming; ++i) incoming[used++] = data[i];
  WeirMemoryPort memory;
  WeirPort port;
  weir_memory_port_init(&memory, &port);
  memory.outgoing = outgoing;
  memory.outgoing_capacity = sizeof outgoing;
  memory.receive_most = data[0] >> 4;
  WeirSensorConfig config{};
  config.nats.port = &port;
  config.nats.host = "h";
  config.nats.tls = (data[0] & 2) != 0 ? WEIR_TLS_AFTER_INFO : WEIR_TLS_OFF;
  config.nats.send_buffer = send;
  config.nats.send_size = sizeof send;
  config.nats.receive_buffer = receive;
  config.nats.receive_size = sizeof receive;
  config.vehicle = "v";
  config.sensor = "s";
  config.frame_buffer = frame;
  config.frame_size = sizeof frame;
  config.outbox_buffer = outbox;
  config.outbox_size = sizeof outbox;
  config.clock_interval_ms = 1000;
  config.clock_wait_ms = 1;
  WeirSensor sensor;
  if (weir_sensor_init(&sensor, &config) != WEIR_OK) std::abort();
  weir_sensor_sample(&sensor, 1, 1);
  weir_sensor_flush(&sensor);
  for (int i = 0; i < 40; ++i) {
    if (i == 1) {  // what was there before the link was opened is lost
      memory.incoming = incoming;
      memory.incoming_at = 0;
      memory.incoming_size = static_cast<std::uint32_t>(used);
    }
    memory.now += 1'000'000;
    memory.outgoing_size = 0;
    weir_sensor_poll(&sensor);
  }
  if (sensor.statistics.frames_stored > 1) std::abort();
  return 0;
}
