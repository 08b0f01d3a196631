/// What a JetStream stream holds, read by a bare nats.c client and made into the reference's inputs: nothing of weir's
/// own reading takes part.
#pragma once

#include <nats/nats.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fakes/codecs.hpp"
#include "reference/window_join.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::integration {

/// A stream of FlatBuffers messages with subjects vehicle.<key>.telemetry; any other message only says what time it is.
///
/// Threads   one.
/// Errors    std::runtime_error with the library's words.
class StreamReading {
 public:
  StreamReading(const std::string& url, std::string stream) : stream_{std::move(stream)} {
    check(natsConnection_ConnectTo(&connection_, url.c_str()));
    check(natsConnection_JetStream(&jetstream_, connection_, nullptr));
  }
  ~StreamReading() {
    jsCtx_Destroy(jetstream_);
    natsConnection_Destroy(connection_);
  }
  StreamReading(const StreamReading&) = delete;
  StreamReading& operator=(const StreamReading&) = delete;

  /// The last message's sequence; 0 if there is none, or no stream.
  std::uint64_t last() const {
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, jetstream_, stream_.c_str(), nullptr, nullptr) != NATS_OK) return 0;
    const std::uint64_t out = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    return out;
  }

  /// Everything from the first message up to this one, which must be there.
  std::vector<reference::Input> read(std::uint64_t up_to) const {
    const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream_.c_str();
    options.Ordered = true;
    natsSubscription* subscription = nullptr;
    check(js_SubscribeSync(&subscription, jetstream_, ">", nullptr, &options, nullptr));
    Inputs inputs;
    for (std::uint64_t expected = 1; expected <= up_to; ++expected) {
      natsMsg* message = nullptr;
      check(natsSubscription_NextMsg(&message, subscription, 10'000));
      const std::uint64_t sequence = take(message, *codec, inputs);
      natsMsg_Destroy(message);
      if (sequence != expected) throw std::runtime_error{"the stream has a hole before " + std::to_string(sequence)};
    }
    natsSubscription_Destroy(subscription);
    return std::move(inputs.all);
  }

 private:
  /// Turns decoded samples into inputs.
  class Inputs final : public SampleSink {
   public:
    Timestamp arrival = 0;
    std::vector<reference::Input> all;

    void add(const Sample& in) override {
      reference::Sample out{
          .key = std::string{in.key}, .field = std::string{in.field}, .time = in.time.value_or(arrival)};
      out.arrival = arrival;
      out.value.x = in.x;
      if (in.kind == Sample::Kind::point) {
        out.value.y = in.y;
        if (!std::isnan(in.z)) out.value.z = in.z;
      }
      all.push_back({std::move(out), arrival});
    }
  };

  static void check(natsStatus status) {
    if (status != NATS_OK) throw std::runtime_error{natsStatus_GetText(status)};
  }

  /// Answers the message's sequence.
  static std::uint64_t take(natsMsg* message, const Codec& codec, Inputs& out) {
    jsMsgMetaData* about = nullptr;
    check(natsMsg_GetMetaData(&about, message));
    const std::uint64_t sequence = about->Sequence.Stream;
    out.arrival = std::max(out.arrival, about->Timestamp);
    jsMsgMetaData_Destroy(about);
    const std::string_view subject = natsMsg_GetSubject(message);
    constexpr std::string_view before = "vehicle.", behind = ".telemetry";
    if (!subject.starts_with(before) || !subject.ends_with(behind)) {
      out.all.push_back({std::nullopt, out.arrival});
      return sequence;
    }
    const Message raw{.subject = subject,
                      .payload = {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))},
                      .key = subject.substr(before.size(), subject.size() - before.size() - behind.size())};
    if (const auto decoded = codec.decode(raw, out); !decoded) throw std::runtime_error{decoded.error()};
    return sequence;
  }

  std::string stream_;
  natsConnection* connection_ = nullptr;
  jsCtx* jetstream_ = nullptr;
};

}  // namespace weir::integration
