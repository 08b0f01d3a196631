#include "core/commit.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <spdlog/spdlog.h>

namespace weir {
namespace {

constexpr std::size_t most_announced = 256;      // reasons; whatever a message can make of them
constexpr std::size_t always_few_enough = 1000;  // rows; a transaction of no more did not fail by its size

std::size_t rows_of(const LaneStep& step) {
  std::size_t rows = step.dead_letters.size();
  for (const auto& part : step.rows) rows += part.encoded.rows;
  return rows;
}

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
  std::vector<Progress> stands;  // by outlet; the transactional ones stand last
  if (auto claimed = claim_outlets(partition, stands); !claimed) {
    give_back(partition);
    return std::unexpected(claimed.error());
  }
  const auto keepers = static_cast<std::size_t>(
      std::ranges::count_if(outlets_, [](const Outlet& outlet) { return outlet.claims.transactional; }));
  LaneStart start;
  auto least = least_of(std::span{stands}.last(keepers), partition);
  auto loaded =
      least.and_then([&](const Progress& from) { return load_state(partition, from, keepers > 0, snapshots_, start); });
  if (loaded) loaded = find_blank(partition, stands, start);
  if (loaded) loaded = same_pipeline(partition, stands, least->incarnation, start.after, pipeline_.fingerprint);
  if (!loaded) {
    give_back(partition);
    return std::unexpected(loaded.error());
  }
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
    lane.named.push_back(progress.snapshot);
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
  std::erase(unreported_.refused, partition);  // of the lane before this one
  return start;
}

Result<void> CommitCycle::claim_outlets(Partition partition, std::vector<Progress>& stands) {
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (unsure_[i]) {
      if (auto sure = reclaim(i, unreported_); !sure) return sure;
    }
    auto progress = outlets_[i].claims.transactional ? outlets_[i].sink->claim(partition) : Progress{};
    if (!progress) {
      unsure_[i] = progress.error().kind == Error::Kind::unreachable;
      return std::unexpected(progress.error());
    }
    stands.push_back(*std::move(progress));
  }
  return {};
}

/// A sink whose id was changed has no progress, and its table all the rows.
Result<void> CommitCycle::find_blank(Partition partition, std::span<const Progress> stands, LaneStart& start) {
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    const bool blank = outlets_[i].claims.transactional && stands[i].position == 0 && stands[i].incarnation == 0;
    if (blank) start.blank.push_back(pipeline_.nodes[outlets_[i].node].id);
  }
  if (start.blank.empty() || !snapshots_.durable()) {
    start.blank.clear();
    return {};
  }
  return snapshots_.any(partition).transform([&](bool ran_before) {
    if (!ran_before) start.blank.clear();
  });
}

/// Half an owner would keep everybody else from becoming a whole one.
void CommitCycle::give_back(Partition partition) {
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (outlets_[i].claims.transactional && !unsure_[i]) outlets_[i].sink->release(partition);
  }
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

std::size_t CommitCycle::take(LaneStep step) {
  const auto lane = lanes_.find(step.partition);
  if (lane == lanes_.end()) return step.bytes;
  pending_rows_ += rows_of(step);
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (step.reached <= lane->second.quiet[i] && step.reached != no_time) lane->second.done[i] = step.position;
  }
  lane->second.steps.push_back(std::move(step));
  return 0;
}

void CommitCycle::name_snapshot(Partition partition, std::string name, Position position, std::uint32_t incarnation) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end() || lane->second.committed.incarnation != incarnation) return;
  lane->second.snapshot = std::move(name);
  lane->second.snapshot_position = position;
}

bool CommitCycle::pending() const {
  if (unreported_.bytes != 0 || !unreported_.refused.empty() || !unreported_.committed.empty()) return true;
  return std::ranges::any_of(lanes_, [this](const auto& entry) {
    const Lane& lane = entry.second;
    if (!lane.steps.empty() || lane.naming()) return true;
    for (std::size_t i = 0; i < outlets_.size(); ++i) {
      if (to_name(lane, i) && lane.done[i] <= lane.committed.position) return true;
    }
    return false;
  });
}

/// Whether an outlet's progress names another snapshot than the lane's newest; one that stayed behind would some day
/// name one that is gone.
bool CommitCycle::to_name(const Lane& lane, std::size_t outlet) const {
  return outlets_[outlet].claims.transactional &&
         (lane.begun_again || (!lane.snapshot.empty() && lane.snapshot != lane.named[outlet]));
}

