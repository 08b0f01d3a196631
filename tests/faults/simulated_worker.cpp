#include "faults/simulated_worker.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>

#include "fakes/letter_box.hpp"

namespace weir::faults {
namespace {

constexpr Duration heartbeat_every = second;  // as the worker's own
// Slower than the worker's, so that a simulation takes fewer steps.
constexpr Duration heartbeat_soon = 200 * millisecond;
constexpr Duration loop_every = 150 * millisecond;

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
  /// `sleep` has the others do something for so long, if it can.
  DriftingClock(Plant& plant, std::function<void(Duration)> sleep)
      : plant_{plant},
        sleep_{std::move(sleep)},
        ahead_{static_cast<Duration>(plant.dice.roll(1000)) * second},
        per_cent_{90 + static_cast<std::int64_t>(plant.dice.roll(21))} {}
  /// Somebody sets it forth and back all the time.
  Timestamp now() const override { return steady() - 500 * second + (plant_.now / (7 * second) % 5 - 2) * 30 * minute; }
  Timestamp steady() const override { return ahead_ + plant_.now / 100 * per_cent_; }
  /// Only a drain sleeps, which comes to its end also where time stands.
  bool wait(Duration length, std::stop_token) const override {
    const Timestamp until = steady() + length;
    sleep_(length);
    ahead_ += std::max<Duration>(0, until - steady());
    return false;
  }

 private:
  Plant& plant_;
  std::function<void(Duration)> sleep_;
  mutable Duration ahead_;
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
      clock_{std::make_unique<DriftingClock>(plant, [this](Duration length) { meanwhile_(*this, length); })},
      store_{plant.stored, wire_, lease_length / 100 * 85},
      snapshots_{store_, plant.pipeline.name, plant.databases.empty()},
      box_{std::make_unique<fakes::LetterBox>()} {
  make_cycle();
  make_lanes();
  for (Timestamp& due : due_) due = plant_.now;
}

void SimulatedWorker::make_cycle() {
  const Pipeline& pipeline = plant_.pipeline;
  std::vector<CommitSink> commit_sinks;
  const auto add = [&](std::unique_ptr<Sink> sink, Claims claims) {
    sinks_.push_back(std::move(sink));
    const std::size_t node = sinks_.size() + 1;
    commit_sinks.push_back({node, sinks_.back().get(), std::move(claims), pipeline.nodes[node].id});
  };
  for (const auto& database : plant_.databases)
    add(std::make_unique<SimulatedSink>(*database, number_, wire_), {.transactional = true});
  add(std::make_unique<ListSink>(plant_, wire_), {});
  ledger_ = std::make_unique<StoreLedger>(store_, snapshots_, 0, StoreLedger::Instance{name_, "0"}, *clock_);
  cycle_ = std::make_unique<CommitCycle>(pipeline, commit_sinks, snapshots_, *box_, counters_, *ledger_);
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
      plant_.safeguards,
      plant_.replayable,
      [this](event::Any event) { inbox_.push_back(std::move(event)); },
      [this] { return plant_.quiet; },
      [this](Partition partition, Position position) { check_released(partition, position); },
      [this](std::string what) { fail_with({Error::Kind::changed, what}, "lanes"); }};
  for (std::size_t i = 0; i < sinks_.size(); ++i) around.sinks.emplace_back(i + 2, sinks_[i].get());
  lanes_ = std::make_unique<SimulatedLanes>(std::move(around));
  loop_ = std::make_unique<WorkerLoop>(plant_.pipeline, *cycle_, *lanes_, credits_, *clock_);
}

Timestamp SimulatedWorker::due(Thread thread) const { return std::max(due_[thread], stalled_until_); }

bool SimulatedWorker::busy() const { return std::ranges::contains(running_, true); }

bool SimulatedWorker::busy(Thread thread) const { return running_[thread]; }

Duration SimulatedWorker::run(Thread thread) {
  running_[thread] = true;
  Duration again = loop_every;
  if (thread == loop) {
    started_ ? turn() : start();
  } else if (thread == lanes && started_) {
    lanes_->work();
  } else if (thread == task || thread == other_task) {
    lanes_->work_task();
  } else if (thread == renewing) {
    renew();
    again = lease_length / 3;
  } else if (thread == meeting && started_) {
    if (auto members = cycle_->sinks().heartbeat()) inbox_.emplace_back(event::Heartbeat{*std::move(members)});
    again = hurry_ ? heartbeat_soon : heartbeat_every;
  }
  running_[thread] = false;
  return again;
}

/// One that can't start ends, and is started again.
void SimulatedWorker::start() {
  const auto opened = cycle_->open();
  auto met = opened ? cycle_->sinks().heartbeat() : Result<Members>{std::unexpected(opened.error())};
  if (met) {
    loop_->handle(event::Heartbeat{*std::move(met)});
    started_ = true;
  } else if (met.error().kind == Error::Kind::unreachable) {
    kill();
  } else {
    fail_with(met.error(), "start");
  }
}

void SimulatedWorker::turn() {
  if (leaving_) return drain();
  receive();
  if (const auto turned = loop_->turn(); !turned) fail_with(turned.error(), "work");
  if (const auto outcome = loop_->start_outcome(); outcome && !*outcome) fail_with(outcome->error(), "start");
  hurry_ = loop_->partitions().expects_more(clock_->steady());
}

void SimulatedWorker::receive() {
  for (event::Any& told : std::exchange(inbox_, {})) loop_->handle(std::move(told));
}

void SimulatedWorker::drain() {
  if (const auto drained = loop_->drain([this] { receive(); }); !drained) fail_with(drained.error(), "drain");
  cycle_->release_all();
  cycle_->sinks().leave();
  kill();
}

void SimulatedWorker::renew() {
  for (const std::size_t index : cycle_->sinks().leased()) {
    const std::vector<LaneId> held = loop_->held();
    const auto lost = cycle_->sinks().renew(index);
    if (!lost) {
      fail_with(lost.error(), "renew");
      continue;
    }
    for (const LaneId lane : held) {
      if (std::ranges::contains(*lost, lane.partition)) inbox_.emplace_back(event::Lost{lane});
    }
  }
}

/// The next owner of what was handed over has nothing to read again.
void SimulatedWorker::check_released(Partition partition, Position position) {
  for (const auto& database : plant_.databases) {
    const Progress& kept = database->progress(partition);
    const bool named = position == 0 || kept.snapshot.contains(weir::format(".0.{}-", position));
    if (database->owner(partition) != number_ || (kept.place.position == position && named)) continue;
    fail_with({Error::Kind::internal, weir::format("partition {} was released at {}, with {} and snapshot {} committed",
                                                   partition, position, kept.place.position, kept.snapshot)},
              "hand-over");
  }
}

void SimulatedWorker::fail_with(const Error& error, const char* doing) {
  if (dead_ || error.kind == Error::Kind::unreachable || error.kind == Error::Kind::held) return;
  if (plant_.failure.empty()) plant_.failure = weir::format("{} {}: {}", name_, doing, error.message);
}

}  // namespace weir::faults
