#include "clients/nats_current.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <functional>
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
  std::uint64_t id = 0;
  Current waiting;
  std::uint64_t since = 0;     ///< number of the oldest offer that waits; 0: none
  Timestamp used = no_time;    ///< when a value was offered last, by the steady clock
  bool told = false;           ///< that a value of it was refused
  std::size_t sent = 0;        ///< hash of what was published last
  std::uint64_t revision = 0;  ///< of the bucket's value, as far as known; 0: there is none
  Timestamp time = no_time;    ///< the same
  std::size_t payload = 0;     ///< the same; its hash
};

struct SubjectHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view subject) const { return std::hash<std::string_view>{}(subject); }
};
using Slots = std::unordered_map<std::string, Slot, SubjectHash, std::equal_to<>>;
/// A slot and its subject; stays where it is.
using Place = Slots::value_type;
/// Of an id: its slot and its subject, with the nodes of both tables; texts that wait are not counted.
constexpr std::size_t slot_bytes = sizeof(Place) + 120;

std::size_t hash_of(std::string_view payload) { return std::hash<std::string_view>{}(payload); }

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
  Writer(Config with, const Clock& time) : config{std::move(with)}, clock{time} {}

  Config config;
  const Clock& clock;

  mutable std::mutex mutex;  ///< for what is up to the blank line
  std::unordered_map<std::uint64_t, Current> offered;
  std::uint64_t number = 0;     ///< of the last offer
  std::uint64_t overtaken = 0;  ///< values offered that a newer one replaced in `offered`
  std::string trouble;

  std::atomic<std::uint64_t> durable = 0;  ///< all offers up to this number are
  std::atomic<std::size_t> bytes = 0;
  std::atomic<bool> hurried = false;

  // Only the thread's.
  std::unique_ptr<Connection> connection;
  std::unique_ptr<JetStream> jetstream;
  jsCtx* publishing = nullptr;
  std::shared_ptr<Outcomes> outcomes;
  bool published = false;  ///< by it; the library has no list of what is pending before
  std::unique_ptr<BucketWatch> watch;
  Slots slots;
  std::unordered_map<std::uint64_t, Place*> by_id;  ///< null: there can't be a subject
  std::vector<Place*> dirty;
  std::uint64_t gathered = 0;  ///< number of the last offer in the slots
  Timestamp pruned = no_time;
  Config::Counts counts;

  std::jthread thread;

  void run(const std::stop_token& stop);
  bool rest(Duration pause, bool answers, const std::stop_token& stop);
  Result<void> connect();
  void disconnect();
  Place* add_slot(std::uint64_t id);
  void gather();
  void prune();
  void note_durable();
  void say(std::string why);
  void follow(const std::stop_token& stop);
  Result<void> write(std::int64_t wait_ms);
  bool publish(Place& place);
  void refuse(Place& place, const std::string& why);
  Result<void> settle(const Outcome& outcome);
  void know(Place& place, std::uint64_t revision, std::string_view value);

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
  bool answers = true;
  while (rest(pause, answers, stop)) {
    gather();
    config.counted(std::exchange(counts, {}));
    auto done = connect();
    if (done) {
      follow(stop);
      done = write(ack_wait_ms);
    }
    note_durable();
    prune();
    answers = done.has_value();
    pause = done ? config.every : std::clamp<Duration>(pause * 2, 100 * millisecond, 2 * second);
    say(done ? "" : "current values wait: " + done.error().message);
    if (!done) disconnect();
  }
  gather();
  // Where nothing waits for it with its commits: another worker may still write the same keys, so whoever meets it has
  // to look and write again.
  const Timestamp deadline = clock.steady() + last_words;
  for (bool reachable = trouble.empty(); reachable && !dirty.empty() && clock.steady() < deadline;) {
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

/// What is to hurry need not wait for more to come, but a server that does not answer is not asked more often. False:
/// to stop.
bool CurrentValues::Writer::rest(Duration pause, bool answers, const std::stop_token& stop) {
  constexpr Duration slice = 100 * millisecond;
  for (; pause > slice && !(answers && hurried.load(std::memory_order_acquire)); pause -= slice) {
    if (!clock.wait(slice, stop)) return false;
  }
  return clock.wait(std::min(pause, slice), stop);
}

void CurrentValues::Writer::say(std::string why) {
  if (!why.empty()) config.warn(why);
  const std::lock_guard lock{mutex};
  trouble = std::move(why);
}

/// What is offered and waits, if only to be overwritten, is not durable.
void CurrentValues::Writer::note_durable() {
  std::uint64_t up_to = gathered;
  for (const Place* place : dirty) up_to = std::min(up_to, place->second.since - 1);
  durable.store(up_to, std::memory_order_release);
}

/// A slot is only what saves asking the bucket: what it knows is learnt again from a conflict.
void CurrentValues::Writer::prune() {
  const Timestamp now = clock.steady();
  if (pruned != no_time && now - pruned < std::min(config.forget, minute)) return;
  pruned = now;
  std::size_t taken = 0;
  for (auto place = slots.begin(); place != slots.end();) {
    const Slot& slot = place->second;
    const bool old = slot.since == 0 && now - slot.used >= config.forget;
    if (old) by_id.erase(slot.id);
    if (!old) taken += slot_bytes + place->first.capacity();
    place = old ? slots.erase(place) : std::next(place);
  }
  bytes.store(taken, std::memory_order_relaxed);
}

Result<void> CurrentValues::Writer::connect() {
  if (watch != nullptr) return {};
  auto made = Connection::open(config.access, config.connection, Connection::Use::publish);
  if (!made) return std::unexpected(made.error());
  connection = std::move(*made);
  auto opened = JetStream::open(*connection);
  if (!opened) return std::unexpected(opened.error());
  jetstream = std::move(*opened);
  if (auto bucket = ensure_bucket(*jetstream, {.name = config.bucket}); !bucket) return std::unexpected(bucket.error());
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
  // The bucket may be another one the next time, with the same revisions.
  for (auto& [subject, slot] : slots) slot.revision = 0;
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

/// Null if there can't be a subject.
Place* CurrentValues::Writer::add_slot(std::uint64_t id) {
  const auto [key, field] = config.names(id);
  if (!is_token(key) || !is_token(field)) return nullptr;
  auto subject = bucket_subject(config.bucket, weir::format("{}.{}", key, field));
  if (subject.size() > longest_subject) {
    config.warn(
        weir::format("{}... is not published: key and field have {} bytes together, in bucket {} they may have {}",
                     key.substr(0, 40), key.size() + field.size(), config.bucket,
                     longest_subject - (subject.size() - key.size() - field.size())));
    return nullptr;
  }
  bytes.fetch_add(slot_bytes + subject.capacity(), std::memory_order_relaxed);
  return &*slots.try_emplace(std::move(subject), Slot{.id = id, .waiting = {}}).first;
}

void CurrentValues::Writer::gather() {
  std::unordered_map<std::uint64_t, Current> fresh;
  {
    const std::lock_guard lock{mutex};
    fresh.swap(offered);
    gathered = number;
    counts.coalesced += std::exchange(overtaken, 0);
  }
  const Timestamp now = clock.steady();
  for (auto& [id, value] : fresh) {
    const auto [known, added] = by_id.try_emplace(id, nullptr);
    if (added) known->second = add_slot(id);
    Place* const place = known->second;
    if (place == nullptr) {
      ++counts.refused;
      continue;
    }
    Slot& slot = place->second;
    slot.used = now;
    const bool waits = slot.since != 0;
    counts.coalesced += waits ? 1 : 0;
    if (waits && slot.waiting.time > value.time) continue;
    if (!waits) dirty.push_back(place);
    if (!waits) slot.since = gathered;
    slot.waiting = std::move(value);
  }
}

void CurrentValues::Writer::know(Place& place, std::uint64_t revision, std::string_view value) {
  auto& [subject, slot] = place;
  if (revision <= slot.revision) return;
  TimeOf found;
  const auto [key, field] = config.names(slot.id);
  const Message message{.subject = subject, .payload = value, .key = key, .field = field};
  slot.time = config.codec->decode(message, found) ? found.time : no_time;
  slot.revision = revision;
  slot.payload = hash_of(value);
}

void CurrentValues::Writer::follow(const std::stop_token& stop) {
  // Only a hint that saves conflicts: who is behind learns the revision from the conflict.
  for (int round = 0; round < 16; ++round) {
    const auto came = watch->follow(
        [&](const BucketWatch::Update& update) {
          const auto found = slots.find(bucket_subject(config.bucket, update.key));
          if (found != slots.end()) know(*found, update.revision, update.removed ? std::string_view{} : update.value);
        },
        0, stop);
    if (!came || *came == 0) return;
  }
}

bool CurrentValues::Writer::publish(Place& place) {
  auto& [subject, slot] = place;
  const Current& value = slot.waiting;
  const auto [key, field] = config.names(slot.id);
  const Sample sample{.key = key,
                      .field = field,
                      .time = value.time,
                      .x = value.x,
                      .y = value.y,
                      .z = value.z,
                      .text = value.text,
                      .kind = value.kind};
  const auto payload = config.codec->encode({&sample, 1}, true, true);
  if (!payload) {
    ++counts.refused;
    slot.since = 0;
    return true;
  }
  slot.sent = hash_of(*payload);
  // At the same time the later one stays, whoever wrote it; what is there already need not be written again.
  if (slot.revision != 0 && slot.time == value.time && slot.payload == slot.sent) {
    ++counts.superseded;
    slot.since = 0;
    return true;
  }
  natsMsg* message = nullptr;
  if (natsMsg_Create(&message, subject.c_str(), nullptr, payload->data(), static_cast<int>(payload->size())) != NATS_OK)
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
  if (sent == NATS_MAX_PAYLOAD) refuse(place, connection->too_large(payload->size() + headers));
  return sent == NATS_OK || sent == NATS_MAX_PAYLOAD;
}

/// Drops what would be refused for ever; the next value may fit.
void CurrentValues::Writer::refuse(Place& place, const std::string& why) {
  Slot& slot = place.second;
  slot.since = 0;
  ++counts.refused;
  if (std::exchange(slot.told, true)) return;
  const auto [key, field] = config.names(slot.id);
  config.warn(weir::format("{}.{} is not published: {}", key, field, why));
}

Result<void> CurrentValues::Writer::write(std::int64_t wait_ms) {
  if (dirty.empty()) return {};
  bool sent = true;
  for (Place* const place : dirty) {
    Slot& slot = place->second;
    if (slot.revision != 0 && slot.waiting.time < slot.time) {
      ++counts.superseded;
      slot.since = 0;
    } else if (!publish(*place)) {
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
  std::erase_if(dirty, [](const Place* place) { return place->second.since == 0; });
  if (!sent || !complete) return std::unexpected(connection->down());
  return settled;
}

Result<void> CurrentValues::Writer::settle(const Outcome& outcome) {
  const auto found = slots.find(outcome.subject);
  if (found == slots.end()) return {};
  Slot& slot = found->second;
  const auto [key, field] = config.names(slot.id);
  if (outcome.revision != 0) {
    slot.since = 0;
    slot.revision = outcome.revision;
    slot.time = slot.waiting.time;
    slot.payload = slot.sent;
    ++counts.written;
  } else if (outcome.too_large) {
    refuse(*found, weir::format("too large for bucket {}: {}; raise its max_msg_size", config.bucket, outcome.why));
  } else if (outcome.conflict) {
    // Somebody wrote meanwhile: what is there now decides the next time round.
    Bucket bucket{*jetstream, config.bucket};
    const auto value = bucket.newest(weir::format("{}.{}", key, field));
    if (!value) return std::unexpected(value.error());
    slot.revision = 0;
    slot.time = no_time;
    if (*value) know(*found, (*value)->revision, (*value)->bytes);
  } else {
    return fail(Error::Kind::refused,
                weir::format("bucket {} does not take {}.{}: {}", config.bucket, key, field, outcome.why));
  }
  return {};
}

CurrentValues::CurrentValues(Config config, const Clock& clock)
    : writer_{std::make_unique<Writer>(std::move(config), clock)} {}

CurrentValues::~CurrentValues() {
  if (writer_->thread.joinable()) {
    writer_->thread.request_stop();
    writer_->thread.join();
  }
}

Result<void> CurrentValues::open() {
  if (auto connected = writer_->connect(); !connected) {
    writer_->disconnect();
    return connected;
  }
  writer_->thread = std::jthread{[this](const std::stop_token& stop) { writer_->run(stop); }};
  return {};
}

void CurrentValues::offer(std::vector<Current>&& values) {
  const std::lock_guard lock{writer_->mutex};
  ++writer_->number;
  for (auto& value : values) {
    const auto [kept, added] = writer_->offered.try_emplace(value.id);
    writer_->overtaken += added ? 0 : 1;
    if (added || kept->second.time <= value.time) kept->second = std::move(value);
  }
}

std::uint64_t CurrentValues::offered() const {
  const std::lock_guard lock{writer_->mutex};
  return writer_->number;
}

bool CurrentValues::durable(std::uint64_t number) const {
  return number <= writer_->durable.load(std::memory_order_acquire);
}

void CurrentValues::hurry() { writer_->hurried.store(true, std::memory_order_release); }

std::string CurrentValues::trouble() const {
  const std::lock_guard lock{writer_->mutex};
  return writer_->trouble;
}

std::size_t CurrentValues::bytes() const { return writer_->bytes.load(std::memory_order_relaxed); }

}  // namespace weir::nats