Result<CommitReport> CommitCycle::commit() {
  CommitReport report = std::exchange(unreported_, {});
  const auto failed = [&](Error error) {
    counters_.add(retries_counter_, 1);
    unreported_ = std::move(report);
    return std::unexpected(std::move(error));
  };
  cut_lanes();
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (auto sure = unsure_[i] ? reclaim(i, report) : Result<void>{}; !sure) return failed(sure.error());
    if (auto done = commit_outlet(i, report); !done) {
      unsure_[i] = true;
      most_rows_ = std::max(cut_rows_ / 2, always_few_enough);
      return failed(done.error());
    }
  }
  for (auto& [partition, lane] : lanes_) {
    if (lane.cut == 0 && !lane.naming()) continue;
    if (auto done = after_commit(partition, lane); !done) return failed(done.error());
    const Timestamp reached = lane.cut == 0 ? no_time : lane.steps[lane.cut - 1].reached;
    for (; lane.cut > 0; --lane.cut) {
      const LaneStep& step = lane.steps.front();
      report.bytes += step.bytes;
      counters_.add(letters_counter_, step.dead_letters.size());
      for (const auto& letter : step.dead_letters)
        announce(letter.node, letter.partition, letter.reason, letter.subject);
      for (const auto& rows : step.rows) report.rows += rows.encoded.rows;
      pending_rows_ -= rows_of(step);
      lane.steps.pop_front();
    }
    report.committed.push_back({partition, lane.committed.position, reached});
  }
  if (most_rows_ != SIZE_MAX) most_rows_ += std::min(most_rows_ / 4 + 1, SIZE_MAX - most_rows_);
  counters_.add(commits_counter_, 1);
  return report;
}

/// Decides what the commit at hand takes: of every lane its first steps, one at least, all together about most_rows_
/// rows. After a failure it is half of what failed, so that a transaction comes to fit into the time that it may take.
void CommitCycle::cut_lanes() {
  cut_rows_ = 0;
  const std::size_t share = most_rows_ / std::max<std::size_t>(lanes_.size(), 1);
  for (auto& [partition, lane] : lanes_) {
    std::size_t rows = 0;
    for (lane.cut = 0; lane.cut < lane.steps.size() && (lane.cut == 0 || rows < share); ++lane.cut)
      rows += rows_of(lane.steps[lane.cut]);
    cut_rows_ += rows;
  }
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
    announce(node, rejected.batch->origin.partition, rejected.reason, "");
    if (!rejected.buried) letters.push_back(letter_of(rejected, outlet));
  }
  if (auto kept = box_.keep(letters); !kept) return kept;
  for (const LaneCommit& commit : commits) {
    if (std::ranges::contains(committed->refused, commit.partition)) {
      drop(commit.partition, report);
    } else {
      Lane& lane = lanes_.at(commit.partition);
      advance(outlet, lane, commit.next.position);
      lane.named[outlet] = commit.next.snapshot;
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
    const LaneStep* last = lane.cut == 0 ? nullptr : &lane.steps[lane.cut - 1];
    const Progress next = progress_of(lane, outlet);
    const bool behind = last != nullptr && last->position > lane.done[outlet];
    // What an outlet is quiet about must not be committed as if it had come from this incarnation.
    const bool quiet = last != nullptr && lane.quiet[outlet] != no_time && last->reached <= lane.quiet[outlet];
    // One that is ahead of the others keeps its place, and names the snapshot once they have come up.
    const bool ahead = next.position < lane.done[outlet];
    if (!behind && (!to_name(lane, outlet) || quiet || ahead)) continue;
    for (const LaneStep& step : lane.steps | std::views::take(lane.cut)) {
      if (step.position <= lane.done[outlet]) continue;
      for (const auto& rows : step.rows) {
        if (rows.sink != outlets_[outlet].node) continue;
        if (auto written = sink.write(rows.encoded); !written) return written;
      }
      if (auto buried = bury(outlet, step); !buried) return buried;
    }
    commits.push_back({partition, next});
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

/// Logs the first letter of its node and reason (up to a ':', as it is counted); the others are only counted.
void CommitCycle::announce(const std::string& node, Partition partition, const std::string& reason,
                           std::string_view subject) {
  if (announced_.size() >= most_announced || !announced_.emplace(node, reason.substr(0, reason.find(':'))).second)
    return;
  const bool beside = !outlets_.empty() && outlets_.back().claims.transactional;
  spdlog::warn("{}/{}: dead letter: {}{}{}; kept in {}; more of them are only counted", node, partition, reason,
               subject.empty() ? "" : "; subject ", subject, beside ? "weir_dead_letters" : pipeline_.dead_letters);
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
  if (lane.cut != 0) {
    const LaneStep& last = lane.steps[lane.cut - 1];
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
      lane.named[outlet] = progress->snapshot;
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
  for (const LaneStep& step : lane->second.steps) {
    report.bytes += step.bytes;
    pending_rows_ -= rows_of(step);
  }
  lanes_.erase(lane);
  report.refused.push_back(partition);
  give_back(partition);
}

std::size_t CommitCycle::release(Partition partition) {
  CommitReport forgotten;
  drop(partition, forgotten);
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
