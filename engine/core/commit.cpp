#include "core/commit.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace weir {
namespace {

std::string label(Partition partition) { return "partition " + std::to_string(partition); }

}  // namespace

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
  Lane lane;
  lane.done.resize(outlets_.size(), 0);
  LaneStart start;
  std::optional<Progress> least;
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (!outlets_[i].claims.transactional) continue;
    auto progress = outlets_[i].sink->claim(partition);
    if (!progress) return std::unexpected(progress.error());
    lane.done[i] = progress->position;
    start.borders.push_back(progress->position);
    if (!least || progress->position < least->position) least = *progress;
  }
  if (!least) {
    least.emplace();
    auto name = snapshots_.remembered(partition);
    if (!name) return std::unexpected(name.error());
    least->snapshot = name->value_or("");
  }
  auto silent = recover(partition, *least, start);
  if (!silent) return std::unexpected(silent.error());
  start.silent = *silent;
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (!outlets_[i].claims.transactional) lane.done[i] = start.silent;
  }
  std::ranges::sort(start.borders);
  start.committed = start.borders.empty() ? start.silent : start.borders.back();
  start.stream = least->stream;
  lane.committed = start.silent;
  lane.snapshot_named = least->snapshot;
  lane.snapshot = least->snapshot;
  lanes_[partition] = std::move(lane);
  return start;
}

/// Loads the snapshot that the least advanced sink named, and answers up to where replay is silent.
Result<Position> CommitCycle::recover(Partition partition, const Progress& least, LaneStart& start) {
  const bool keeps_progress = !start.borders.empty();
  const bool same = least.fingerprint.empty() || least.fingerprint == pipeline_.fingerprint;
  if (least.snapshot.empty()) {
    if (least.position != 0 && !same) {
      return fail(Error::Kind::changed,
                  label(partition) + ": the pipeline's state means something else since its last commit at position " +
                      std::to_string(least.position) +
                      " and no snapshot was kept; drain the old pipeline with a durable "
                      "\"state\" store first, or give the progress up with `weir progress reset`");
    }
    return least.position;
  }
  auto snapshot = snapshots_.read(least.snapshot);
  if (!snapshot) return std::unexpected(snapshot.error());
  const Position position = keeps_progress ? least.position : snapshot->position;
  if (snapshot->position > position) {
    return fail(Error::Kind::internal, label(partition) + ": snapshot " + least.snapshot +
                                           " is ahead of the commit at position " + std::to_string(position));
  }
  if (snapshot->fingerprint != pipeline_.fingerprint && snapshot->position != position) {
    return fail(Error::Kind::changed,
                label(partition) + ": the pipeline's state means something else since the snapshot at position " +
                    std::to_string(snapshot->position) + ", and messages up to " + std::to_string(position) +
                    " would be replayed into it; drain the old pipeline first, or give the progress up with `weir "
                    "progress reset`");
  }
  start.after = snapshot->position;
  start.state = std::move(snapshot->state);
  return position;
}

void CommitCycle::reading(Partition partition, const StreamIdentity& stream, Position after) {
  Lane& lane = lanes_.at(partition);
  lane.stream = stream;
  lane.committed = std::max(lane.committed, after);
}

void CommitCycle::take(LaneStep step) {
  const auto lane = lanes_.find(step.partition);
  if (lane == lanes_.end()) return;  // refused meanwhile
  for (const auto& rows : step.rows) pending_rows_ += rows.encoded.rows;
  pending_rows_ += step.dead_letters.size();
  lane->second.steps.push_back(std::move(step));
}

void CommitCycle::name_snapshot(Partition partition, std::string name, Position position) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  lane->second.snapshot = std::move(name);
  lane->second.snapshot_position = position;
}

bool CommitCycle::pending() const {
  return std::ranges::any_of(lanes_, [](const auto& lane) {
    return !lane.second.steps.empty() || lane.second.snapshot != lane.second.snapshot_named;
  });
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
    if (lane.steps.empty() && lane.snapshot == lane.snapshot_named) continue;
    if (auto done = after_commit(partition, lane); !done) return std::unexpected(done.error());
    const Timestamp reached = lane.steps.empty() ? no_time : lane.steps.back().reached;
    if (!lane.steps.empty()) lane.committed = lane.steps.back().position;
    for (const LaneStep& step : lane.steps) {
      report.bytes += step.bytes;
      counters_.add(letters_counter_, step.dead_letters.size());
      for (const auto& rows : step.rows) report.rows += rows.encoded.rows;
    }
    lane.steps.clear();
    report.committed.push_back({partition, lane.committed, reached});
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
    if (!rejected.buried)
      letters.push_back({rejected.batch->origin.partition, rejected.batch->origin.last,
                         static_cast<std::uint32_t>(rejected.row), rejected.batch->arrival[rejected.row], node,
                         rejected.reason, "", ""});
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
    const bool naming = outlets_[outlet].claims.transactional && lane.snapshot != lane.snapshot_named;
    const bool behind = !lane.steps.empty() && lane.steps.back().position > lane.done[outlet];
    if (!behind && !naming) continue;
    for (const LaneStep& step : lane.steps) {
      if (step.position <= lane.done[outlet]) continue;
      for (const auto& rows : step.rows) {
        if (rows.sink != outlets_[outlet].node) continue;
        if (auto written = sink.write(rows.encoded); !written) return written;
      }
      if (auto buried = bury(outlet, step); !buried) return buried;
    }
    commits.push_back({partition, progress_of(lane)});
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

Progress CommitCycle::progress_of(const Lane& lane) const {
  Progress next;
  next.position = lane.steps.empty() ? lane.committed : lane.steps.back().position;
  next.arrival = lane.steps.empty() ? no_time : lane.steps.back().reached;
  // A snapshot ahead of the commit would lose the rows between the two.
  next.snapshot = lane.snapshot_position <= next.position ? lane.snapshot : lane.snapshot_named;
  next.fingerprint = pipeline_.fingerprint;
  next.stream = lane.stream;
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
    const bool ours = progress && (progress->position == lane.done[outlet] ||
                                   std::ranges::contains(lane.steps, progress->position, &LaneStep::position));
    if (ours) {
      advance(outlet, lane, progress->position);
    } else {
      lost.push_back(partition);
    }
  }
  for (const Partition partition : lost) drop(partition, report);
  unsure_[outlet] = false;
  return {};
}

/// Names what the commit named, and lets go of snapshots that nothing names any more.
Result<void> CommitCycle::after_commit(Partition partition, Lane& lane) {
  const Position position = lane.steps.empty() ? lane.committed : lane.steps.back().position;
  if (lane.snapshot == lane.snapshot_named || lane.snapshot_position > position) return {};
  const bool keeps_progress = !outlets_.empty() && outlets_.back().claims.transactional;
  if (!keeps_progress) {
    if (auto kept = snapshots_.remember(partition, lane.snapshot); !kept) return kept;
  }
  const std::string before = std::exchange(lane.snapshot_named, lane.snapshot);
  (void)snapshots_.prune(partition, lane.snapshot_named, before);  // an undeleted one costs space only
  return {};
}

void CommitCycle::drop(Partition partition, CommitReport& report) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  for (const LaneStep& step : lane->second.steps) report.bytes += step.bytes;
  lanes_.erase(lane);
  report.refused.push_back(partition);
}

void CommitCycle::release(Partition partition) {
  lanes_.erase(partition);
  for (const Outlet& outlet : outlets_) {
    if (outlet.claims.transactional) outlet.sink->release(partition);
  }
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
