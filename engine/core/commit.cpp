#include "core/commit.hpp"

#include <algorithm>
#include <utility>

namespace weir {
CommitCycle::CommitCycle(const Pipeline& pipeline, std::vector<Outlet> outlets, Snapshots& snapshots,
                         DeadLetterBox& box, Counters& counters, std::string fence)
    : pipeline_{pipeline},
      outlets_{std::move(outlets)},
      snapshots_{snapshots},
      box_{box},
      counters_{counters},
      fence_{std::move(fence)} {
  // A position may be committed only when every other output is durable up to it.
  std::ranges::stable_partition(outlets_, [](const Outlet& outlet) { return !outlet.claims.transactional; });
  unsure_.resize(outlets_.size(), false);
  for (const Outlet& outlet : outlets_) {
    rows_counters_.push_back(counters_.declare(pipeline_.nodes[outlet.node].id, "rows", "rows made durable"));
  }
  commits_counter_ = counters_.declare("", "commits", "commits that succeeded");
  retries_counter_ = counters_.declare("", "commit_retries", "commits that failed and were tried again");
  letters_counter_ = counters_.declare("", "dead_letters", "dead letters made durable");
}

Result<void> CommitCycle::open() {
  for (const Outlet& outlet : outlets_) {
    if (auto opened = outlet.sink->open(); !opened) return opened;
  }
  return {};
}

Result<LaneStart> CommitCycle::claim(Partition partition) {
  std::vector<Progress> stands;  // by outlet; the transactional ones stand last
  std::size_t keepers = 0;
  for (const Outlet& outlet : outlets_) {
    auto progress = outlet.claims.transactional ? outlet.sink->claim(partition) : Progress{};
    if (!progress) return std::unexpected(progress.error());
    stands.push_back(*std::move(progress));
    keepers += outlet.claims.transactional ? 1 : 0;
  }
  LaneStart start;
  auto least = least_of(std::span{stands}.last(keepers), partition);
  if (!least) return std::unexpected(least.error());
  if (auto loaded = load_state(partition, *least, keepers > 0, pipeline_.fingerprint, snapshots_, start); !loaded)
    return std::unexpected(loaded.error());
  if (keepers == 0 && !least->snapshot.empty()) {
    const std::string name = std::exchange(*least, start.at).snapshot;
    least->snapshot = name;
  }
  for (std::size_t i = 0; i + keepers < stands.size(); ++i) stands[i] = *least;

  Lane lane;
  lane.committed = *least;
  lane.snapshot = least->snapshot;
  for (const Progress& progress : stands) {
    lane.done.push_back(standing(progress, least->incarnation));
    lane.arrivals.push_back(progress.arrival);
    // An incarnation that begins has what the one before it wrote.
    const bool begins = progress.incarnation != least->incarnation || progress.consumed == 0;
    lane.quiet.push_back(begins && least->incarnation > 0 ? progress.arrival : no_time);
    if (lane.done.back() > 0 && !std::ranges::contains(start.kept, lane.done.back(), &Progress::position))
      start.kept.push_back(progress);
  }
  std::ranges::sort(start.kept, {}, &Progress::position);
  start.at.incarnation = least->incarnation;
  start.anew = least->incarnation > 0 && start.after == 0;
  for (const Progress& progress : start.kept) {
    if (progress.position <= start.after) start.at.arrival = std::max(start.at.arrival, progress.arrival);
  }
  set_borders(lane, start);
  box_.resume(partition, standing(*least, least->incarnation));
  lanes_[partition] = std::move(lane);
  return start;
}

/// The least advanced of what the keepers of progress have; without any, the snapshot remembered.
Result<Progress> CommitCycle::least_of(std::span<const Progress> kept, Partition partition) {
  if (kept.empty()) {
    return snapshots_.remembered(partition).transform(
        [](const auto& name) { return Progress{.snapshot = name.value_or("")}; });
  }
  const std::uint32_t incarnation = newest_incarnation(kept);
  Progress least = std::ranges::min(
      kept, {}, [&](const Progress& progress) { return std::pair{standing(progress, incarnation), progress.arrival}; });
  if (least.incarnation != incarnation) least = {.arrival = least.arrival, .incarnation = incarnation};
  return least;
}

LaneStart CommitCycle::begin_again(Partition partition) {
  Lane& lane = lanes_.at(partition);
  const std::uint32_t incarnation = lane.committed.incarnation + 1;
  lane.committed = {.arrival = lane.committed.arrival, .incarnation = incarnation};
  std::ranges::fill(lane.done, 0);
  lane.quiet = lane.arrivals;
  lane.snapshot.clear();
  lane.snapshot_position = 0;
  lane.begun_again = true;
  box_.resume(partition, 0);
  LaneStart start;
  start.anew = true;
  start.at.incarnation = incarnation;
  set_borders(lane, start);
  start.at.arrival = start.quiet;
  return start;
}

/// Steps must not reach over the end of what an outlet has.
void CommitCycle::set_borders(const Lane& lane, LaneStart& start) {
  start.borders = lane.done;
  std::ranges::sort(start.borders);
  start.time_borders = lane.quiet;
  std::ranges::sort(start.time_borders);
  start.quiet = start.time_borders.empty() ? no_time : start.time_borders.front();
}

void CommitCycle::reading(Partition partition, const StreamIdentity& stream, Position after) {
  Lane& lane = lanes_.at(partition);
  lane.committed.stream = stream;
  lane.committed.position = std::max(lane.committed.position, after);
}

void CommitCycle::take(LaneStep step) {
  const auto lane = lanes_.find(step.partition);
  if (lane == lanes_.end()) return;  // refused meanwhile
  for (const auto& rows : step.rows) pending_rows_ += rows.encoded.rows;
  pending_rows_ += step.dead_letters.size();
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (step.reached <= lane->second.quiet[i] && step.reached != no_time) lane->second.done[i] = step.position;
  }
  lane->second.steps.push_back(std::move(step));
}

