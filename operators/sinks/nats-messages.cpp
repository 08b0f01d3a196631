/// Messages as a source received them, into a stream.
#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/partition.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "clients/nats_counting.hpp"
#include "clients/nats_jetstream.hpp"
#include "clients/nats_publisher.hpp"
#include "clients/nats_subject.hpp"

namespace {
using namespace weir;

constexpr Duration patience = 10 * second;
constexpr std::uint32_t most_partitions = 4096;

/// What is said to the server that stores a message, not to who reads it: an id, what it expects, a rollup.
bool is_for_the_server(std::string_view header) {
  constexpr std::string_view names = "nats-";
  return std::ranges::equal(header.substr(0, names.size()), names, {}, lower);
}

class NatsMessages final : public Sink {
 public:
  NatsMessages(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        base_{settings.text("stream")},
        ids_{settings.has("ids") ? settings.text("ids") : weir::format("{}/{}", context.pipeline(), context.node())},
        complaints_{context} {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }

  Result<void> open() override {
    publisher_.reset();
    given_.clear();
    published_ = dropped_ = 0;
    auto connection = nats::Connection::open(nats::Access::from(settings_),
                                             weir::format("weir {}/{}", context_.pipeline(), context_.node()),
                                             nats::Connection::Use::publish);
    if (!connection) return std::unexpected(connection.error());
    connection_ = std::move(*connection);
    return nats::JetStream::open(*connection_)
        .transform([&](auto opened) { jetstream_ = std::move(opened); })
        .and_then([&] { return find_streams(*jetstream_); })
        .and_then([&] { return same_streams(); })
        .and_then([&] { return nats::Publisher::open(*connection_, context_.clock()); })
        .transform([&](auto made) { publisher_ = std::move(made); });
  }

  Result<void> write(const Encoded& rows) override {
    if (!publisher_) return fail(Error::Kind::unreachable, "not connected to NATS");
    const auto& messages = rows.batch->messages;
    Given& given = given_[rows.partition];
    if (given.of.lock() != messages) given = {messages, 0};
    for (const Message& message : messages->items) {
      if (message.sequence <= std::exchange(given.up_to, std::max(given.up_to, message.sequence)) || message.marker)
        continue;
      if (auto sent = publish(message, rows.partition); !sent) return sent;
      ++published_;
    }
    return {};
  }

  Result<Committed> commit(std::span<const LaneCommit>) override {
    if (!publisher_) return fail(Error::Kind::unreachable, "not connected to NATS");
    const auto done = publisher_->complete(patience);
    complaints_.hear(*connection_);
    if (!done) return std::unexpected(done.error());
    if (const auto refused = publisher_->take_refused(); !refused.empty()) {
      return fail(
          Error::Kind::refused,
          weir::format("a message of {} was refused: {}", refused.front().subject, refused.front().reason.text()),
          "stream");
    }
    if (auto same = same_streams(); !same) return std::unexpected(same.error());
    const std::uint64_t dropped = publisher_->duplicates();
    context_.count(context_.counter("published"), std::exchange(published_, 0));
    context_.count(context_.counter("duplicates"), dropped - std::exchange(dropped_, dropped));
    return Committed{};
  }

 private:
  /// How far the messages of a batch are published: it may come in pieces.
  struct Given {
    std::weak_ptr<const Messages> of = {};
    Position up_to = 0;
  };

  /// As many as `partitions` says, or as there are.
  Result<void> find_streams(nats::JetStream& jetstream) {
    streams_.clear();
    std::uint32_t count = settings_.has("partitions") ? static_cast<std::uint32_t>(settings_.integer("partitions")) : 0;
    if (count == 0) {
      const auto one = jetstream.find(base_);
      if (!one) return std::unexpected(one.error());
      const auto first = *one ? Result<std::optional<nats::FoundStream>>{} : jetstream.find(base_ + "-0");
      if (!first) return std::unexpected(first.error());
      count = *first ? std::min((*first)->partitions, most_partitions) : 1;
      if (count == 0) {
        return fail(
            Error::Kind::invalid,
            weir::format("there is a stream {}-0, but it does not tell how many there are: say \"partitions\"", base_),
            "partitions");
      }
    }
    for (Partition k = 0; k < count; ++k) {
      const std::string name = count == 1 ? base_ : weir::format("{}-{}", base_, k);
      auto found = jetstream.find(name);
      if (!found) return std::unexpected(found.error());
      if (!*found) {
        return fail(
            Error::Kind::invalid,
            weir::format("there is no stream {}; make it, for the subjects of the messages, or name another", name),
            "stream");
      }
      if (count > 1 && (*found)->partitions > 0 && (*found)->partitions != count) {
        return fail(Error::Kind::invalid,
                    weir::format("stream {} is one of {}, not of {}", name, (*found)->partitions, count), "partitions");
      }
      if ((*found)->sealed || !(*found)->acknowledges) {
        const char* why = (*found)->sealed ? "is sealed: it takes nothing any more" : "acknowledges nothing (no_ack)";
        return fail(Error::Kind::invalid,
                    weir::format("stream {} {}, so nobody would know what it has stored; name another", name, why),
                    "stream");
      }
      streams_.push_back(std::move(**found));
    }
    return {};
  }

  /// What a stream that was recreated had taken before is gone, and will not be given again.
  Result<void> same_streams() {
    for (std::size_t k = 0; k < streams_.size(); ++k) {
      const std::string name = name_of(k);
      const auto now = jetstream_->state(name);
      if (!now) return std::unexpected(now.error());
      const auto [first, is_first] = created_.try_emplace(name, now->created);
      if (is_first || first->second == now->created) continue;
      return fail(Error::Kind::refused,
                  weir::format("stream {} was deleted and recreated while it was filled: what it had taken before is "
                               "gone; publish into it once more",
                               name),
                  "stream");
    }
    return {};
  }

  std::string name_of(std::size_t k) const { return streams_.size() == 1 ? base_ : weir::format("{}-{}", base_, k); }

  /// Which of the streams is to have a message. What was refused, perhaps as it was in a wrong partition, is so again.
  Result<Partition> partition_for(const Message& message, Partition partition) const {
    const auto count = static_cast<std::uint32_t>(streams_.size());
    if (message.refused.empty() && !message.key.empty()) return partition_of(message.key, count);
    if (count == 1 || count == context_.partitions()) return partition;
    if (!message.refused.empty()) return partition % count;
    return fail(
        Error::Kind::refused,
        weir::format("message {} of partition {} names its vehicle in its payload, so which of {} streams is to "
                     "have it is not known; publish to as many as there were partitions, {}",
                     message.sequence, partition, count, context_.partitions()),
        "stream");
  }

  Result<void> publish(const Message& message, Partition partition) {
    const auto k = partition_for(message, partition);
    if (!k) return std::unexpected(k.error());
    std::string subject{message.subject};
    if (streams_.size() > 1) subject.insert(0, weir::format("p.{}.", *k));
    const std::size_t stream = streams_.size() == 1 ? 0 : *k;
    if (stream >= streams_.size() || !streams_[stream].takes(subject)) {
      return fail(Error::Kind::refused,
                  weir::format("message {} of partition {}: stream {} does not take {}", message.sequence, partition,
                               name_of(stream), subject),
                  "stream");
    }
    headers_.clear();
    for (const auto& header : message.headers) {
      if (!is_for_the_server(header.first)) headers_.push_back(header);
    }
    // With its arrival, as a stream that is recreated counts from 1 again.
    const std::string id = weir::format("{}/{}/{}/{}", ids_, partition, message.sequence, message.arrival);
    return publisher_->publish(subject, message.payload, id, headers_).transform_error([&](Error error) {
      if (error.kind == Error::Kind::refused)
        error.message.insert(0, weir::format("message {} of partition {}: ", message.sequence, partition));
      return error;
    });
  }

  Settings settings_;
  Context& context_;
  std::string base_, ids_;
  nats::Complaints complaints_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::JetStream> jetstream_;
  std::unique_ptr<nats::Publisher> publisher_;
  std::vector<nats::FoundStream> streams_;    ///< one for each partition
  std::map<std::string, Timestamp> created_;  ///< the streams, when they were first seen
  std::map<Partition, Given> given_;          ///< by lane
  std::vector<nats::Publisher::Header> headers_;
  std::uint64_t published_ = 0;  ///< since the last commit
  std::uint64_t dropped_ = 0;    ///< by the stream as duplicates, up to the last commit
};

std::vector<Error> problems(const Settings& settings) {
  auto out = nats::access_problems(settings);
  if (!nats::is_token(settings.text("stream")))
    out.push_back({Error::Kind::invalid, "a stream's name has no '.', '*', '>' or blank", "stream"});
  return out;
}

Spec spec() {
  auto out = nats::with_access(Spec::sink("publishes messages into a stream as they were received"));
  out.field("stream", kind::text(), "JetStream stream that is to store them, or a set of partitions' streams")
      .optional(
          "partitions", kind::integer(),
          "how many streams the set has: n > 1 publishes to p.<k>.<subject>, k = the key's hash modulo n (of what has "
          "no key in its subject, the partition it was in); without it the stream of that name, or as many as the set "
          "says")
      .between(1, most_partitions)
      .optional(
          "ids", kind::text(),
          "what the messages' ids begin with; where it was the same before, the stream drops what it has already; "
          "without it the pipeline's name and the node's")
      .counter("published", "messages that the stream has")
      .counter("duplicates", "messages among them that the stream had before, by their ids")
      .takes_messages()
      .accepts({Shape::samples})
      .check(problems)
      .claims([](const Settings&) {
        return Claims{.idempotent = true,
                      .window = 2 * minute,
                      .because = "each message has an id, and the stream drops repetitions within its dedupe window"};
      })
      .details(
          "Subject, payload and headers are those of the message; headers that speak to the server (Nats-…) are left "
          "out, and the id, which is of the message's place in the stream that it comes from, is a new one. Markers are "
          "not published. The streams must be there, and take the subjects.")
      .example(R"({ "id": "again", "sink": "nats-messages", "from": "signals", "stream": "AGAIN" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(sinks, nats_messages, NatsMessages, spec())
