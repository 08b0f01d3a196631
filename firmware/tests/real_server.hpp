/// A real nats-server with a stream, and a sensor on POSIX sockets that publishes into it.
#pragma once

#include <gtest/gtest.h>
#include <nats/nats.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weir_sensor.h>

#include "fake_server.hpp"
#include "fakes/servers.hpp"
#include "posix.h"

namespace weir::firmware {

inline void check(natsStatus status) {
  if (status != NATS_OK) throw std::runtime_error{natsStatus_GetText(status)};
}

/// The stream TELEMETRY of one server, by another client.
class Stream {
 public:
  using Options = std::function<void(natsOptions*)>;

  explicit Stream(const std::string& url, const std::string& subjects = "vehicle.>", const Options& more = {}) {
    natsOptions* options = nullptr;
    check(natsOptions_Create(&options));
    check(natsOptions_SetURL(options, url.c_str()));
    check(natsOptions_SetMaxReconnect(options, -1));
    check(natsOptions_SetReconnectWait(options, 50));
    if (more) more(options);
    check(natsConnection_Connect(&connection_, options));
    natsOptions_Destroy(options);
    check(natsConnection_JetStream(&jetstream_, connection_, nullptr));
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = "TELEMETRY";
    const char* list = subjects.c_str();
    config.Subjects = &list;
    config.SubjectsLen = 1;
    check(js_AddStream(nullptr, jetstream_, &config, nullptr, nullptr));
  }
  ~Stream() {
    natsSubscription_Destroy(clock_);
    jsCtx_Destroy(jetstream_);
    natsConnection_Destroy(connection_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  struct Stored {
    std::string subject, id;
    std::vector<std::string> samples;
  };

  std::uint64_t size() const {
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, jetstream_, "TELEMETRY", nullptr, nullptr) != NATS_OK) return 0;
    const auto messages = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return messages;
  }

  std::vector<Stored> read() const {
    static const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
    std::vector<Stored> out;
    const auto last = size();
    for (std::uint64_t sequence = 1; sequence <= last; ++sequence) {
      natsMsg* message = nullptr;
      check(js_GetMsg(&message, jetstream_, "TELEMETRY", sequence, nullptr, nullptr));
      const char* id = nullptr;
      natsMsgHeader_Get(message, "Nats-Msg-Id", &id);
      const std::string_view payload{natsMsg_GetData(message),
                                     static_cast<std::size_t>(natsMsg_GetDataLength(message))};
      out.push_back({natsMsg_GetSubject(message), id == nullptr ? "" : id, fakes::decoded(*codec, payload)});
      natsMsg_Destroy(message);
    }
    return out;
  }

  /// All samples, each as "time value".
  std::vector<std::string> samples() const {
    std::vector<std::string> out;
    for (const auto& stored : read()) {
      for (const auto& sample : stored.samples) out.push_back(sample.substr(std::string_view{"k f "}.size()));
    }
    return out;
  }

  void publish(const std::string& subject) const {
    check(js_Publish(nullptr, jetstream_, subject.c_str(), nullptr, 0, nullptr, nullptr));
  }

  /// Answers time.<vehicle> as a server of UTC does.
  void tell_time() {
    const auto answer = [](natsConnection* connection, natsSubscription*, natsMsg* message, void*) {
      timespec now{};
      clock_gettime(CLOCK_REALTIME, &now);
      const auto text = std::to_string(now.tv_sec * 1'000'000'000LL + now.tv_nsec);
      natsConnection_PublishString(connection, natsMsg_GetReply(message), text.c_str());
      natsMsg_Destroy(message);
    };
    check(natsConnection_Subscribe(&clock_, connection_, "time.*", answer, nullptr));
    check(natsConnection_Flush(connection_));
  }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* jetstream_ = nullptr;
  natsSubscription* clock_ = nullptr;
};

/// A sensor that connects to a real server.
class RealSensor {
 public:
  explicit RealSensor(const std::string& url, bool is_utc = true) {
    if (weir_posix_port_init(&posix, &port, is_utc ? 1 : 0) != 0) throw std::runtime_error{"no random numbers"};
    config.nats.port = &port;
    config.nats.host = "127.0.0.1";
    config.nats.tcp_port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    config.nats.send_buffer = send_;
    config.nats.send_size = sizeof send_;
    config.nats.receive_buffer = receive_;
    config.nats.receive_size = sizeof receive_;
    config.nats.backoff_min_ms = 20;
    config.nats.backoff_max_ms = 200;
    config.vehicle = "v1";
    config.sensor = "speed";
    config.frame_buffer = frame_;
    config.frame_size = sizeof frame_;
    config.outbox_buffer = outbox_;
    config.outbox_size = sizeof outbox_;
  }
  ~RealSensor() {
    port.close(port.context);
    weir_posix_port_close(&posix);
  }
  RealSensor(const RealSensor&) = delete;
  RealSensor& operator=(const RealSensor&) = delete;

  void start() { ASSERT_EQ(weir_sensor_init(&sensor, &config), WEIR_OK); }

  /// Polls until `done`, at most 20 s.
  bool poll_until(const std::function<bool()>& done) {
    for (int i = 0; i < 20'000; ++i) {
      weir_sensor_poll(&sensor);
      if (done()) return true;
      usleep(1000);
    }
    return false;
  }
  /// Until all is stored.
  bool drain() {
    weir_sensor_flush(&sensor);
    return poll_until([this] { return weir_sensor_is_empty(&sensor); });
  }

  WeirPosixPort posix{};
  WeirPort port{};
  WeirSensorConfig config{};
  WeirSensor sensor{};

 private:
  std::uint8_t send_[3072], receive_[512], frame_[512], outbox_[8192];
};

}  // namespace weir::firmware
