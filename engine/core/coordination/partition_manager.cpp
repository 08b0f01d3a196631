#include "core/coordination/partition_manager.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace weir {

PartitionManager::Record* PartitionManager::current(LaneId lane) {
  Record& record = records_.at(lane.partition);
  return record.run == lane.run ? &record : nullptr;
}

bool PartitionManager::has(LaneId lane) const {
  const Record& record = records_.at(lane.partition);
  return record.run == lane.run && (record.state == State::running || record.state == State::revoking);
}

std::vector<Partition> PartitionManager::in(State state) const {
  std::vector<Partition> out;
  for (Partition partition = 0; partition < records_.size(); ++partition) {
    if (records_[partition].state == state) out.push_back(partition);
  }
  return out;
}

bool PartitionManager::is_leaving(const Record& record) {
  return record.state == State::revoking || record.state == State::releasing || record.cancelled;
}

bool PartitionManager::is_held(const Record& record) {
  return record.state != State::unowned && record.state != State::failed && record.state != State::releasing;
}

bool PartitionManager::is_waiting(const Record& record) const {
  return record.assigned &&
         (record.state == State::unowned || record.state == State::acquiring || record.state == State::restoring);
}

/// Those of its share that run, leave or have failed.
std::size_t PartitionManager::count() const {
  return static_cast<std::size_t>(std::ranges::count_if(records_, [](const Record& record) {
    return record.state == State::running || record.state == State::revoking || record.error;
  }));
}

std::size_t PartitionManager::missing() const {
  const auto waiting = std::ranges::count_if(records_, [this](const Record& record) { return is_waiting(record); });
  return share_ - std::min(share_, count() + static_cast<std::size_t>(waiting));
}

bool PartitionManager::has_share() const {
  return !is_short() && std::ranges::none_of(records_, [this](const Record& record) {
    return is_waiting(record) || (is_leaving(record) && !record.error);
  });
}

bool PartitionManager::nothing_left() const {
  if (!has_share()) return false;
  const auto running = in(State::running);
  if (running.empty() && in(State::revoking).empty() && members_.workers > 1) return false;  // it stands by
  return std::ranges::all_of(running, [this](Partition partition) { return records_[partition].ended; });
}

// Who shares the partitions.

Holding PartitionManager::holding() const {
  Holding out;
  for (Partition partition = 0; partition < records_.size(); ++partition) {
    const Record& record = records_[partition];
    if (record.state == State::failed) {
      out.shunned.push_back(partition);
    } else if (is_leaving(record)) {
      (record.error ? out.broken : out.leaving).push_back(partition);
    } else if (record.state != State::unowned) {
      out.runs.push_back(partition);
    }
  }
  return out;
}

void PartitionManager::assign(const Members& members, Timestamp now) {
  if (stopped_) return;
  if (members != members_ || !assigned_) members_changed_ = now;
  members_ = members;
  assigned_ = true;
  const Share todo = weir::share(members, static_cast<std::uint32_t>(records_.size()), holding());
  share_ = todo.wanted;
  for (Partition partition = 0; partition < records_.size(); ++partition) {
    const State state = records_[partition].state;
    if (state == State::unowned || state == State::failed)
      assign(partition, std::ranges::contains(todo.acquire, partition), now);
  }
  for (const Partition partition : todo.let_go) revoke(partition);
}

void PartitionManager::assign(Partition partition, bool assigned, Timestamp now) {
  Record& record = records_[partition];
  if (assigned == record.assigned) return;
  // A failed one that is not assigned any more is another worker's, or for another to try. If that fails too it comes
  // back, and is tried no more often than if it had stayed.
  if (!assigned) record = {.run = record.run, .pause = record.pause, .told = std::move(record.told)};
  if (assigned && !record.error) record.next_try = now + record.pause;
  record.assigned = assigned;
}

