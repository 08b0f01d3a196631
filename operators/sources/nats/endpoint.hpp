/// How the nats source turns what the client library received into weir's messages.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/context.hpp>
#include <weir/message.hpp>
#include <weir/settings.hpp>
#include <weir/source.hpp>

#include "clients/nats_counting.hpp"
#include "clients/nats_jetstream.hpp"
#include "clients/nats_stream_set.hpp"
#include "clients/nats_subject.hpp"

namespace weir::nats {

/// Names and access that follow from a nats source's settings, and how its messages are taken apart.
struct Endpoint {
  Endpoint(const Settings& settings, const Context& context);

  /// Fills subject, key and field of a message, or says why it is refused.
  void parse_subject(Message& out, std::string_view subject) const;

  Access access;
  SubjectPattern pattern;
  std::uint32_t partitions;
  Partition partition;
  PartitionNames names;
  std::string connection;  ///< its name, as the server shows it
};

/// What one pull gives out and the memory behind it.
struct ReceivedBatch {
  Messages messages;  ///< one per message of the batch, in order; what the source itself has to say follows
  MessageBatch batch;
  std::vector<MessageBatch::Header> headers;

  /// Fills the messages' headers and hands the whole out; idle if there is nothing.
  static Pulled give(std::shared_ptr<ReceivedBatch> received);
};

/// What the three kinds of source have in common.
///
/// Threads   as Source says.
class SourceBase : public Source {
 public:
  SourceBase(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        endpoint_{settings, context},
        reconnects_{context, "reconnects"},
        complaints_{context} {}

  std::uint64_t waiting() const override { return behind_; }

 protected:
  Result<void> connect() {
    jetstream_.reset();
    return Connection::open(endpoint_.access, endpoint_.connection, Connection::Use::consume).transform([&](auto made) {
      connection_ = std::move(made);
    });
  }

  Result<StreamState> connect_stream(StreamUse use) {
    if (auto done = connect(); !done) return std::unexpected(done.error());
    auto jetstream = JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    jetstream_ = std::move(*jetstream);
    auto state = StreamSet{settings_, endpoint_.pattern, use}.ensure(*jetstream_, endpoint_.partition);
    if (state && !state->news.empty()) context_.tell(state->news);
    return state;
  }

  void count(std::string_view counter, std::uint64_t n) {
    if (n != 0) context_.count(context_.counter(counter), n);
  }

  /// One message per received one; sequence and arrival are the mode's.
  void translate(ReceivedBatch& received, std::size_t i) {
    auto& out = received.messages.items[i];
    out.payload = received.batch[i].payload;
    endpoint_.parse_subject(out, received.batch[i].subject);
  }

  Settings settings_;
  Context& context_;
  Endpoint endpoint_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<JetStream> jetstream_;
  Timestamp arrival_ = no_time;
  std::atomic<std::uint64_t> behind_ = 0;
  Growth reconnects_;
  Complaints complaints_;
};

/// "start": "time" and its "since"; nothing for the other starts.
std::optional<Timestamp> start_time(const Settings& settings);

}  // namespace weir::nats
