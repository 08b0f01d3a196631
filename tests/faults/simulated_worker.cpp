#include "faults/simulated_worker.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>

#include "fakes/letter_box.hpp"

namespace weir::faults {
namespace {

// As the worker's own.
constexpr Duration first_backoff = 100 * millisecond;
constexpr Duration last_backoff = 10 * second;
constexpr Duration meet_every = second;
constexpr Duration idle_commit_every = second;
// Slower than the worker's, so that a simulation takes fewer steps.
constexpr Duration meet_soon = 200 * millisecond;
constexpr Duration loop_every = 150 * millisecond;
constexpr Duration commit_every = 300 * millisecond;

/// Not transactional: what was written is there once commit() was called, with or without an answer.
class ListSink final : public Sink {
 public:
  ListSink(Plant& plant, Wire& wire) : plant_{plant}, wire_{wire} {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override {
    written_.clear();
    return {};
  }
  Result<void> write(const Encoded& rows) override {
    for (const std::string& row : rows_of(rows)) written_.push_back(weir::format("{}: {}", rows.partition, row));
    return {};
  }
  Encoded encode(const BatchPtr& batch) const override { return encode_simulated(batch); }
  Result<Committed> commit(std::span<const LaneCommit>) override {
    for (auto& row : std::exchange(written_, {})) {
      if (!wire_.reaches()) return Wire::lost();
      plant_.list.push_back(std::move(row));
    }
    return Committed{};
  }

 private:
  Plant& plant_;
  Wire& wire_;
  std::vector<std::string> written_;
};

/// Neither begins where the others' do nor goes as fast.
class DriftingClock final : public Clock {
 public:
  explicit DriftingClock(Plant& plant)
      : plant_{plant},
        ahead_{static_cast<Duration>(plant.dice.roll(1000)) * second},
        per_cent_{90 + static_cast<std::int64_t>(plant.dice.roll(21))} {}
  /// Somebody sets it forth and back all the time.
  Timestamp now() const override { return steady() - 500 * second + (plant_.now / (7 * second) % 5 - 2) * 30 * minute; }
  Timestamp steady() const override { return ahead_ + plant_.now / 100 * per_cent_; }
  bool wait(Duration, std::stop_token) const override { return false; }