void PartitionManager::revoke(Partition partition) {
  Record& record = records_[partition];
  record.assigned = false;
  if (record.state != State::running) {
    record.cancelled = true;
    return;
  }
  record.state = State::revoking;
  record.saving = record.ended;
  act(record.ended ? PartitionAction::Kind::save : PartitionAction::Kind::stop, partition);
}

void PartitionManager::stop() {
  stopped_ = true;
  for (Record& record : records_) {
    record.assigned = false;
    if (record.state == State::acquiring || record.state == State::restoring) record.cancelled = true;
    if (record.state == State::revoking && !record.error) record.state = State::running;
  }
}

// Acquiring.

void PartitionManager::acquire_due(Timestamp now) {
  std::size_t busy = in(State::acquiring).size() + in(State::restoring).size();
  std::vector<Partition> due;
  for (Partition partition = 0; partition < records_.size(); ++partition) {
    const Record& record = records_[partition];
    const bool free = record.state == State::unowned || record.state == State::failed;
    if (free && record.assigned && record.next_try <= now) due.push_back(partition);
  }
  // The one that has waited longest first: one that takes its time to fail must not take another's turn.
  std::ranges::stable_sort(due, {}, [this](Partition partition) { return records_[partition].next_try; });
  for (const Partition partition : due) {
    if (busy++ >= at_once) return;
    Record& record = records_[partition];
    record.state = State::acquiring;
    record.progressed = false;
    ++record.run;
    act(PartitionAction::Kind::acquire, partition);
  }
}

void PartitionManager::acquired(LaneId lane) {
  if (Record* record = current(lane); record != nullptr && record->state == State::acquiring)
    record->state = State::restoring;
}

void PartitionManager::restored(LaneId lane) {
  Record* record = current(lane);
  if (record == nullptr) return;
  record->tried = true;
  record->held = false;
  record->unreachable.clear();
  if (record->cancelled) return release(lane.partition, PartitionAction::Kind::abandon);
  record->state = State::running;
  record->ended = record->saving = false;
  act(PartitionAction::Kind::run, lane.partition);
}

void PartitionManager::started(LaneId lane, Position committed) {
  Record& record = records_.at(lane.partition);
  record.error.reset();
  record.begun = committed;
}

PartitionManager::News PartitionManager::failed_to_start(LaneId lane, Error error, Timestamp now) {
  Record* record = current(lane);
  if (record == nullptr) return News::none;
  const bool is_owned = record->state == State::running;
  record->tried = true;
  record->cancelled = false;
  record->held = error.kind == Error::Kind::held;
  record->unreachable.clear();
  News news = News::none;
  if (record->held || error.kind == Error::Kind::unreachable) {
    // Why a failed one failed was logged, and it is retried no more often while a service does not answer.
    record->next_try = now + (record->error && !record->held ? record->pause : again_after);
    if (!record->error && !record->held) record->unreachable = std::move(error.message);
  } else {
    news = note_failure(*record, std::move(error), now);
  }
  record->state = record->error ? State::failed : State::unowned;
  if (is_owned) release(lane.partition, PartitionAction::Kind::abandon);
  return news;
}

PartitionManager::News PartitionManager::note_failure(Record& record, Error error, Timestamp now) {
  const bool again = record.told == error.message && !record.progressed;
  // One that starts well, and fails at the same message each time, is no better than one that can't start.
  const bool first = record.pause == 0 || record.progressed;
  record.pause = first ? first_retry : std::min(2 * record.pause, last_retry);
  record.next_try = now + record.pause;
  record.told = error.message;
  record.error = std::move(error);
  record.assigned = !stopped_;
  return again ? News::none : News::failed;
}

// Running, revoking, releasing.

