#include "faults/harness/traffic.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <functional>
#include <utility>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "fakes/codecs.hpp"
#include "faults/harness/faults.hpp"
#include "faults/harness/stage.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::faults {
namespace {

constexpr std::uint32_t vehicles = 60;
constexpr std::size_t most_recent = 500;
constexpr std::int64_t answer_wait_ms = 700;
constexpr Duration longest_answer = 2 * minute;

fleet::Link link_of(std::uint64_t seed) {
  fleet::Link link;
  link.plan = {.seed = seed,
               .vehicles = vehicles,
               .start = system_clock().now(),
               .drive = 2 * second,
               .park = second,
               .loss_every = 3 * second,
               .loss_for = 800 * millisecond};
  const auto pace = [&](fleet::Sensor sensor, double rate) {
    link.plan.sensors[static_cast<std::size_t>(sensor)] = {rate, 0.1};
  };
  pace(fleet::Sensor::position, 5);
  pace(fleet::Sensor::heading, 5);
  pace(fleet::Sensor::speed, 10);
  pace(fleet::Sensor::charge, 2);
  pace(fleet::Sensor::torque, 1);
  link.faults = {.batch_missing = 0.01,
                 .batch_late = 0.05,
                 .batch_repeated = 0.01,
                 .sample_missing = 0.1,
                 .sample_late = 0.3,
                 .sample_zeroed = 0.1};
  link.frame = 100 * millisecond;
  return link;
}

}  // namespace

std::size_t content_of(std::string_view subject, std::string_view payload) {
  const std::hash<std::string_view> hash;
  return hash(payload) * 31 + hash(subject);
}

/// A connection to JetStream that comes back by itself.
class Traffic::Client {
 public:
  explicit Client(const std::string& url) {
    natsOptions* options = nullptr;
    natsOptions_Create(&options);
    natsOptions_SetURL(options, url.c_str());
    natsOptions_SetMaxReconnect(options, -1);
    natsOptions_SetReconnectWait(options, 50);
    natsOptions_SetReconnectJitter(options, 20, 20);
    if (natsConnection_Connect(&connection_, options) == NATS_OK)
      natsConnection_JetStream(&jetstream_, connection_, nullptr);
    natsOptions_Destroy(options);
  }
  ~Client() {
    jsCtx_Destroy(jetstream_);
    natsConnection_Destroy(connection_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// False: it could not connect.
  explicit operator bool() const { return jetstream_ != nullptr; }

  /// The sequence under which the stream has it; 0 if it did not say so.
  std::uint64_t publish(const Message& message, const std::string& id) {
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = id.c_str();
    options.MaxWait = answer_wait_ms;
    jsPubAck* ack = nullptr;
    if (js_Publish(&ack, jetstream_, message.subject.c_str(), message.payload.data(),
                   static_cast<int>(message.payload.size()), &options, nullptr) != NATS_OK)
      return 0;
    const std::uint64_t sequence = ack->Sequence;
    jsPubAck_Destroy(ack);
    return sequence;
  }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* jetstream_ = nullptr;
};

Traffic::Traffic(std::string url, std::uint32_t partitions, std::uint64_t seed)
    : url_{std::move(url)},
      partitions_{partitions},
      chance_{seed},
      codec_{fakes::make_codec(weir_operator_codecs_flatbuffers())},
      uplink_{link_of(seed), *codec_},
      last_(partitions) {
  thread_ = std::thread{[this] {
    drive();
    done_ = true;
  }};
}

Traffic::~Traffic() {
  give_up_ = true;
  thread_.join();
}

void Traffic::finish() {
  finish_ = true;
  while (!done_) pause(5 * millisecond);
  if (give_up_) throw Stuck{"messages are not acknowledged"};
}

std::vector<std::uint64_t> Traffic::last() const {
  const std::scoped_lock lock{mutex_};
  return last_;
}

void Traffic::drive() {
  Client client{url_};
  while (client && !finish_ && !give_up_) {
    follow_held_back(client);
    add_extras(client);
    const auto sent = uplink_.peek();
    if (!sent || *sent == nullptr) return;
    const Timestamp now = system_clock().now();
    if (hold_ || (*sent)->at > now) {
      pause(std::clamp<Duration>((*sent)->at - now, millisecond, 5 * millisecond));
      continue;
    }
    const std::string key = std::to_string((*sent)->vehicle + 1);
    const auto payload = uplink_.payload();
    if (!payload) return;
    publish(client, made(partition_of(key, partitions_), key, std::string{*payload}));
    uplink_.take();
  }
  if (client && !give_up_) add_extras(client);
}

void Traffic::hold_back(std::optional<Partition> partition) {
  const auto obeyed = [this] {
    const std::scoped_lock lock{mutex_};
    return obeyed_;
  };
  {
    const std::scoped_lock lock{mutex_};
    wanted_back_ = partition;
    obeyed_ = false;
  }
  while (!obeyed() && !give_up_) pause(5 * millisecond);
  if (give_up_) throw Stuck{"messages are not acknowledged"};
}

void Traffic::follow_held_back(Client& client) {
  {
    const std::scoped_lock lock{mutex_};
    if (obeyed_) return;
    back_ = wanted_back_;
  }
  for (Message& message : std::exchange(held_back_, {})) publish(client, std::move(message));
  const std::scoped_lock lock{mutex_};
  obeyed_ = true;
}

void Traffic::add_extras(Client& client) {
  for (std::size_t count = repeats_.exchange(0); count > 0 && !recent_.empty(); --count)
    publish(client, Message{chance_.one_of(recent_)});
  for (std::size_t count = spoiled_.exchange(0); count > 0 && !recent_.empty(); --count) publish(client, spoiled());
}

Traffic::Message Traffic::spoiled() {
  Message out = chance_.one_of(recent_);
  switch (chance_.below(3)) {
    case 0:
      out.payload = "\x07garbage";
      break;
    case 1:
      out.payload.resize(out.payload.size() / 2);
      break;
    default: {
      const std::string_view key = std::string_view{out.subject}.substr(out.subject.find("vehicle.") + 8);
      out = made((out.partition + 1) % partitions_, key.substr(0, key.find('.')), out.payload);
    }
  }
  return out;
}

Traffic::Message Traffic::made(Partition partition, std::string_view key, std::string payload) const {
  const std::string prefix = partitions_ > 1 ? weir::format("p.{}.", partition) : "";
  return {partition, weir::format("{}vehicle.{}.telemetry", prefix, key), std::move(payload)};
}

void Traffic::publish(Client& client, Message message) {
  if (message.partition == back_) return held_back_.push_back(std::move(message));
  const std::string id = std::to_string(++published_);
  std::uint64_t sequence = 0;
  const Timestamp until = system_clock().steady() + longest_answer;
  while (sequence == 0 && !give_up_) {
    sequence = client.publish(message, id);
    if (sequence == 0) pause(20 * millisecond);
    if (sequence == 0 && system_clock().steady() > until) give_up_ = true;
  }
  if (sequence == 0) return;
  const std::size_t content = content_of(message.subject, message.payload);
  {
    const std::scoped_lock lock{mutex_};
    acknowledged_.push_back({message.partition, sequence, content});
    last_[message.partition] = std::max(last_[message.partition], sequence);
  }
  recent_.push_back(std::move(message));
  if (recent_.size() > most_recent) recent_.pop_front();
}

}  // namespace weir::faults
