/// What a JetStream stream holds, read by a bare nats.c client and made into the reference's inputs: nothing of weir's
/// own reading takes part.
#pragma once

#include <nats/nats.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/partition.hpp>

#include "fakes/codecs.hpp"
#include "reference/window_join.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::integration {

/// Which one of a set of streams.
struct PartitionOf {
  Partition number = 0;
  std::uint32_t of = 1;  ///< a single one has subjects without prefix
};

/// What a server wants to see of who reads: files, all or none of them.
struct Login {
  std::string ca, credentials;
};

/// A stream of FlatBuffers messages with subjects vehicle.<key>.telemetry, in a set p.<k>.vehicle.<key>.telemetry; any
/// other message only says what time it is.
///
/// Threads   one.
/// Errors    std::runtime_error with the library's words.
class StreamReading {
 public:
  StreamReading(const std::string& url, std::string stream, PartitionOf partition = {}, const Login& login = {})
      : stream_{std::move(stream)},
        partition_{partition},
        before_{(partition.of > 1 ? "p." + std::to_string(partition.number) + "." : "") + "vehicle."} {
    connect(url, login);
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

  bool exists() const {
    jsStreamInfo* info = nullptr;
    const bool out = js_GetStreamInfo(&info, jetstream_, stream_.c_str(), nullptr, nullptr) == NATS_OK;
    jsStreamInfo_Destroy(info);
    return out;
  }

  struct Stored {
    std::uint64_t sequence = 0;
    std::string_view subject, payload;
  };
  /// A message that makes a dead letter; its subject without the prefix that its set gives it.
  struct Refused {
    std::uint64_t sequence = 0;
    Timestamp arrival = 0;
    std::string subject, payload, reason;
  };
  /// Everything from the first message up to this one, which must be there. `look` is shown each message. A message
  /// that can't be decoded, or whose key belongs to another partition, goes to `refused`, and one that is not there to
  /// `holes`; without these, it is an error.
  std::vector<reference::Input> read(std::uint64_t up_to, const std::function<void(const Stored&)>& look = {},
                                     std::vector<Refused>* refused = nullptr,
                                     std::vector<std::uint64_t>* holes = nullptr) const {
    const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
    Inputs inputs;
    each(
        up_to,
        [&](const Stored& stored, Timestamp arrival) {
          inputs.arrival = std::max(inputs.arrival, arrival);
          take(stored, *codec, inputs, refused);
          if (look) look(stored);
        },
        holes);
    return std::move(inputs.all);
  }

  /// The same of a stream that has not kept all of them: those that are there.
  void read_rest(const std::function<void(const Stored&)>& look) const {
    std::vector<std::uint64_t> holes;
    each(last(), [&](const Stored& stored, Timestamp) { look(stored); }, &holes);
  }

  /// Shows each message up to the last one, as it is.
  void read_all(const std::function<void(const Stored&)>& look) const {
    each(last(), [&](const Stored& stored, Timestamp) { look(stored); }, nullptr);
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
    void refuse(Reason reason) override { throw std::runtime_error{reason.text()}; }
  };

  static void check(natsStatus status) {
    if (status != NATS_OK) throw std::runtime_error{natsStatus_GetText(status)};
  }

  void connect(const std::string& url, const Login& login) {
    natsOptions* options = nullptr;
    check(natsOptions_Create(&options));
    check(natsOptions_SetURL(options, url.c_str()));
    if (!login.credentials.empty()) {
      check(natsOptions_SetSecure(options, true));
      check(natsOptions_LoadCATrustedCertificates(options, login.ca.c_str()));
      check(natsOptions_SetUserCredentialsFromFiles(options, login.credentials.c_str(), nullptr));
    }
    const natsStatus status = natsConnection_Connect(&connection_, options);
    natsOptions_Destroy(options);
    check(status);
  }

  void each(std::uint64_t up_to, const std::function<void(const Stored&, Timestamp)>& show,
            std::vector<std::uint64_t>* holes) const {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream_.c_str();
    options.Ordered = true;
    natsSubscription* subscription = nullptr;
    check(js_SubscribeSync(&subscription, jetstream_, ">", nullptr, &options, nullptr));
    for (std::uint64_t expected = 1; expected <= up_to; ++expected) {
      natsMsg* message = nullptr;
      check(natsSubscription_NextMsg(&message, subscription, 10'000));
      jsMsgMetaData* about = nullptr;
      check(natsMsg_GetMetaData(&about, message));
      const std::uint64_t sequence = about->Sequence.Stream;
      show({sequence,
            natsMsg_GetSubject(message),
            {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))}},
           about->Timestamp);
      jsMsgMetaData_Destroy(about);
      natsMsg_Destroy(message);
      for (; holes != nullptr && expected < sequence; ++expected) holes->push_back(expected);
      if (sequence != expected) throw std::runtime_error{"the stream has a hole before " + std::to_string(sequence)};
    }
    natsSubscription_Destroy(subscription);
  }

  void take(const Stored& stored, const Codec& codec, Inputs& out, std::vector<Refused>* refused) const {
    const std::size_t taken = out.all.size();
    std::string why = decode(stored, codec, out);
    if (why.empty()) return;
    if (refused == nullptr) throw std::runtime_error{why};
    const std::size_t prefix = before_.size() - std::string_view{"vehicle."}.size();
    refused->push_back({stored.sequence, out.arrival, std::string{stored.subject.substr(prefix)},
                        std::string{stored.payload}, std::move(why)});
    out.all.resize(taken);
    out.all.push_back({std::nullopt, out.arrival});
  }

  /// Answers why the message can't be taken; empty if it is.
  std::string decode(const Stored& stored, const Codec& codec, Inputs& out) const {
    constexpr std::string_view behind = ".telemetry";
    if (!stored.subject.starts_with(before_) || !stored.subject.ends_with(behind)) {
      out.all.push_back({std::nullopt, out.arrival});
      return {};
    }
    const Message raw{
        .subject = stored.subject,
        .payload = stored.payload,
        .key = stored.subject.substr(before_.size(), stored.subject.size() - before_.size() - behind.size())};
    if (partition_of(raw.key, partition_.of) != partition_.number) return "wrong_partition";
    const auto decoded = codec.decode(raw, out);
    return decoded ? "" : decoded.error().code;
  }

  std::string stream_;
  PartitionOf partition_;
  std::string before_;
  natsConnection* connection_ = nullptr;
  jsCtx* jetstream_ = nullptr;
};

}  // namespace weir::integration
