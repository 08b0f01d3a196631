#include "clients/nats_current.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <weir/format.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_closure.hpp"

namespace weir::nats {
namespace {

constexpr std::int64_t in_flight = 4096;
constexpr Duration last_words = 2 * second;
constexpr Duration look_again = 100 * millisecond;     // whether it is to stop, while it catches up
constexpr Duration longest_catching_up = 30 * second;  // then what has come meanwhile has its turn
constexpr std::size_t most_single_reads = 100;         // beyond that, the whole bucket is read faster

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
  Writer(Config with, const Clock& time) : config{std::move(with)}, clock{time}, slots{config} {}

  Config config;
  const Clock& clock;

  mutable std::mutex mutex;  ///< for what is up to the blank line
  CurrentSlots::Values offered;
  std::uint64_t number = 0;     ///< of the last offer
  std::uint64_t overtaken = 0;  ///< values offered that a newer one replaced in `offered`
  std::string trouble;
  bool hurried = false;

  std::condition_variable_any wake;        ///< with the mutex: hurried
  std::atomic<std::uint64_t> durable = 0;  ///< all offers up to this number are

  // Only the thread's.
  std::unique_ptr<Connection> connection;
  std::unique_ptr<JetStream> jetstream;
  jsCtx* publishing = nullptr;
  std::shared_ptr<Outcomes> outcomes;
  bool published = false;  ///< by it; the library has no list of what is pending before
  std::unique_ptr<BucketWatch> watch;
  CurrentSlots slots;
  Timestamp end = end_of_time;  ///< until when it may take to write what waits, by the steady clock

  std::jthread thread;

  void run(const std::stop_token& stop);
  bool rest(Duration pause, bool answers, const std::stop_token& stop);
  Result<void> connect(const std::stop_token& stop);
  void disconnect();
  void gather();
  void say(std::string why);
  Result<void> watch_bucket();
  Result<std::size_t> follow(Duration wait, const std::stop_token& stop);
  Result<void> follow_all(const std::stop_token& stop);
  Result<bool> catch_up(const std::stop_token& stop);
  Error lost() const;
  Result<void> write(std::int64_t wait_ms, const std::stop_token& stop);
  bool publish(const CurrentSlots::Write& value);
  using Conflicts =
      std::vector<std::pair<std::string, std::uint64_t>>;  ///< subjects, and the revisions that were tried
  Result<void> resolve(Conflicts conflicts, const std::stop_token& stop);
  std::string key_of(std::string_view subject) const {
    return std::string{subject.substr(bucket_subject(config.bucket, "").size())};
  }

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
    config.counted(slots.take_counts());
    auto done = connect(stop);
    if (done) done = follow_all(stop);
    if (done) done = write(answer_wait / millisecond, stop);
    durable.store(slots.durable(), std::memory_order_release);
    slots.prune(clock.steady());
    answers = done.has_value();
    pause = done ? config.every : std::clamp<Duration>(pause * 2, 100 * millisecond, 2 * second);
    say(done ? "" : "current values wait: " + done.error().message);
    if (!done) disconnect();
  }
  gather();
  // Where nothing waits for it with its commits: another worker may still write the same keys, so whoever meets it has
  // to look and write again.
  end = clock.steady() + last_words;
  for (bool reachable = trouble.empty(); reachable && slots.waiting() > 0 && clock.steady() < end;) {
    reachable = connect({}).has_value();
    if (!reachable) break;
    reachable = write(std::max<Duration>((end - clock.steady()) / millisecond, 1), {}).has_value();
  }
  disconnect();
  auto counts = slots.take_counts();
  counts.given_up = slots.waiting();
  if (counts.given_up > 0)
    config.warn(weir::format("{} current values were not written before the end", counts.given_up));
  config.counted(counts);
}

