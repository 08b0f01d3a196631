#include <algorithm>
#include <unordered_map>
#include <utility>

#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_counting.hpp"

namespace {
using namespace weir;

/// One value of the bucket, as the last tick's reading knows it.
struct Entry {
  std::string key;  ///< "vehicle.sensor"
  std::string value;
  Timestamp stored = no_time;
  bool there = true;  ///< not removed from the bucket
  bool changed = true;
};

/// What a tick gives out, in parts; parts keep it alive.
struct Reading {
  std::string bytes;
  std::vector<Message> messages;
};

/// Key and field of a value, by its key in the bucket.
void take_apart(Message& message) {
  const auto dot = message.subject.rfind('.');
  message.key = message.subject.substr(0, dot);
  if (dot != std::string_view::npos) message.field = message.subject.substr(dot + 1);
}

class JetStreamKv final : public Source {
  /// Positions are a tick's time in ms and the number of a value in it; of more, those of the next ms, as ticks are
  /// 10 ms apart at least. Enough until 2109.
  static constexpr Position numbers_per_ms = 1u << 21;
  static constexpr Duration longest_catching_up = 30 * second;

 public:
  JetStreamKv(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        every_{settings.duration("every")},
        only_changed_{settings.boolean("only_changed")},
        received_{context.counter("received")},
        ticks_{context.counter("ticks")},
        missed_{context.counter("missed")},
        restarts_{context, "restarts"},
        reconnects_{context, "reconnects"},
        complaints_{context} {}

  Result<Position> open(Position after) override {
    entries_.clear();
    by_key_.clear();
    known_.clear();
    sequence_ = after;
    again_up_to_ = static_cast<Timestamp>(after / numbers_per_ms) * millisecond;
    given_up_to_ = again_up_to_ + millisecond;
    caught_up_ = false;
    return connect().transform([&] { return after; });
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    if (reading_ != nullptr) return hand_out(budget);
    if (!watch_ || connection_->closed()) {
      if (auto again = reconnect(); !again) return std::unexpected(again.error());
    }
    const Duration left = until_next_tick();
    const bool catching_up = !caught_up_ && watch_->behind() > 0;
    const auto came = watch_->follow([&](const auto& update) { keep(update); },
                                     catching_up ? budget.wait : std::clamp<Duration>(left, 0, budget.wait), stop);
    restarts_.reach(watch_->restarts());
    reconnects_.reach(connection_->reconnects());
    complaints_.hear(*connection_);
    if (!came && came.error().kind == Error::Kind::changed) {
      // Current values have no past that could be missed, and whoever writes them makes their bucket again.
      context_.warn(came.error().message + "; it is looked for, or made, again");
      watch_.reset();
      return Pulled{};
    }
    if (!came) return std::unexpected(came.error());
    const Timestamp now = context_.clock().now();
    const Duration late = now - next_tick_;
    const bool lags = watch_->behind() > 0;
    // Of what the bucket held a first tick would tell a part, and the rest would be taken for new. A server that sends
    // nothing may have lost what it announced.
    if (!caught_up_ && lags && (*came > 0 || late < longest_catching_up)) return Pulled{};
    // Behind its own changes a tick would tell of the past, but under constant writing it must not wait for ever.
    if (late < 0 || (lags && *came > 0 && late < every_ / 4)) return Pulled{};
    caught_up_ = true;
    known_.clear();
    const Timestamp known = std::exchange(again_up_to_, 0);
    // What was there at the ticks between, and was overwritten, nobody will ever see.
    if (known != 0 && next_tick_ - known > every_)
      context_.count(missed_, static_cast<std::uint64_t>((next_tick_ - known) / every_ - 1));
    if (known == 0 || !read_again(known)) read(now);
    return hand_out(budget);
  }

  std::uint64_t waiting() const override { return 0; }

 private:
  Result<void> connect() {
    watch_.reset();
    jetstream_.reset();
    auto connection = nats::Connection::open(nats::Access::from(settings_),
                                             std::string{"weir "}.append(context_.pipeline()).append(" source"),
                                             nats::Connection::Use::consume);
    if (!connection) return std::unexpected(connection.error());
    connection_ = std::move(*connection);
    auto jetstream = nats::JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    jetstream_ = std::move(*jetstream);
    const auto& bucket = settings_.text("bucket");
    const auto kept_for = nats::ensure_bucket(*jetstream_, {.name = bucket, .create = settings_.boolean("create")});
    if (!kept_for) return std::unexpected(kept_for.error());
    kept_for_ = *kept_for;
    watch_ = std::make_unique<nats::BucketWatch>(*jetstream_, bucket, context_.clock());
    next_tick_ = tick_after(context_.clock().now());
    return watch_->start();
  }

  /// Reads the bucket from its beginning over another connection. What was given out is not given out again.
  Result<void> reconnect() {
    for (const auto& entry : entries_) {
      if (caught_up_ && entry->there && !entry->changed) known_.emplace(std::move(entry->key), entry->stored);
    }
    entries_.clear();
    by_key_.clear();
    caught_up_ = false;
    const Timestamp next = next_tick_;
    return connect().transform([&] {
      if (next_tick_ > next) context_.count(missed_, static_cast<std::uint64_t>((next_tick_ - next) / every_));
    });
  }

  Timestamp tick_after(Timestamp now) const { return (now / every_ + 1) * every_; }

  /// If the clock went back by more than a tick, ticks start over: waiting for the one that was next would take as long
  /// as it went back. Those that come a second time do no harm, as the engine holds arrival time where it was until
  /// they have passed it. After less than that the next one is waited for, so that none comes twice.
  Duration until_next_tick() {
    const Timestamp now = context_.clock().now();
    if (next_tick_ - now > 2 * every_) {
      context_.warn(weir::format(
          "the clock went back by about {}: ticks start over at {}; until {} arrival time stands still, and rows that "
          "wait for it come that much late",
          format_duration((next_tick_ - now) / every_ * every_), format_rfc3339(tick_after(now)),
          format_rfc3339(next_tick_)));
      next_tick_ = tick_after(now);
    }
    return next_tick_ - now;
  }

  void keep(const nats::BucketWatch::Update& update) {
    const auto found = by_key_.find(update.key);
    if (update.removed) {
      if (found == by_key_.end()) return;
      found->second->there = false;  // read() frees it; the key may come again before
      by_key_.erase(found);
      return;
    }
    Entry* entry = found == by_key_.end() ? nullptr : found->second;
    if (entry == nullptr) {
      entry = entries_.emplace_back(std::make_unique<Entry>()).get();
      entry->key = update.key;
      by_key_.emplace(entry->key, entry);
    }
    entry->value = update.value;
    entry->stored = update.stored;
    entry->there = true;
    const auto known = known_.find(entry->key);
    entry->changed = known == known_.end() || known->second != entry->stored;
  }

  /// What was there at the last committed tick, as messages of the ticks that gave it out then, and a marker of the
  /// last one. By two clocks, so what was written just before may not have been given out; it is known all the same.
  /// False: there was nothing.
  bool read_again(Timestamp last) {
    std::vector<Entry*> known;
    for (const auto& entry : entries_) {
      if (entry->there && entry->stored <= last) known.push_back(entry.get());
    }
    if (known.empty()) return false;
    std::ranges::stable_sort(known, {}, &Entry::stored);
    reading_ = std::make_shared<Reading>();
    reserve();
    for (Entry* entry : known) {
      entry->changed = false;
      add(*entry);
      reading_->messages.back().arrival = std::min(tick_after(entry->stored - 1), last);
    }
    reading_->messages.push_back({.sequence = ++sequence_, .arrival = last, .marker = true});
    given_ = 0;
    return true;
  }

  void reserve() const {
    std::size_t size = 0;
    for (const auto& entry : entries_) size += entry->key.size() + entry->value.size();
    reading_->bytes.reserve(size);
  }

  /// Copies the bucket as it is now, as messages of this tick; a marker if there is nothing to tell, as time passes.
  void read(Timestamp now) {
    std::erase_if(entries_, [&](const auto& entry) {
      // What becomes too old leaves the bucket without a word. By two clocks, so each is given out once at least.
      const bool expired = kept_for_ > 0 && entry->there && !entry->changed && now - entry->stored >= kept_for_;
      if (expired) by_key_.erase(entry->key);
      return expired || !entry->there;
    });
    const Timestamp following = tick_after(now);
    tick_ = following - every_;
    // Positions tell the tick, for a start that knows nothing else; a clock that was set back must not take them back.
    sequence_ = std::max(sequence_, static_cast<Position>(tick_ / millisecond) * numbers_per_ms);
    reading_ = std::make_shared<Reading>();
    reserve();
    for (const auto& entry : entries_) {
      if (only_changed_ && !entry->changed) continue;
      entry->changed = false;
      add(*entry);
    }
    given_ = 0;
    context_.count(ticks_, 1);
    context_.count(missed_, static_cast<std::uint64_t>((following - next_tick_) / every_ - 1));
    next_tick_ = following;
    if (reading_->messages.empty()) reading_->messages.push_back({.sequence = ++sequence_, .marker = true});
    // Where the clock was set back, too, what is new must not be taken for what is read again.
    for (auto& message : reading_->messages) message.arrival = std::max(tick_, given_up_to_);
  }

  void add(const Entry& entry) {
    const auto place = [&](std::string_view text) {
      const auto begin = reading_->bytes.size();
      reading_->bytes.append(text);
      return std::string_view{reading_->bytes}.substr(begin);
    };
    Message message{.subject = place(entry.key), .payload = place(entry.value)};
    take_apart(message);
    message.sequence = ++sequence_;
    reading_->messages.push_back(message);
  }

  Pulled hand_out(const Budget& budget) {
    struct Part {
      std::shared_ptr<const Reading> reading;
      Messages messages;
    };
    auto part = std::make_shared<Part>();
    part->reading = reading_;
    std::size_t bytes = 0;
    while (given_ < reading_->messages.size() && part->messages.items.size() < budget.messages &&
           bytes < budget.bytes) {
      const auto& message = reading_->messages[given_++];
      bytes += message.subject.size() + message.payload.size();
      part->messages.items.push_back(message);
    }
    if (given_ == reading_->messages.size()) reading_.reset();
    context_.count(received_,
                   static_cast<std::uint64_t>(std::ranges::count(part->messages.items, false, &Message::marker)));
    const Messages* messages = &part->messages;
    return {Pulled::State::messages, std::shared_ptr<const Messages>{std::move(part), messages}};
  }

  Settings settings_;
  Context& context_;
  Duration every_;
  bool only_changed_;
  std::size_t received_, ticks_, missed_;
  nats::Growth restarts_, reconnects_;
  nats::Complaints complaints_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::JetStream> jetstream_;
  std::unique_ptr<nats::BucketWatch> watch_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::unordered_map<std::string_view, Entry*> by_key_;
  std::unordered_map<std::string, Timestamp> known_;  ///< when what was given out before a new connection was stored
  std::shared_ptr<Reading> reading_;                  ///< what of the last tick is still to give out; null: nothing
  std::size_t given_ = 0;
  Timestamp tick_ = 0;
  Timestamp next_tick_ = 0;
  Timestamp again_up_to_ = 0;  ///< the tick whose values are to be given out once more first; 0: none
  Timestamp given_up_to_ = 0;  ///< before the first tick of this run
  Position sequence_ = 0;
  Duration kept_for_ = 0;   ///< values, in the bucket; 0: for ever
  bool caught_up_ = false;  ///< what was in the bucket at the start has been read
};

Spec spec() {
  auto out = nats::with_access(Spec::source("the current values in a bucket, read at every tick"));
  out.field("bucket", kind::text(), "bucket of current values, as the sink jetstream-kv writes them, in JSON")
      .field("every", kind::duration(), "distance of ticks, which are multiples of it since 1970", "1s")
      .between(static_cast<double>(10 * millisecond), static_cast<double>(60 * minute))
      .field("only_changed", kind::boolean(), "gives out only what was written since the tick before", "true")
      .field("create", kind::boolean(), "creates the bucket if it is absent", "true")
      .free_to_change({"create"})
      .counter("received", "values given out")
      .counter("ticks", "ticks at which the bucket was read")
      .counter("missed", "ticks that passed unread")
      .counter("restarts", "times a lost consumer was made again")
      .counter("reconnects", "times a lost connection was made again")
      .claims([](const Settings&) {
        Claims claims;
        claims.ordered = true;
        claims.clocked = true;
        claims.reminds = true;
        claims.because = "a bucket holds current values only: what changed twice between two ticks is seen once";
        return claims;
      })
      .check([](const Settings& s) { return nats::bucket_problems(s, "bucket"); })
      .subjects([](const Settings&, Message& message) { take_apart(message); })
      .details(
          "At a restart what was there at the last committed tick is read once more and makes state, but no rows. "
          "One message per bucket key; of \"vehicle.sensor\" the last token is the field, the rest the key. Arrival is "
          "the tick. A copy of the bucket is kept up to date in between, so a tick costs no round trip. What the bucket "
          "lets go of for its age (its max_age as of the start, by this worker's clock) is given out once at least.")
      .example(R"({ "id": "now", "source": "jetstream-kv", "bucket": "fleet-now" })");
  out.usual_encoding = "json";  // which the sink writes
  return out;
}

}  // namespace

WEIR_OPERATOR(sources, jetstream_kv, JetStreamKv, spec())
