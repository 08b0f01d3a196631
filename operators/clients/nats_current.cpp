#include "clients/nats_current.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include <weir/format.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_closure.hpp"
#include "clients/nats_subject.hpp"

namespace weir::nats {
namespace {

constexpr std::int64_t in_flight = 4096;
constexpr std::int64_t ack_wait_ms = 5'000;
constexpr Duration last_words = 2 * second;

/// Catches the time of a stored value.
class TimeOf final : public SampleSink {
 public:
  void add(const Sample& sample) override { time = sample.time.value_or(no_time); }
  Timestamp time = no_time;
};

/// What the writer knows of one (key, field).
struct Slot {
  std::string key, field, subject;
  Current waiting;
  bool dirty = false;
  bool told = false;           ///< that a value of it was refused
  bool ours = false;           ///< the bucket's value is the one we wrote
  std::uint64_t revision = 0;  ///< of the bucket's value, as far as known; 0: there is none
  Timestamp time = no_time;    ///< of the bucket's value, as far as known
};

/// What became of one publish.
struct Outcome {
  std::string subject;
  std::uint64_t revision = 0;  ///< 0: it failed
  bool conflict = false;
  bool too_large = false;
  std::string why = {};  ///< it failed
};

/// Where the library's thread leaves what became of the publishes of one connection.
struct Outcomes {
  std::mutex mutex;
  std::vector<Outcome> came;
  std::optional<Closure<Outcomes>> closure;
};

}  // namespace

struct CurrentValues::Writer {
  Writer(Config with, const Clock& time) : config{std::move(with)}, clock{time} {
    thread = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
  }

  Config config;
  const Clock& clock;

  std::mutex mutex;  ///< for offered and overtaken
  std::unordered_map<std::uint64_t, Current> offered;
  std::uint64_t overtaken = 0;  ///< values offered that a newer one replaced in `offered`

  // Only the thread's.
  std::unique_ptr<Connection> connection;
  std::unique_ptr<JetStream> jetstream;
  jsCtx* publishing = nullptr;
  std::shared_ptr<Outcomes> outcomes;
  bool published = false;  ///< by it; the library has no list of what is pending before
  std::unique_ptr<BucketWatch> watch;
  std::deque<Slot> slots;
  std::unordered_map<std::uint64_t, std::size_t> by_id;
  std::unordered_map<std::string_view, std::size_t> by_subject;
  std::vector<std::size_t> dirty;
  Config::Counts counts;

  std::jthread thread;

  void run(const std::stop_token& stop);
  Result<void> connect();
  void disconnect();
  void add_slot(std::uint64_t id);
  void gather();
  void follow(const std::stop_token& stop);
  Result<void> write(std::int64_t wait_ms);
  bool publish(Slot& slot);
  void refuse(Slot& slot, const std::string& why);
  Result<void> settle(const Outcome& outcome);
  void know(Slot& slot, std::uint64_t revision, std::string_view value);

