/// What the NATS operators need around them in a test: a context, settings, and somebody who publishes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <weir/operator.hpp>
#include <weir/units.hpp>

#include "clients/nats_jetstream.hpp"

namespace weir::fakes {

/// Threads   as Context says; real time.
class NatsContext final : public Context {
 public:
  explicit NatsContext(Partition partition = 0, const Codec* codec = nullptr) : partition_{partition}, codec_{codec} {}

  std::string_view pipeline() const override { return "fleet"; }
  std::string_view node() const override { return "node"; }
  Partition partition() const override { return partition_; }
  std::uint32_t key_limit() const override { return keys_->limit(); }
  Duration forget() const override { return minute; }
  const std::shared_ptr<Dictionary>& keys() const override { return keys_; }
  const std::shared_ptr<Dictionary>& fields() const override { return fields_; }
  const std::vector<FieldDemand>& demand() const override { return demand_; }
  const Clock& clock() const override { return system_clock(); }
  const Codec* codec(std::string_view) const override { return codec_; }
  std::size_t counter(std::string_view name) const override {
    const std::scoped_lock lock{mutex_};
    return numbers_.try_emplace(std::string{name}, numbers_.size()).first->second;
  }
  void count(std::size_t counter, std::uint64_t n) override {
    const std::scoped_lock lock{mutex_};
    counts_[counter] += n;
  }
  void warn(std::string_view) override {}

  std::uint64_t counted(std::string_view name) const {
    const std::size_t number = counter(name);
    const std::scoped_lock lock{mutex_};
    const auto it = counts_.find(number);
    return it == counts_.end() ? 0 : it->second;
  }

 private:
  Partition partition_;
  const Codec* codec_;
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(1u << 20);
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>(4096);
  std::vector<FieldDemand> demand_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::size_t> numbers_;
  std::map<std::size_t, std::uint64_t> counts_;
};

/// Settings as the engine would hand them over: these values, and the Spec's defaults for the rest. Unchecked.
inline Settings settings_of(const Operator& op, const std::map<std::string, Setting>& values) {
  Settings out{"node"};
  for (const Field& field : op.spec.fields) {
    if (const auto it = values.find(field.name); it != values.end()) {
      out.set(field.name, it->second);
    } else if (!field.fallback.empty()) {
      switch (field.kind.tag) {
        case Kind::Tag::integer:
          out.set(field.name, std::int64_t{std::stoll(field.fallback)});
          break;
        case Kind::Tag::boolean:
          out.set(field.name, field.fallback == "true");
          break;
        case Kind::Tag::duration:
          out.set(field.name, std::int64_t{parse_duration(field.fallback).value()});
          break;
        case Kind::Tag::size:
          out.set(field.name, static_cast<std::int64_t>(parse_size(field.fallback).value()));
          break;
        default:
          out.set(field.name, field.fallback);
          break;
      }
    }
  }
  return out;
}

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

  std::unique_ptr<nats::Connection> connection;
  std::unique_ptr<nats::JetStream> jetstream;
};

}  // namespace weir::fakes