/// What is to hurry need not wait for more to come, but a server that does not answer is not asked more often. False:
/// to stop.
bool CurrentValues::Writer::rest(Duration pause, bool answers, const std::stop_token& stop) {
  std::unique_lock lock{mutex};
  wake.wait_for(lock, stop, std::chrono::nanoseconds{pause}, [&] { return answers && hurried; });
  hurried = false;  // what comes from here on is for the next time
  return !stop.stop_requested();
}

void CurrentValues::Writer::say(std::string why) {
  if (!why.empty()) config.warn(why);
  const std::lock_guard lock{mutex};
  trouble = std::move(why);
}

Result<void> CurrentValues::Writer::connect(const std::stop_token& stop) {
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
  options.PublishAsync.StallWait = answer_wait / millisecond;
  options.PublishAsync.AckHandler = Writer::answered;
  outcomes = std::make_shared<Outcomes>();
  outcomes->closure.emplace(outcomes);
  options.PublishAsync.AckHandlerClosure = outcomes->closure->value();
  if (natsConnection_JetStream(&publishing, connection->handle(), &options) != NATS_OK)
    return std::unexpected(connection->down());
  if (auto begun = watch_bucket(); !begun) return begun;
  if (slots.waiting() == 0) return {};
  return catch_up(stop).transform([](bool) {});  // each value that it knew would be a conflict
}

/// Begins with what the bucket has now.
Result<void> CurrentValues::Writer::watch_bucket() {
  watch = nullptr;
  auto following = std::make_unique<BucketWatch>(*jetstream, config.bucket, clock);
  if (auto begun = following->start(); !begun) return begun;
  watch = std::move(following);
  return {};
}