PartitionManager::News PartitionManager::ended(LaneId lane, std::optional<Error> error, Timestamp now) {
  Record* record = current(lane);
  if (record == nullptr || !has(lane)) return News::none;
  record->ended = true;
  if (error) {
    record->state = State::revoking;
    record->saving = false;
    wants_commit_ = true;
    const News news = note_failure(*record, *std::move(error), now);
    return news == News::none ? News::failed_again : news;  // it had said that it goes on
  }
  if (record->state == State::revoking) {
    record->saving = true;
    wants_commit_ = true;
    act(PartitionAction::Kind::save, lane.partition);
  }
  return News::none;
}

void PartitionManager::stored(LaneId lane) {
  Record* record = current(lane);
  if (record == nullptr || record->state != State::revoking || !record->ended) return;
  record->saving = false;
  wants_commit_ = true;
}

void PartitionManager::committed(Partition partition, Position position) {
  Record& record = records_.at(partition);
  if (position > record.begun) record.progressed = true;
}

bool PartitionManager::lost(LaneId lane, Timestamp now) {
  Record* record = current(lane);
  if (record == nullptr || !is_held(*record)) return false;
  record->assigned = !stopped_;
  record->next_try = now + again_after;
  // What is being restored comes to its end first.
  record->cancelled = !has(lane);
  if (record->cancelled) return true;
  record->error.reset();
  release(lane.partition, PartitionAction::Kind::abandon);
  return true;
}

void PartitionManager::release(Partition partition, PartitionAction::Kind how) {
  Record& record = records_[partition];
  record.state = State::releasing;
  record.saving = false;
  act(how, partition);
}

void PartitionManager::released(LaneId lane) {
  Record* record = current(lane);
  if (record == nullptr || record->state != State::releasing) return;
  record->state = record->error ? State::failed : State::unowned;
  record->cancelled = record->ended = false;
  if (record->error) return;
  record->told.clear();
  record->pause = 0;
}

void PartitionManager::turn(Timestamp now, const std::function<bool(Partition)>& pending) {
  for (const Partition partition : in(State::revoking)) {
    const Record& record = records_[partition];
    if (record.ended && !record.saving && !pending(partition)) release(partition, PartitionAction::Kind::release);
  }
  if (!stopped_) acquire_due(now);
}

// What others are told.

std::string PartitionManager::unreachable() const {
  for (const Record& record : records_) {
    if (record.assigned && !record.unreachable.empty()) return record.unreachable;
  }
  return {};
}

std::vector<std::pair<Partition, Error>> PartitionManager::failures() const {
  std::vector<std::pair<Partition, Error>> out;
  for (Partition partition = 0; partition < records_.size(); ++partition) {
    if (records_[partition].error) out.emplace_back(partition, *records_[partition].error);
  }
  return out;
}

std::string_view PartitionManager::reason_of(Partition partition, const std::string& message) {
  const std::string number = "partition " + std::to_string(partition) + ": ";
  return std::string_view{message}.substr(message.starts_with(number) ? number.size() : 0);
}

std::optional<Result<void>> PartitionManager::start_outcome(bool whole) const {
  const Record *failed = nullptr, *unanswered = nullptr;
  bool any_held = false, untried = false;
  for (const Record& record : records_) {
    if (record.error && (whole || record.error->kind == Error::Kind::invalid)) return std::unexpected(*record.error);
    if (record.error) failed = &record;
    if (!record.unreachable.empty()) unanswered = &record;
    any_held |= record.held;
    untried |= record.assigned && !record.tried;
  }
  if (unanswered != nullptr && whole) return fail(Error::Kind::unreachable, unanswered->unreachable);
  if (untried) return {};
  const bool none_run = in(State::running).empty() && in(State::revoking).empty();
  // One stream may be where nobody answers for hours; all of them are not.
  if (unanswered != nullptr && !any_held && none_run) return fail(Error::Kind::unreachable, unanswered->unreachable);
  const bool waiting = std::ranges::any_of(records_, [this](const Record& record) { return is_waiting(record); });
  if (failed != nullptr && none_run && !waiting && !is_short()) return std::unexpected(*failed->error);
  return Result<void>{};
}

}  // namespace weir
