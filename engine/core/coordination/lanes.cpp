#include "core/coordination/lanes.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>

#include "core/observe/attempt.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/keeping.hpp"

namespace weir {
namespace {

/// `begins`: the position after which it does.
std::string describe(const LaneStart& start, Position begins) {
  if (start.committed() == 0)
    return start.at.resets == 0 ? "starts" : weir::format("starts over, with empty state, after {}", begins);
  std::string text = "goes on after position " + std::to_string(start.committed());
  if (start.after < start.committed()) text += ", replaying from " + std::to_string(start.after);
  return text;
}

/// What the one who had the partition before was told otherwise, as far as rows depend on it.
std::string other_rules(const LaneStart& start, const std::string& fingerprint) {
  std::string out;
  if (start.kept.empty()) return out;
  for (const Change& change : changes(start.kept.back().fingerprint, fingerprint)) {
    if (change.counts) out += (out.empty() ? "" : ", ") + change.words;
  }
  return out;
}

constexpr std::size_t tasks_at_once = 4;

}  // namespace

Lanes::Lanes(LaneRun::Surroundings around, CommitCycle& cycle, Snapshots& snapshots, std::string fence,
             std::function<void(event::Any)> tell)
    : around_{std::move(around)},
      cycle_{cycle},
      snapshots_{snapshots},
      fence_{std::move(fence)},
      tell_{std::move(tell)},
      tasks_{tasks_at_once} {
  const Node& source = around_.pipeline.nodes[around_.pipeline.source()];
  replayable_ = claims_of(source).replayable;
  reminds_ = claims_of(source).reminds;
  around_.events.step = [this](LaneId lane, LaneStep step) { tell_(event::Stepped{lane, std::move(step)}); };
  around_.events.ended = [this](LaneId lane, std::optional<Error> error) {
    tell_(event::Ended{lane, std::move(error)});
  };
  around_.events.credits_exhausted = [this] { tell_(event::Exhausted{}); };
  around_.events.snapshot = [this](LaneId id, Snapshot snapshot) {
    const std::scoped_lock lock{mutex_};
    const auto lane = lanes_.find(id.partition);
    if (lane == lanes_.end() || lane->second->id() != id) return;
    tasks_.submit([this, kept = lane->second, taken = std::move(snapshot)] { store(kept, taken, false); });
  };
}

Lanes::~Lanes() { close(); }

void Lanes::close() {
  finish_all();
  tasks_.close();
  std::map<Partition, LanePtr> lanes;  // end outside of the lock
  std::map<Partition, Opened> opened;
  const std::scoped_lock lock{mutex_};
  lanes.swap(lanes_);
  opened.swap(opened_);
}

// Acquiring.

void Lanes::acquire(LaneId lane) {
  tasks_.submit([this, lane] {
    auto opened = attempt("partition " + std::to_string(lane.partition), [&] { return restore(lane); });
    std::optional<Error> error;
    if (opened) {
      const std::scoped_lock lock{mutex_};
      opened_.insert_or_assign(lane.partition, *std::move(opened));
    } else {
      error = std::move(opened.error());
    }
    tell_(event::Restored{lane, std::move(error)});
  });
}

Result<Lanes::Opened> Lanes::restore(LaneId id) {
  auto acquired = cycle_.acquire(id.partition, replayable_);
  if (!acquired) return std::unexpected(acquired.error());
  tell_(event::Acquired{id});
  const Timestamp since = around_.clock.steady();
  Opened out{*std::move(acquired), nullptr, {}};
  LaneStart& start = out.acquired.start;
  if (!replayable_) go_on_without_replay(start, reminds_);
  auto opened = attempt("lane", [&]() -> Result<void> {
    out.lane = std::make_shared<LaneRun>(around_, threads_, id);
    const auto begins = out.lane->open(start);
    if (!begins) return std::unexpected(begins.error());
    out.begins = *begins;
    out.acquired.lane.reading(out.lane->begins());
    start.state = {};  // the lane has it
    return keep_first(*out.lane, id.partition, *begins, start).transform([&](std::string name) {
      out.snapshot = std::move(name);
    });
  });
  if (opened) {
    around_.counters.histogram(counted::restore_seconds).observe(seconds(around_.clock.steady() - since));
    return out;
  }
  out.lane.reset();
  cycle_.give_back(id.partition);
  return std::unexpected(opened.error());
}

/// A start in the middle of a stream must be findable again before the first commit. Where no store keeps it, lint has
/// said that it need not be.
Result<std::string> Lanes::keep_first(LaneRun& lane, Partition partition, Position begins, const LaneStart& start) {
  if (start.committed() != 0 || begins == 0 || !snapshots_.durable()) return {};
  return snapshots_.write(partition, fence_, lane.snapshot());
}

Result<Position> Lanes::run(LaneId id) {
  std::unique_lock lock{mutex_};
  auto opened = std::move(opened_.extract(id.partition).mapped());
  lock.unlock();
  auto installed = attempt("partition " + std::to_string(id.partition),
                           [&] { return cycle_.install(id.partition, opened.acquired); });
  if (!installed) return std::unexpected(installed.error());
  if (!opened.snapshot.empty()) cycle_.name_snapshot(id.partition, opened.snapshot, opened.begins);
  log_start(id.partition, opened);
  snapshot_at_[id.partition] = around_.clock.steady();
  snapshotting_.erase(id.partition);
  lock.lock();
  lanes_[id.partition] = opened.lane;
  lock.unlock();
  opened.lane->run();
  return opened.acquired.start.committed();
}

void Lanes::log_start(Partition partition, const Opened& opened) const {
  const LaneStart& start = opened.acquired.start;
  for (const std::string& sink : start.blank) {
    log::warn(
        "partition {}: sink {} has no progress although this pipeline has run: it gets all rows from the stream's "
        "first message on. If its table has them already, stop this worker",
        partition, sink);
  }
  if (!start.lost.empty()) {
    log::warn("partition {}: {}; {}", partition, start.lost,
              replayable_ ? "the state is made again from the stream's first message" : "it starts with empty state");
  }
  if (const std::string other = other_rules(start, around_.pipeline.fingerprint); !other.empty()) {
    log::warn(
        "partition {}: was run by other rules until now: {}; while workers of both are there, each makes its own rows "
        "of the partitions that it has",
        partition, other);
  }
  log::info("partition {}: {}", partition, describe(start, opened.begins));
}

// Running and ending.

void Lanes::stop(LaneId lane) {
  snapshotting_.insert(lane.partition);
  lanes_.at(lane.partition)->stop();
}

void Lanes::save(LaneId id) {
  tasks_.submit([this, lane = lanes_.at(id.partition)] {
    lane->finish();
    const auto state = attempt("partition " + std::to_string(lane->id().partition),
                               [&]() -> Result<std::optional<Snapshot>> { return final_snapshot(*lane); });
    if (state && *state) return store(lane, **state, true);
    tell_(event::Stored{.lane = lane->id(), .name = {}, .final = true});
  });
}

void Lanes::store(const LanePtr& lane, const Snapshot& snapshot, bool final) {
  const LaneId id = lane->id();
  const Timestamp since = around_.clock.steady();
  const auto written = attempt("store", [&] { return snapshots_.write(id.partition, fence_, snapshot); });
  if (written) {
    around_.counters.histogram(counted::snapshot_seconds).observe(seconds(around_.clock.steady() - since));
    around_.counters.histogram(counted::snapshot_bytes).observe(static_cast<double>(snapshot.state.size()));
  }
  if (!written)
    log::warn("partition {}: snapshot not written: {}; the next one comes in time", id.partition,
              written.error().message);
  tell_(event::Stored{id, written.value_or(""), snapshot.at.place.position, final});
}

/// Nothing of a lane that has only replayed, or stopped in the middle of a batch.
std::optional<Snapshot> Lanes::final_snapshot(LaneRun& lane) const {
  const LaneRun::Status status = lane.status();
  if (!snapshots_.durable() || status.failed || status.replaying) return {};
  // Where nothing was read there is no state, and a sink without progress is no wonder.
  Snapshot state = lane.snapshot();
  if (state.at.place.position == 0) return {};
  return state;
}

void Lanes::release(LaneId id) {
  std::unique_lock lock{mutex_};
  auto running = lanes_.extract(id.partition);
  auto opened = opened_.extract(id.partition);
  lock.unlock();
  // A lane that is still at work takes its time to end.
  tasks_.submit([this, id, running = std::move(running), opened = std::move(opened)]() mutable {
    running = {};
    opened = {};
    cycle_.give_back(id.partition);
    tell_(event::Released{id});
  });
}

void Lanes::committed(Partition partition, Position position) {
  if (const auto lane = lanes_.find(partition); lane != lanes_.end()) lane->second->committed(position);
}

void Lanes::want_snapshots(Timestamp now) {
  if (!snapshots_.durable()) return;
  for (auto& [partition, lane] : lanes_) {
    if (snapshotting_.contains(partition) || now - snapshot_at_[partition] < around_.pipeline.snapshot_every) continue;
    snapshot_at_[partition] = now;
    snapshotting_.insert(partition);
    lane->want_snapshot();
  }
}

void Lanes::finish_all() {
  for (auto& [partition, lane] : lanes_) lane->stop();
  for (auto& [partition, lane] : lanes_) lane->finish();
}

void Lanes::save_all(Timestamp until) {
  for (auto& [partition, lane] : lanes_) {
    const auto last = final_snapshot(*lane);
    if (!last) continue;
    const bool late = around_.clock.steady() >= until;
    auto name = late ? Result<std::string>{fail(Error::Kind::unreachable, "there was no time left (shutdown_timeout)")}
                     : attempt("store", [&] { return snapshots_.write(partition, fence_, *last); });
    if (name) {
      cycle_.name_snapshot(partition, *name, last->at.place.position);
      continue;
    }
    log::warn(
        "partition {}: drained without a snapshot: {}; the next worker replays from an earlier one, and a file "
        "with other rules is refused until this one has drained with one",
        partition, name.error().message);
  }
}

// What others ask.

std::vector<LaneRun::Status> Lanes::statuses() const {
  const std::scoped_lock lock{mutex_};
  std::vector<LaneRun::Status> out;
  for (const auto& [partition, lane] : lanes_) out.push_back(lane->status());
  return out;
}

std::vector<std::string> Lanes::conditions() const {
  const std::scoped_lock lock{mutex_};
  std::vector<std::string> out;
  for (const auto& [partition, lane] : lanes_) {
    auto status = lane->status();
    if (!status.condition.empty()) out.push_back(std::move(status.condition));
  }
  return out;
}

}  // namespace weir