void CurrentValues::Writer::disconnect() {
  watch.reset();
  slots.distrust();
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

void CurrentValues::Writer::gather() {
  CurrentSlots::Values fresh;
  std::uint64_t up_to = 0;
  {
    const std::lock_guard lock{mutex};
    fresh.swap(offered);
    up_to = number;
    slots.count_coalesced(std::exchange(overtaken, 0));
  }
  slots.gather(std::move(fresh), up_to, clock.steady());
}

/// Takes up what has changed in the bucket: a hint that saves conflicts, nothing more. Answers how many changes came.
Result<std::size_t> CurrentValues::Writer::follow(Duration wait, const std::stop_token& stop) {
  return watch->follow(
      [&](const BucketWatch::Update& update) {
        slots.know(bucket_subject(config.bucket, update.key), update.revision,
                   update.removed ? std::string_view{} : update.value);
      },
      wait, stop);
}

/// All that has come. What it did not hear of costs conflicts, but of a bucket that was made anew it never hears again.
Result<void> CurrentValues::Writer::follow_all(const std::stop_token& stop) {
  for (std::size_t round = 0; round < 16; ++round) {
    const auto came = follow(0, stop);
    if (!came && came.error().kind == Error::Kind::changed) return std::unexpected(came.error());
    if (!came || *came == 0) return {};
  }
  return {};
}

/// The same until it is at the bucket's end, or hears of no more, however far away the server is. False: there is more.
Result<bool> CurrentValues::Writer::catch_up(const std::stop_token& stop) {
  Timestamp heard = clock.steady();
  const Timestamp until = std::min(end, heard + longest_catching_up);
  while (watch->behind() != 0) {
    const Timestamp now = clock.steady();
    if (now - heard >= answer_wait) return true;
    if (stop.stop_requested() || now >= until) return false;
    const auto came = follow(look_again, stop);
    if (!came) return std::unexpected(came.error());
    if (*came != 0) heard = clock.steady();
  }
  return true;
}

bool CurrentValues::Writer::publish(const CurrentSlots::Write& value) {
  natsMsg* message = nullptr;
  if (natsMsg_Create(&message, value.subject.c_str(), nullptr, value.payload.data(),
                     static_cast<int>(value.payload.size())) != NATS_OK)
    return false;
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = answer_wait / millisecond;
  options.ExpectLastSubjectSeq = value.revision;
  options.ExpectNoMessage = value.revision == 0;
  published = true;
  const natsStatus sent = js_PublishMsgAsync(publishing, &message, &options);
  const std::size_t headers =
      sent == NATS_MAX_PAYLOAD ? static_cast<std::size_t>(natsMsgHeader_EncodedLength(message)) : 0;
  natsMsg_Destroy(message);
  if (sent == NATS_MAX_PAYLOAD) slots.refuse(value.subject, connection->too_large(value.payload.size() + headers));
  return sent == NATS_OK || sent == NATS_MAX_PAYLOAD;
}

Result<void> CurrentValues::Writer::write(std::int64_t wait_ms, const std::stop_token& stop) {
  if (slots.waiting() == 0) return {};
  bool ended = false;
  const bool sent = slots.each_waiting([&](const CurrentSlots::Write& value) {
    ended = stop.stop_requested() || clock.steady() >= end;
    return !ended && publish(value);
  });
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = wait_ms;
  const bool complete = js_PublishAsyncComplete(publishing, &options) == NATS_OK;
  std::vector<Outcome> done;
  {
    const std::lock_guard lock{outcomes->mutex};
    done.swap(outcomes->came);
  }
  Result<void> stored;
  Conflicts conflicts;
  for (auto& outcome : done) {
    if (outcome.revision != 0) {
      slots.written(outcome.subject, outcome.revision);
    } else if (outcome.too_large) {
      slots.refuse(outcome.subject,
                   weir::format("too large for bucket {}: {}; raise its max_msg_size", config.bucket, outcome.why));
    } else if (outcome.conflict) {
      const std::uint64_t tried = slots.revision(outcome.subject);
      conflicts.emplace_back(std::move(outcome.subject), tried);
    } else {
      const std::string denied = connection->denied();
      stored = fail(Error::Kind::refused, weir::format("bucket {} does not take {}: {}", config.bucket,
                                                       key_of(outcome.subject), denied.empty() ? outcome.why : denied));
    }
  }
  if ((!sent && !ended) || !complete) return std::unexpected(lost());
  if (!stored) return stored;
  return resolve(std::move(conflicts), stop);
}

Error CurrentValues::Writer::lost() const {
  if (!connection->connected()) return connection->down();
  const std::string denied = connection->denied();
  return {Error::Kind::unreachable, weir::format("bucket {} does not answer{}", config.bucket,
                                                 denied.empty() ? "" : weir::format(" ({})", denied))};
}

/// Somebody wrote meanwhile, or wrote before this worker came: what is there now decides the next time round.
Result<void> CurrentValues::Writer::resolve(Conflicts conflicts, const std::stop_token& stop) {
  if (conflicts.empty()) return {};
  const auto at_end = catch_up(stop);
  if (!at_end) return std::unexpected(at_end.error());
  std::erase_if(conflicts, [&](const auto& conflict) { return slots.revision(conflict.first) != conflict.second; });
  // Begun anew, a far bucket would never be read to its end.
  if (!*at_end && conflicts.size() > most_single_reads) return {};
  for (const auto& [subject, tried] : conflicts) slots.distrust(subject);
  if (conflicts.size() > most_single_reads) {
    if (auto begun = watch_bucket(); !begun) return begun;
    return catch_up(stop).transform([](bool) {});
  }
  Bucket bucket{*jetstream, config.bucket};
  for (const auto& [subject, tried] : conflicts) {
    if (stop.stop_requested() || clock.steady() >= end) break;
    const auto value = bucket.newest(key_of(subject));
    if (!value) return std::unexpected(value.error());
    if (*value) slots.know(subject, (*value)->revision, (*value)->bytes);
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
  if (auto connected = writer_->connect({}); !connected) {
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

void CurrentValues::hurry() {
  const std::lock_guard lock{writer_->mutex};
  writer_->hurried = true;
  writer_->wake.notify_one();
}

std::string CurrentValues::trouble() const {
  const std::lock_guard lock{writer_->mutex};
  return writer_->trouble;
}

std::size_t CurrentValues::bytes() const { return writer_->slots.bytes(); }

}  // namespace weir::nats