  static void answered(jsCtx*, natsMsg* message, jsPubAck* ack, jsPubAckErr* error, void* closure) {
    const auto outcomes = Closure<Outcomes>::find(closure);
    if (outcomes == nullptr) return natsMsg_Destroy(message);
    Outcome outcome{natsMsg_GetSubject(message)};
    if (error == nullptr && ack != nullptr) outcome.revision = ack->Sequence;
    outcome.conflict = error != nullptr && is_conflict(error->ErrCode);
    outcome.too_large = error != nullptr && error->ErrCode == JSStreamMessageExceedsMaximumErr;
    if (error != nullptr) outcome.why = error->ErrText != nullptr ? error->ErrText : natsStatus_GetText(error->Err);
    natsMsg_Destroy(message);
    const std::lock_guard lock{outcomes->mutex};
    outcomes->came.push_back(std::move(outcome));
  }
};

void CurrentValues::Writer::run(const std::stop_token& stop) {
  Duration pause = config.every;
  bool reachable = true;
  while (clock.wait(pause, stop)) {
    gather();
    config.counted(std::exchange(counts, {}));
    if (dirty.empty() && watch == nullptr) continue;
    auto done = connect();
    if (done) {
      follow(stop);
      done = write(ack_wait_ms);
    }
    pause = done ? config.every : std::clamp<Duration>(pause * 2, 100 * millisecond, 2 * second);
    reachable = done.has_value();
    if (!done) {
      config.warn("current values wait: " + done.error().message);
      disconnect();
    }
  }
  gather();
  // Another worker may still write the same keys: who meets it has to look and write again.
  const Timestamp deadline = clock.steady() + last_words;
  while (!dirty.empty() && reachable && clock.steady() < deadline) {
    reachable = connect().has_value();
    if (!reachable) break;
    follow({});
    reachable = write(std::max<Duration>((deadline - clock.steady()) / millisecond, 1)).has_value();
  }
  disconnect();
  counts.given_up += dirty.size();
  if (!dirty.empty()) config.warn(weir::format("{} current values were not written before the end", dirty.size()));
  config.counted(std::exchange(counts, {}));
}

Result<void> CurrentValues::Writer::connect() {
  if (watch != nullptr) return {};
  auto made = Connection::open(config.access, config.connection, Connection::Use::publish);
  if (!made) return std::unexpected(made.error());
  connection = std::move(*made);
  auto opened = JetStream::open(*connection);
  if (!opened) return std::unexpected(opened.error());
  jetstream = std::move(*opened);
  if (auto bucket = ensure_bucket(*jetstream, {.name = config.bucket}); !bucket) return bucket;
  jsOptions options;
  jsOptions_Init(&options);
  options.PublishAsync.MaxPending = in_flight;
  options.PublishAsync.StallWait = ack_wait_ms;
  options.PublishAsync.AckHandler = Writer::answered;
  outcomes = std::make_shared<Outcomes>();
  outcomes->closure.emplace(outcomes);
  options.PublishAsync.AckHandlerClosure = outcomes->closure->value();
  if (natsConnection_JetStream(&publishing, connection->handle(), &options) != NATS_OK)
    return std::unexpected(connection->down());
  auto following = std::make_unique<BucketWatch>(*jetstream, config.bucket, clock);
  if (auto begun = following->start(); !begun) return std::unexpected(begun.error());
  watch = std::move(following);
  return {};
}

void CurrentValues::Writer::disconnect() {
  watch.reset();
  if (std::exchange(published, false)) {
    natsMsgList pending{};
    if (js_PublishAsyncGetPendingList(&pending, publishing) == NATS_OK) natsMsgList_Destroy(&pending);
  }
  jetstream.reset();
  if (outcomes != nullptr) outcomes->closure.reset();
  outcomes.reset();  // what still comes may not answer what waits then
  jsCtx_Destroy(std::exchange(publishing, nullptr));
  connection.reset();
}

/// A slot without a subject if there can't be one.
void CurrentValues::Writer::add_slot(std::uint64_t id) {
  const auto [key, field] = config.names(id);
  std::string subject;
  if (is_token(key) && is_token(field)) subject = bucket_subject(config.bucket, weir::format("{}.{}", key, field));
  if (subject.size() > longest_subject) {
    config.warn(
        weir::format("{}... is not published: key and field have {} bytes together, in bucket {} they may have {}",
                     key.substr(0, 40), key.size() + field.size(), config.bucket,
                     longest_subject - (subject.size() - key.size() - field.size())));
    subject.clear();
  }
  slots.push_back({.key = std::string{key}, .field = std::string{field}, .subject = std::move(subject), .waiting = {}});
  if (const Slot& slot = slots.back(); !slot.subject.empty()) by_subject.emplace(slot.subject, slots.size() - 1);
}

void CurrentValues::Writer::gather() {
  std::unordered_map<std::uint64_t, Current> fresh;
  {
    const std::lock_guard lock{mutex};
    fresh.swap(offered);
    counts.coalesced += std::exchange(overtaken, 0);
  }
  for (auto& [id, value] : fresh) {
    const auto [place, added] = by_id.try_emplace(id, slots.size());
    if (added) add_slot(id);
    Slot& slot = slots[place->second];
    if (slot.subject.empty()) {
      ++counts.refused;
      continue;
    }
    counts.coalesced += slot.dirty ? 1 : 0;
    if (slot.dirty && slot.waiting.time > value.time) continue;
    if (!slot.dirty) dirty.push_back(place->second);
    slot.dirty = true;
    slot.waiting = std::move(value);
  }
}

void CurrentValues::Writer::know(Slot& slot, std::uint64_t revision, std::string_view value) {
  if (revision <= slot.revision) return;
  TimeOf found;
  const Message message{.subject = slot.subject, .payload = value, .key = slot.key, .field = slot.field};
  slot.time = config.codec->decode(message, found) ? found.time : no_time;
  slot.revision = revision;
  slot.ours = false;
}

void CurrentValues::Writer::follow(const std::stop_token& stop) {
  // Only a hint that saves conflicts: who is behind learns the revision from the conflict.
  for (int round = 0; round < 16; ++round) {
    const auto came = watch->follow(
        [&](const BucketWatch::Update& update) {
          const auto found = by_subject.find(bucket_subject(config.bucket, update.key));
          if (found != by_subject.end())
            know(slots[found->second], update.revision, update.removed ? std::string_view{} : update.value);
        },
        0, stop);
    if (!came || *came == 0) return;
  }
}

bool CurrentValues::Writer::publish(Slot& slot) {
  const Current& value = slot.waiting;
  const Sample sample{.key = slot.key,
                      .field = slot.field,
                      .time = value.time,
                      .x = value.x,
                      .y = value.y,
                      .z = value.z,
                      .text = value.text,
                      .kind = value.kind};
  const auto payload = config.codec->encode({&sample, 1}, true, true);
  if (!payload) {
    ++counts.refused;
    slot.dirty = false;
    return true;
  }
  natsMsg* message = nullptr;
  if (natsMsg_Create(&message, slot.subject.c_str(), nullptr, payload->data(), static_cast<int>(payload->size())) !=
      NATS_OK)
    return false;
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = ack_wait_ms;
  options.ExpectLastSubjectSeq = slot.revision;
  options.ExpectNoMessage = slot.revision == 0;
  published = true;
  const natsStatus sent = js_PublishMsgAsync(publishing, &message, &options);
  const std::size_t headers =
      sent == NATS_MAX_PAYLOAD ? static_cast<std::size_t>(natsMsgHeader_EncodedLength(message)) : 0;
  natsMsg_Destroy(message);
  if (sent == NATS_MAX_PAYLOAD) refuse(slot, connection->too_large(payload->size() + headers));
  return sent == NATS_OK || sent == NATS_MAX_PAYLOAD;
}

/// Drops what would be refused for ever; the next value may fit.
void CurrentValues::Writer::refuse(Slot& slot, const std::string& why) {
  slot.dirty = false;
  ++counts.refused;
  if (!std::exchange(slot.told, true))
    config.warn(weir::format("{}.{} is not published: {}", slot.key, slot.field, why));
}

Result<void> CurrentValues::Writer::write(std::int64_t wait_ms) {
  if (dirty.empty()) return {};
  bool sent = true;
  for (const std::size_t i : dirty) {
    Slot& slot = slots[i];
    if (slot.waiting.time < slot.time || (slot.waiting.time == slot.time && !slot.ours)) {
      ++counts.superseded;
      slot.dirty = false;
    } else if (!publish(slot)) {
      sent = false;
      break;
    }
  }
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = wait_ms;
  const bool complete = js_PublishAsyncComplete(publishing, &options) == NATS_OK;
  std::vector<Outcome> done;
  {
    const std::lock_guard lock{outcomes->mutex};
    done.swap(outcomes->came);
  }
  Result<void> settled;
  for (const auto& outcome : done) {
    if (auto one = settle(outcome); !one) settled = std::move(one);
  }
  std::erase_if(dirty, [&](std::size_t i) { return !slots[i].dirty; });
  if (!sent || !complete) return std::unexpected(connection->down());
  return settled;
}

Result<void> CurrentValues::Writer::settle(const Outcome& outcome) {
  const auto found = by_subject.find(outcome.subject);
  if (found == by_subject.end()) return {};
  Slot& slot = slots[found->second];
  if (outcome.revision != 0) {
    slot.dirty = false;
    slot.revision = outcome.revision;
    slot.time = slot.waiting.time;
    slot.ours = true;
    ++counts.written;
  } else if (outcome.too_large) {
    refuse(slot, weir::format("too large for bucket {}: {}; raise its max_msg_size", config.bucket, outcome.why));
  } else if (outcome.conflict) {
    // Somebody wrote meanwhile: what is there now decides the next time round.
    Bucket bucket{*jetstream, config.bucket};
    const auto value = bucket.newest(slot.key + "." + slot.field);
    if (!value) return std::unexpected(value.error());
    slot.revision = 0;
    slot.time = no_time;
    if (*value) know(slot, (*value)->revision, (*value)->bytes);
  } else {
    return fail(Error::Kind::refused,
                weir::format("bucket {} does not take {}.{}: {}", config.bucket, slot.key, slot.field, outcome.why));
  }
  return {};
}

CurrentValues::CurrentValues(Config config, const Clock& clock)
    : writer_{std::make_unique<Writer>(std::move(config), clock)} {}

CurrentValues::~CurrentValues() {
  writer_->thread.request_stop();
  writer_->thread.join();
}

void CurrentValues::offer(std::vector<Current>&& values) {
  const std::lock_guard lock{writer_->mutex};
  for (auto& value : values) {
    const auto [kept, added] = writer_->offered.try_emplace(value.id);
    writer_->overtaken += added ? 0 : 1;
    if (added || kept->second.time <= value.time) kept->second = std::move(value);
  }
}

}  // namespace weir::nats