void CommitCycle::name_snapshot(Partition partition, std::string name, Position position, std::uint32_t incarnation) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end() || lane->second.committed.incarnation != incarnation) return;
  lane->second.snapshot = std::move(name);
  lane->second.snapshot_position = position;
}

bool CommitCycle::pending() const {
  return std::ranges::any_of(lanes_,
                             [](const auto& lane) { return !lane.second.steps.empty() || lane.second.naming(); });
}

Result<CommitReport> CommitCycle::commit() {
  CommitReport report = std::exchange(unreported_, {});
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    auto done = unsure_[i] ? reclaim(i, report) : Result<void>{};
    if (done) done = commit_outlet(i, report);
    if (!done) {
      unsure_[i] = true;
      counters_.add(retries_counter_, 1);
      unreported_ = std::move(report);
      return std::unexpected(done.error());
    }
  }
  for (auto& [partition, lane] : lanes_) {
    if (lane.steps.empty() && !lane.naming()) continue;
    if (auto done = after_commit(partition, lane); !done) return std::unexpected(done.error());
    const Timestamp reached = lane.steps.empty() ? no_time : lane.steps.back().reached;
    for (const LaneStep& step : lane.steps) {
      report.bytes += step.bytes;
      counters_.add(letters_counter_, step.dead_letters.size());
      for (const auto& rows : step.rows) report.rows += rows.encoded.rows;
    }
    lane.steps.clear();
    report.committed.push_back({partition, lane.committed.position, reached});
  }
  pending_rows_ = 0;
  counters_.add(commits_counter_, 1);
  return report;
}

/// Gives an outlet everything that it does not have yet, and commits it.
Result<void> CommitCycle::commit_outlet(std::size_t outlet, CommitReport& report) {
  std::vector<LaneCommit> commits;
  if (auto handed = hand_over(outlet, commits); !handed) return handed;
  if (commits.empty()) return {};
  auto committed = outlets_[outlet].sink->commit(commits);
  if (!committed) return std::unexpected(committed.error());
  const std::string& node = pipeline_.nodes[outlets_[outlet].node].id;
  std::vector<Sink::DeadLetter> letters;
  for (const auto& rejected : committed->rejected) {
    counters_.add(counters_.declare(node, "rejected", "rows that the sink would not take, by reason", rejected.reason),
                  1);
    if (!rejected.buried) letters.push_back(letter_of(rejected, outlet));
  }
  if (auto kept = box_.keep(letters); !kept) return kept;
  for (const LaneCommit& commit : commits) {
    if (std::ranges::contains(committed->refused, commit.partition)) {
      drop(commit.partition, report);
    } else {
      advance(outlet, lanes_.at(commit.partition), commit.next.position);
    }
  }
  return {};
}

/// Notes that an outlet has everything of a lane up to a position.
void CommitCycle::advance(std::size_t outlet, Lane& lane, Position position) {
  std::size_t rows = 0;
  for (const LaneStep& step : lane.steps) {
    if (step.position <= lane.done[outlet] || step.position > position) continue;
    for (const auto& part : step.rows) rows += part.sink == outlets_[outlet].node ? part.encoded.rows : 0;
  }
  counters_.add(rows_counters_[outlet], rows);
  lane.done[outlet] = position;
}

Result<void> CommitCycle::hand_over(std::size_t outlet, std::vector<LaneCommit>& commits) {
  Sink& sink = *outlets_[outlet].sink;
  for (const auto& [partition, lane] : lanes_) {
    const bool behind = !lane.steps.empty() && lane.steps.back().position > lane.done[outlet];
    // What an outlet is quiet about must not be committed as if it had come from this incarnation.
    const bool quiet =
        !lane.steps.empty() && lane.quiet[outlet] != no_time && lane.steps.back().reached <= lane.quiet[outlet];
    const bool naming = outlets_[outlet].claims.transactional && lane.naming() && !quiet;
    if (!behind && !naming) continue;
    for (const LaneStep& step : lane.steps) {
      if (step.position <= lane.done[outlet]) continue;
      for (const auto& rows : step.rows) {
        if (rows.sink != outlets_[outlet].node) continue;
        if (auto written = sink.write(rows.encoded); !written) return written;
      }
      if (auto buried = bury(outlet, step); !buried) return buried;
    }
    commits.push_back({partition, progress_of(lane, outlet)});
  }
  return {};
}