 private:
  Plant& plant_;
  Duration ahead_;
  std::int64_t per_cent_;
};

}  // namespace

SimulatedWorker::SimulatedWorker(Plant& plant, int number, std::function<void(SimulatedWorker&, Duration)> meanwhile)
    : plant_{plant},
      number_{number},
      name_{weir::format("worker{}", number)},
      meanwhile_{std::move(meanwhile)},
      wire_{[this] { meanwhile_(*this, 0); },
            [this] { return dead_ || (!plant_.calm && (plant_.now < plant_.down_until || plant_.dice.chance(10))); }},
      clock_{std::make_unique<DriftingClock>(plant)},
      store_{plant.stored, wire_, lease_length / 100 * 85},
      snapshots_{store_, plant.pipeline.name, plant.databases.empty()},
      box_{std::make_unique<fakes::LetterBox>()},
      backoff_{first_backoff} {
  make_cycle();
  make_lanes();
  for (Timestamp& due : due_) due = plant_.now;
}

void SimulatedWorker::make_cycle() {
  const Pipeline& pipeline = plant_.pipeline;
  std::vector<Outlet> outlets;
  const auto add = [&](std::unique_ptr<Sink> sink, Claims claims) {
    sinks_.push_back(std::move(sink));
    const std::size_t node = sinks_.size() + 1;
    outlets.push_back({node, sinks_.back().get(), std::move(claims), pipeline.nodes[node].id});
  };
  for (const auto& database : plant_.databases)
    add(std::make_unique<SimulatedSink>(*database, number_, wire_), {.transactional = true});
  add(std::make_unique<ListSink>(plant_, wire_), {});
  if (plant_.databases.empty()) leases_ = std::make_unique<StoreLeases>(store_, pipeline.name, name_, *clock_);
  cycle_ = std::make_unique<CommitCycle>(pipeline, outlets, snapshots_, *box_, counters_, leases_.get());
}

void SimulatedWorker::make_lanes() {
  SimulatedLanes::Surroundings around{
      plant_.dice,
      plant_.streams,
      *cycle_,
      snapshots_,
      name_,
      plant_.pipeline,
      plant_.registry,
      *clock_,
      credits_,
      {},
      plant_.safeguards.snapshots_tell_truth,
      {},
      [this] { return plant_.quiet; },
      [this](Partition partition, Position position) { check_given(partition, position); },
      [this](std::string what) { fail_with({Error::Kind::changed, what}, "lanes"); }};
  for (std::size_t i = 0; i < sinks_.size(); ++i) around.sinks.emplace_back(i + 2, sinks_[i].get());
  around.events.step = [this](LaneId lane, LaneStep step) {
    inbox_.emplace_back(event::Stepped{lane, std::move(step)});
  };
  around.events.snapshot = [this](LaneId lane, Snapshot snapshot) { to_store_.push_back({lane, std::move(snapshot)}); };
  around.events.ended = [this](LaneId lane, std::optional<Error> error) {
    inbox_.emplace_back(event::Ended{lane, std::move(error)});
  };
  lanes_ = std::make_unique<SimulatedLanes>(std::move(around));
  custody_ = std::make_unique<Custody>(
      plant_.pipeline, *lanes_, *cycle_, credits_, *clock_,
      [this](LaneId lane, Snapshot snapshot) { to_store_.push_back({lane, std::move(snapshot)}); });
}

Timestamp SimulatedWorker::due(Thread thread) const { return std::max(due_[thread], stalled_until_); }

bool SimulatedWorker::busy() const { return std::ranges::contains(running_, true); }

/// Leases in the store have one lock, for which the others would wait.
bool SimulatedWorker::busy(Thread thread) const { return leases_ ? busy() : running_[thread]; }

Duration SimulatedWorker::run(Thread thread) {
  running_[thread] = true;
  Duration again = loop_every;
  if (thread == loop) {
    started_ ? turn() : start();
  } else if (thread == lanes && started_) {
    lanes_->work();
  } else if (thread == storing && !to_store_.empty()) {
    store_snapshots();
  } else if (thread == renewing) {
    renew();
    again = lease_length / 3;
  } else if (thread == meeting && started_) {
    if (auto crew = cycle_->outlets().meet()) inbox_.emplace_back(event::Met{*std::move(crew)});
    again = hurry_ ? meet_soon : meet_every;
  }
  running_[thread] = false;
  return again;
}

/// One that can't start ends, and is started again.
void SimulatedWorker::start() {
  const auto opened = cycle_->open();
  const auto claimed = opened ? custody_->start({}) : opened;
  if (claimed) {
    started_ = true;
  } else if (claimed.error().kind == Error::Kind::unreachable) {
    kill();
  } else {
    fail_with(claimed.error(), "start");
  }
}

/// What Worker does once in its loop, in its order.
void SimulatedWorker::turn() {
  if (leaving_) return drain();
  handle_all();
  if (commit_is_due()) (void)commit();
  lanes_->want_snapshots();
  (void)custody_->turn(clock_->steady());
  hurry_ = custody_->expects_more(clock_->steady());
}

void SimulatedWorker::handle_all() {
  for (event::Any& told : std::exchange(inbox_, {})) std::visit([this](auto& one) { handle(one); }, told);
}

void SimulatedWorker::handle(event::Stepped& stepped) {
  const std::size_t bytes = stepped.step.bytes;
  credits_.give_back(lanes_->has(stepped.lane) ? cycle_->take(std::move(stepped.step)) : bytes);
}

void SimulatedWorker::handle(event::Stored& stored) {
  custody_->stored(stored.lane, std::move(stored.name), stored.position);
}

bool SimulatedWorker::commit_is_due() const {
  const Timestamp now = clock_->steady();
  if (now < next_try_ || (!cycle_->pending() && !custody_->ends_any())) return false;
  if (custody_->wants_commit()) return true;
  return now - last_commit_ >= (cycle_->pending_rows() > 0 ? commit_every : idle_commit_every);
}

bool SimulatedWorker::commit() {
  const auto report = cycle_->commit();
  last_commit_ = clock_->steady();
  if (!report) {
    next_try_ = last_commit_ + backoff_;
    backoff_ = std::min(backoff_ * 2, last_backoff);
    fail_with(report.error(), "commit");
    return false;
  }
  backoff_ = first_backoff;
  next_try_ = 0;
  credits_.give_back(report->bytes);
  custody_->committed(*report);
  return true;
}

void SimulatedWorker::commit_all() {
  backoff_ = first_backoff;
  for (int tries = 0; tries < 8 && cycle_->pending(); ++tries) {
    const bool done = commit();
    if (done && !cycle_->has_steps()) break;
    if (!done) meanwhile_(*this, backoff_);
  }
}

void SimulatedWorker::drain() {
  custody_->stop();
  lanes_->finish_all();
  handle_all();
  commit_all();
  for (const Partition partition : lanes_->partitions()) {
    const auto last = lanes_->state_at_rest(partition);
    if (!last) continue;
    if (auto name = snapshots_.write(partition, name_, *last))
      cycle_->name_snapshot(partition, *name, last->at.position);
  }
  commit_all();
  cycle_->release_all();
  cycle_->outlets().leave();
  kill();
}

/// May come late: when its worker has lost the partition long ago.
void SimulatedWorker::store_snapshots() {
  for (const event::Taken& taken : std::exchange(to_store_, {})) {
    const auto name = snapshots_.write(taken.lane.partition, name_, taken.snapshot);
    inbox_.emplace_back(event::Stored{taken.lane, name.value_or(""), taken.snapshot.at.position});
  }
}

void SimulatedWorker::renew() {
  for (const std::size_t outlet : cycle_->outlets().leased()) {
    const auto lost = cycle_->outlets().renew(outlet);
    if (!lost) {
      fail_with(lost.error(), "renew");
      continue;
    }
    for (const Partition partition : *lost) inbox_.emplace_back(event::Lost{partition});
  }
}

/// Whoever claims what was handed over has nothing to read again.
void SimulatedWorker::check_given(Partition partition, Position position) {
  for (const auto& database : plant_.databases) {
    const Progress& kept = database->progress(partition);
    const bool named = position == 0 || kept.snapshot.contains(weir::format(".0.{}-", position));
    if (database->owner(partition) != number_ || (kept.position == position && named)) continue;
    fail_with({Error::Kind::internal, weir::format("partition {} was let go at {}, with {} and snapshot {} committed",
                                                   partition, position, kept.position, kept.snapshot)},
              "hand-over");
  }
}

void SimulatedWorker::fail_with(const Error& error, const char* doing) {
  if (dead_ || error.kind == Error::Kind::unreachable || error.kind == Error::Kind::held) return;
  if (plant_.failure.empty()) plant_.failure = weir::format("{} {}: {}", name_, doing, error.message);
}

}  // namespace weir::faults
