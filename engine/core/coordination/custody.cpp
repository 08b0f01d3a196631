#include "core/coordination/custody.hpp"

#include <algorithm>
#include <utility>

#include "core/observe/log.hpp"

namespace weir {

Custody::Custody(const Pipeline& pipeline, HeldLanes& lanes, CommitCycle& cycle, Credits& credits, const Clock& clock,
                 ToStore to_store)
    : lanes_{lanes},
      cycle_{cycle},
      credits_{credits},
      to_store_{std::move(to_store)},
      claims_{pipeline, lanes, clock},
      clock_{clock} {}

Result<void> Custody::start(const std::stop_token& drain, bool whole) {
  const auto crew = cycle_.outlets().meet();
  if (!crew) return std::unexpected(crew.error());
  met(*crew);
  return claims_.all(drain, whole);
}

void Custody::met(const Crew& crew) {
  if (stopped_) return;
  if (crew.workers != crew_.workers)
    log::info("{} {} the partitions now", crew.workers, crew.workers == 1 ? "worker has" : "workers share");
  const bool changed = crew != crew_;
  if (changed) crew_changed_ = clock_.steady();
  crew_ = crew;
  for (const Partition partition : claims_.met(crew, handover_.all())) {
    handover_.begin(partition);
    lanes_.let_go(partition);
    // What had ended before does not end again.
    if (std::ranges::contains(finished_, partition)) rests(lanes_.id(partition));
  }
  if (const std::size_t missing = claims_.missing(); changed && missing != 0) {
    log::info(
        "others still have {} of the {} partitions that are to be this worker's; those of a dead one are free when "
        "its lease has run out",
        missing, claims_.wanted());
  }
}

void Custody::ended(LaneId lane, const std::optional<Error>& error) {
  if (!lanes_.has(lane)) return;
  if (!error) {
    finished_.push_back(lane.partition);
    if (handover_.has(lane.partition)) rests(lane);
  } else {
    handover_.end(lane.partition);
    lanes_.broke(lane.partition, *error);
    broke_.push_back(lane.partition);
  }
}

/// Nothing is in flight any more of a lane that is to go to another worker.
void Custody::rests(LaneId lane) {
  auto state = lanes_.state_at_rest(lane.partition);
  handover_.at_rest(lane.partition, state ? std::optional{state->at.position} : std::nullopt);
  if (state) to_store_(lane, *std::move(state));
  wants_commit_ = true;
}

void Custody::stored(LaneId lane, std::string name, Position position) {
  if (!lanes_.has(lane)) return;
  handover_.stored(lane.partition, position);
  if (handover_.has(lane.partition)) {
    wants_commit_ = true;
  } else {
    lanes_.snapshot_done(lane.partition);
  }
  if (!name.empty()) cycle_.name_snapshot(lane.partition, std::move(name), position);
}

void Custody::lost(Partition partition) {
  // Let go already, for another sink.
  if (!std::ranges::contains(lanes_.partitions(), partition) && !lanes_.broken(partition)) return;
  log::warn("partition {}: the lease is lost: another worker has it, or the line of progress is gone", partition);
  give_up(partition, Claiming::again_after);
}

void Custody::committed(const CommitReport& report) {
  wants_commit_ = false;
  for (const Partition partition : report.refused) {
    log::warn(
        "partition {}: its progress is not where this worker left it, so another one has it, or the database went "
        "back; this one lets go",
        partition);
    give_up(partition, Claiming::again_after);
  }
  for (const auto& lane : report.committed) lanes_.committed(lane.partition, lane.position);
  // Once all that came of them is durable: where the stream changed, it can't be read again.
  for (const Partition partition : std::vector{broke_}) {
    if (!cycle_.has_steps(partition)) give_back_broken(partition);
  }
}

/// Nobody's, so that whoever puts right what broke it finds it free, and another worker may try: what breaks a lane
/// here, be it want of memory, need not break it there.
void Custody::give_back_broken(Partition partition) {
  std::erase(broke_, partition);
  std::erase(finished_, partition);
  lanes_.rest(partition);
  credits_.give_back(cycle_.release(partition));
  claims_.broke(partition);
}

std::optional<std::string> Custody::turn(Timestamp now) {
  for (const Partition partition : handover_.stored()) {
    if (cycle_.pending(partition)) continue;
    log::info("partition {}: given to another worker after position {}", partition, lanes_.at(partition));
    let_go(partition);
    credits_.give_back(cycle_.release(partition));
  }
  return claims_.due(now);
}

bool Custody::nothing_left() const {
  if (!has_share()) return false;
  const auto partitions = lanes_.partitions();
  if (partitions.empty() && crew_.workers > 1) return false;  // it stands by
  return std::ranges::all_of(partitions, [&](Partition partition) {
    return std::ranges::contains(finished_, partition) || lanes_.broken(partition);
  });
}

void Custody::stop() {
  stopped_ = true;
  for (const Partition partition : handover_.all()) handover_.end(partition);
}

void Custody::let_go(Partition partition) {
  std::erase(finished_, partition);
  std::erase(broke_, partition);
  handover_.end(partition);
  lanes_.drop(partition);
}

void Custody::give_up(Partition partition, Duration claim_again_in) {
  let_go(partition);
  credits_.give_back(cycle_.lose(partition));
  claims_.later(partition, claim_again_in);
}

}  // namespace weir