/// Dead letters go to the last outlet, which is transactional if any is: they become durable with the position.
Result<void> CommitCycle::bury(std::size_t outlet, const LaneStep& step) {
  if (outlet + 1 != outlets_.size() || step.dead_letters.empty()) return {};
  for (const auto& letter : step.dead_letters) {
    if (!outlets_[outlet].sink->bury(letter)) return box_.keep(step.dead_letters);
  }
  return {};
}

/// The letter of a row that a sink would not take, told from others by the row's number.
Sink::DeadLetter CommitCycle::letter_of(const Committed::Rejected& rejected, std::size_t outlet) const {
  const std::size_t node = outlets_[outlet].node;
  auto letter = dead_letter_of(*rejected.batch, rejected.row, pipeline_.nodes[node].id, rejected.reason);
  letter.row = rejected.row;
  const auto lane = lanes_.find(letter.partition);
  if (lane == lanes_.end()) return letter;
  for (const LaneStep& step : lane->second.steps) {
    for (const auto& rows : step.rows) {
      if (rows.sink == node && rows.encoded.batch == rejected.batch) letter.row = rows.encoded.number + rejected.row;
    }
  }
  return letter;
}

Progress CommitCycle::progress_of(const Lane& lane, std::size_t outlet) const {
  Progress next = lane.committed;
  if (!lane.steps.empty()) {
    const LaneStep& last = lane.steps.back();
    next.position = last.position;
    next.arrival = last.reached;
    next.stamp = last.stamp;
    next.consumed = last.consumed;
  } else if (lane.begun_again) {
    next.arrival = lane.quiet[outlet];
  }
  // A snapshot ahead of the commit would lose the rows between the two.
  if (lane.snapshot_position <= next.position) next.snapshot = lane.snapshot;
  next.fingerprint = pipeline_.fingerprint;
  return next;
}

/// After an error nobody knows what the sink has: open it, claim again, and see.
Result<void> CommitCycle::reclaim(std::size_t outlet, CommitReport& report) {
  Sink& sink = *outlets_[outlet].sink;
  if (auto opened = sink.open(); !opened) return opened;
  std::vector<Partition> lost;
  for (auto& [partition, lane] : lanes_) {
    if (!outlets_[outlet].claims.transactional) break;
    auto progress = sink.claim(partition);
    if (!progress && progress.error().kind != Error::Kind::refused) return std::unexpected(progress.error());
    const Position stands = progress ? standing(*progress, lane.committed.incarnation) : 0;
    const bool ours = progress && progress->incarnation <= lane.committed.incarnation &&
                      (stands == lane.done[outlet] || std::ranges::contains(lane.steps, stands, &LaneStep::position));
    if (ours) {
      advance(outlet, lane, stands);
    } else {
      lost.push_back(partition);
    }
  }
  for (const Partition partition : lost) drop(partition, report);
  unsure_[outlet] = false;
  return {};
}

/// Notes what the commit did, and lets go of snapshots that nothing names any more.
Result<void> CommitCycle::after_commit(Partition partition, Lane& lane) {
  const Progress next = outlets_.empty() ? lane.committed : progress_of(lane, outlets_.size() - 1);
  if (next.snapshot != lane.committed.snapshot) {
    const bool keeps_progress = !outlets_.empty() && outlets_.back().claims.transactional;
    if (!keeps_progress) {
      if (auto kept = snapshots_.remember(partition, next.snapshot); !kept) return kept;
    }
    // One that is not deleted costs space only.
    (void)snapshots_.prune(partition, next.snapshot, lane.committed.snapshot);
  }
  lane.committed = next;
  lane.begun_again = false;
  box_.committed(partition, next.position);
  return {};
}

void CommitCycle::drop(Partition partition, CommitReport& report) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  for (const LaneStep& step : lane->second.steps) report.bytes += step.bytes;
  lanes_.erase(lane);
  report.refused.push_back(partition);
}

std::size_t CommitCycle::release(Partition partition) {
  CommitReport forgotten;
  drop(partition, forgotten);
  for (const Outlet& outlet : outlets_) {
    if (outlet.claims.transactional) outlet.sink->release(partition);
  }
  return forgotten.bytes;
}

Result<std::vector<Partition>> CommitCycle::renew() {
  std::vector<Partition> lost;
  for (const Outlet& outlet : outlets_) {
    if (!outlet.claims.transactional) continue;
    auto renewed = outlet.sink->renew();
    if (!renewed) return renewed;
    lost.insert(lost.end(), renewed->begin(), renewed->end());
  }
  return lost;
}

Duration CommitCycle::lease() const {
  Duration shortest = 0;
  for (const Outlet& outlet : outlets_) {
    const Duration lease = outlet.claims.transactional ? outlet.sink->lease() : 0;
    if (lease != 0 && (shortest == 0 || lease < shortest)) shortest = lease;
  }
  return shortest;
}

}  // namespace weir
