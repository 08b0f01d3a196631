/// What the NATS operators need around them in a test: a context, settings, and somebody who publishes.
#pragma once

#include <nats/nats.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/operator.hpp>

#include "clients/nats_jetstream.hpp"
#include "fakes/counting_context.hpp"
#include "fakes/settings.hpp"

namespace weir::fakes {

class NatsContext final : public CountingContext {
 public:
  explicit NatsContext(Partition partition = 0, const Codec* codec = nullptr)
      : CountingContext{"node", partition, codec} {}
};

/// A source with the context that it needs.
struct NatsSource {
  NatsSource(const Operator& op, const std::map<std::string, Setting>& values, Partition partition = 0)
      : context{std::make_unique<NatsContext>(partition)}, source{op.make_source(settings_of(op, values), *context)} {}

  /// Pulls until `count` messages (without markers) came or `patience` has passed; unreachable errors are retried.
  std::vector<Message> pull(std::size_t count, Duration patience = 20 * second) {
    std::vector<Message> out;
    const Timestamp end = system_clock().steady() + patience;
    while (out.size() < count && system_clock().steady() < end) {
      auto pulled = source->pull({.wait = 50 * millisecond}, {});
      if (!pulled) {
        last_error = pulled.error();
        if (last_error.kind != Error::Kind::unreachable) break;
        system_clock().wait(50 * millisecond, {});
        continue;
      }
      if (pulled->state != Pulled::State::messages) continue;
      for (const Message& message : pulled->messages->items) {
        if (!message.marker) out.push_back(message);
      }
      kept.push_back(pulled->messages);
    }
    return out;
  }

  std::unique_ptr<NatsContext> context;
  std::unique_ptr<Source> source;
  std::vector<std::shared_ptr<const Messages>> kept;  ///< keeps the views alive
  Error last_error;
};

/// Somebody else at the same server.
struct NatsPeer {
  explicit NatsPeer(const std::string& url)
      : connection{nats::Connection::open({.url = url}, "peer", nats::Connection::Use::publish).value()},
        jetstream{nats::JetStream::open(*connection).value()} {}

  void publish(const std::string& subject, std::string_view payload) { connection->publish(subject, payload).value(); }
  /// Publishes vehicle.v<i % vehicles>.speed with payload i, for i in [first, first + count), and waits for the server.
  void publish_many(std::size_t count, std::size_t first = 0, const std::string& prefix = "",
                    std::size_t vehicles = 10) {
    for (std::size_t i = first; i < first + count; ++i) {
      publish(prefix + "vehicle.v" + std::to_string(i % vehicles) + ".speed", std::to_string(i));
    }
    connection->flush(10 * second).value();
  }

  /// Waits until the stream has stored message `last`.
  void wait_for(const std::string& stream, std::uint64_t last) const {
    while (jetstream->state(stream).value().last < last) system_clock().wait(millisecond, {});
  }

  /// Waits until the streams NAME-0, NAME-1, … have stored so many messages in all.
  void wait_for_all(const std::string& name, std::size_t streams, std::uint64_t messages) const {
    const auto stored = [&] {
      std::uint64_t sum = 0;
      for (std::size_t k = 0; k < streams; ++k) sum += jetstream->state(name + "-" + std::to_string(k)).value().last;
      return sum;
    };
    while (stored() < messages) system_clock().wait(millisecond, {});
  }

  std::unique_ptr<nats::Connection> connection;
  std::unique_ptr<nats::JetStream> jetstream;
};

/// A stream as somebody else makes it: of one subject, and with what a test sets in `config`.
class ForeignStream {
 public:
  ForeignStream(std::string name, std::string subject) : name_{std::move(name)}, subject_{std::move(subject)} {
    jsStreamConfig_Init(&config);
    config.Name = name_.c_str();
    config.Subjects = &subjects_;
    config.SubjectsLen = 1;
  }
  ForeignStream(const ForeignStream&) = delete;
  ForeignStream& operator=(const ForeignStream&) = delete;

  natsStatus add(const NatsPeer& peer) {
    return js_AddStream(nullptr, peer.jetstream->handle(), &config, nullptr, nullptr);
  }
  natsStatus update(const NatsPeer& peer) {
    return js_UpdateStream(nullptr, peer.jetstream->handle(), &config, nullptr, nullptr);
  }

 private:
  std::string name_, subject_;
  const char* subjects_ = subject_.c_str();

 public:
  jsStreamConfig config;
};

}  // namespace weir::fakes
