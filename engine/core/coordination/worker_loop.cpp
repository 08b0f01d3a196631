#include "core/coordination/worker_loop.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"
#include "core/plan/keeping.hpp"

namespace weir {
namespace {

constexpr Duration idle_commit_every = second;  // for positions without rows

/// Whether somebody may put it right while the worker waits; a defect of ours, or a program that reads no more, stays.
bool can_be_mended(const Error& error) {
  return error.kind != Error::Kind::internal && error.kind != Error::Kind::stopped;
}

}  // namespace

WorkerLoop::WorkerLoop(const Pipeline& pipeline, CommitCycle& cycle, LaneHost& lanes, Credits& credits,
                       const Clock& clock, bool whole)
    : pipeline_{pipeline},
      cycle_{cycle},
      lanes_{lanes},
      credits_{credits},
      clock_{clock},
      whole_{whole},
      partitions_{claims_of(pipeline.nodes[pipeline.source()]).partitions},
      backoff_{first_backoff} {}

// Events.

void WorkerLoop::handle(event::Any event) {
  std::visit([this](auto& one) { on(one); }, event);
  act();
}

void WorkerLoop::on(event::Stepped& stepped) {
  LaneStep& step = stepped.step;
  credits_.give_back(partitions_.has(stepped.lane) ? cycle_.take(std::move(step)) : step.bytes);
}

void WorkerLoop::on(event::Restored& restored) {
  const auto& [lane, error] = restored;
  if (!error) return partitions_.restored(lane);
  if (error->kind == Error::Kind::held)
    weir::log::info("partition {}: {}; waiting for it", lane.partition, error->message);
  log(lane.partition, partitions_.failed_to_start(lane, *error, clock_.steady()), error->message);
}

void WorkerLoop::on(event::Ended& ended) {
  const auto& [lane, error] = ended;
  log(lane.partition, partitions_.ended(lane, error, clock_.steady()), error ? error->message : "");
}

void WorkerLoop::on(event::Stored& stored) {
  if (!partitions_.has(stored.lane)) return;
  stored.final ? partitions_.stored(stored.lane) : lanes_.snapshot_done(stored.lane.partition);
  if (!stored.name.empty()) cycle_.name_snapshot(stored.lane.partition, std::move(stored.name), stored.position);
}

void WorkerLoop::on(event::Lost& lost) {
  if (!partitions_.lost(lost.lane, clock_.steady())) return;
  weir::log::warn("partition {}: the lease is lost: another worker has it, or the line of progress is gone",
                  lost.lane.partition);
}

void WorkerLoop::on(event::Heartbeat& heartbeat) {
  cycle_.note_committed(std::exchange(heartbeat.members.committed, {}));
  const std::size_t missing = partitions_.missing();
  partitions_.assign(heartbeat.members, clock_.steady());
  if (partitions_.workers() != std::exchange(workers_, partitions_.workers()))
    weir::log::info("{} {} the partitions now", workers_, workers_ == 1 ? "worker has" : "workers share");
  if (const std::size_t now = partitions_.missing(); now != missing && now != 0) {
    weir::log::info(
        "waiting for {} of {} assigned partitions: other workers still own them; those of a dead worker "
        "are free when its lease has run out",
        now, partitions_.share());
  }
}

void WorkerLoop::log(Partition partition, PartitionManager::News news, const std::string& why) const {
  if (news == PartitionManager::News::failed)
    weir::log::error("partition {} stopped: {}", partition, PartitionManager::reason_of(partition, why));
  if (news == PartitionManager::News::failed_again)
    weir::log::warn("partition {} stopped once more, by the same as before", partition);
}

// Actions.

void WorkerLoop::act() {
  for (auto actions = partitions_.take_actions(); !actions.empty(); actions = partitions_.take_actions()) {
    for (const PartitionAction& action : actions) act(action);
  }
}

void WorkerLoop::act(const PartitionAction& action) {
  const Partition partition = action.lane.partition;
  note_held(action);
  switch (action.kind) {
    case PartitionAction::Kind::acquire:
      return lanes_.acquire(action.lane);
    case PartitionAction::Kind::run:
      return run(action.lane);
    case PartitionAction::Kind::stop:
      return lanes_.stop(action.lane);
    case PartitionAction::Kind::save:
      return lanes_.save(action.lane);
    case PartitionAction::Kind::release:
      if (!partitions_.has_error(partition))
        weir::log::info("partition {}: given to another worker after position {}", partition, lanes_.at(partition));
      credits_.give_back(cycle_.release(partition));
      return lanes_.release(action.lane);
    case PartitionAction::Kind::abandon:
      credits_.give_back(cycle_.lose(partition));
      return lanes_.release(action.lane);
  }
}

void WorkerLoop::note_held(const PartitionAction& action) {
  using enum PartitionAction::Kind;
  const std::scoped_lock lock{held_mutex_};
  if (action.kind == acquire) held_.insert_or_assign(action.lane.partition, action.lane);
  if (action.kind == release || action.kind == abandon) held_.erase(action.lane.partition);
}

std::vector<LaneId> WorkerLoop::held() const {
  const std::scoped_lock lock{held_mutex_};
  return {std::from_range, std::views::values(held_)};
}

void WorkerLoop::run(LaneId lane) {
  auto committed = attempt("partition " + std::to_string(lane.partition), [&] { return lanes_.run(lane); });
  if (committed) return partitions_.started(lane, *committed);
  const std::string why = committed.error().message;
  log(lane.partition, partitions_.failed_to_start(lane, std::move(committed.error()), clock_.steady()), why);
}

// Committing.

bool WorkerLoop::commit_is_due(Timestamp now) const {
  if (now < next_try_ || !cycle_.pending() || (whole_ && !started_)) return false;
  if (commit_now_ || partitions_.wants_commit() || cycle_.pending_rows() >= pipeline_.commit_rows) return true;
  // The first rows after a pause need not wait for others; under load a commit has whatever came since the last one.
  if (cycle_.pending_rows() > 0) return now - last_commit_ >= pipeline_.commit_every;
  return now - last_commit_ >= idle_commit_every;
}

Result<void> WorkerLoop::commit() {
  const Timestamp before = clock_.steady();
  committing_since_ = before;
  auto report = attempt("commit", [&] { return cycle_.commit(); });
  committing_since_ = no_time;
  last_commit_ = clock_.steady();
  if (!report) {
    commit_now_ = true;  // what was due is
    if (can_be_mended(report.error()))
      commit_condition_.is(report.error().message);  // what else it may be ends the run
    next_try_ = last_commit_ + backoff_;
    backoff_ = std::min(backoff_ * 2, last_backoff);
    return std::unexpected(report.error());
  }
  commit_condition_.is({});
  backoff_ = first_backoff;
  next_try_ = 0;
  credits_.give_back(report->bytes);
  // Where not everything was taken, as little succeeded before, who waits for memory doesn't ask once more.
  commit_now_ = credits_.used() >= credits_.limit() && cycle_.has_steps();
  this->report(*report);
  on_commit({*std::move(report), last_commit_ - before});
  return {};
}

void WorkerLoop::report(const CommitReport& report) {
  partitions_.commit_done();
  for (const Partition partition : report.refused) {
    weir::log::warn(
        "partition {}: its progress is not where this worker left it, so another one has it, or the database went "
        "back; this one lets go",
        partition);
    partitions_.lost(partitions_.lane(partition), clock_.steady());
  }
  for (const auto& [partition, error] : report.failed)
    log(partition, partitions_.ended(partitions_.lane(partition), error, clock_.steady()), error.message);
  for (const auto& lane : report.committed) {
    partitions_.committed(lane.partition, lane.position);
    lanes_.committed(lane.partition, lane.position);
  }
  act();
}

Result<void> WorkerLoop::turn() {
  const Timestamp now = clock_.steady();
  if (commit_is_due(now)) {
    if (auto done = commit(); !done && !can_be_mended(done.error())) return done;
  }
  lanes_.want_snapshots(now);
  partitions_.turn(now, [this](Partition partition) { return cycle_.pending(partition); });
  act();
  acquire_condition_.is(partitions_.unreachable());
  // What could not be committed is its next owner's: it must not keep this worker unready, or from a reload.
  if (!cycle_.pending()) commit_condition_.forget();
  return {};
}

Duration WorkerLoop::patience() const {
  return std::min<Duration>(pipeline_.commit_every, 50 * millisecond) / 4 + millisecond;
}

std::optional<Result<void>> WorkerLoop::start_outcome() {
  if (started_) return Result<void>{};
  auto outcome = partitions_.start_outcome(whole_);
  started_ = outcome && outcome->has_value();
  return outcome;
}

// The end.

Result<void> WorkerLoop::drain(const std::function<void()>& receive) {
  const Timestamp deadline = clock_.steady() + pipeline_.shutdown_timeout;
  partitions_.stop();
  lanes_.finish_all();
  receive();
  // Rows first: a store that does not answer must not take the time that they need.
  if (auto done = commit_all(deadline); !done) return done;
  lanes_.save_all(deadline);
  return commit_all(deadline);
}

Result<void> WorkerLoop::commit_all(Timestamp deadline) {
  backoff_ = first_backoff;  // there is not the time for the patience that an outage has taught
  while (cycle_.pending()) {
    const auto done = commit();
    if (done && !cycle_.has_steps()) break;  // what is still to be named waits for a position that it does not have
    if (done) continue;
    if (done.error().kind != Error::Kind::unreachable || clock_.steady() + backoff_ > deadline) return done;
    clock_.wait(backoff_, {});
  }
  return {};
}

}  // namespace weir
