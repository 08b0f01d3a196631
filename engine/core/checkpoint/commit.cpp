#include "core/checkpoint/commit.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/utf8.hpp>

#include "core/observe/attempt.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"

namespace weir {
namespace {

constexpr std::size_t most_announced = 256;  // reasons; whatever a message can make of them
constexpr std::size_t few = 1000;            // rows; a transaction of no more seldom fails by its size, …
constexpr std::size_t seldom = 5;            // … but each may make a chunk, or run a trigger: not after so many times

/// What takes messages counts by itself what became of them: it may leave out most.
bool takes_rows(const Node& sink) { return sink.op == nullptr || !sink.op->spec.of_messages; }

}  // namespace

CommitCycle::CommitCycle(const Pipeline& pipeline, std::vector<CommitSink> sinks, Snapshots& snapshots,
                         DeadLetterBox& box, Counters& counters, Ledger& store)
    : pipeline_{pipeline}, sinks_{std::move(sinks), store}, snapshots_{snapshots}, box_{box}, counters_{counters} {
  for (const CommitSink& one : sinks_) {
    rows_counters_.push_back(counted::declare(counters_, pipeline_.nodes[one.node].id, counted::rows));
  }
  commits_counter_ = counted::declare(counters_, "", counted::commits);
  retries_counter_ = counted::declare(counters_, "", counted::commit_retries);
  letters_counter_ = counted::declare(counters_, "", counted::dead_letters);
}

void CommitCycle::note_known(Partition partition, const UncommittedSteps& lane) {
  const std::scoped_lock lock{mutex_};
  Known& known = known_[partition];
  known.had.resize(sinks_.size());
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    if (sinks_[i].keeps()) known.had[i] = {std::max(known.had[i].position, lane.done(i)), lane.resets(i)};
  }
  if (sinks_.transactional() > 0) return;
  known.snapshot = lane.committed().snapshot;
  known.position = lane.committed().place.position;
}

std::size_t CommitCycle::take(LaneStep step) {
  const auto lane = lanes_.find(step.partition);
  if (lane == lanes_.end()) return step.bytes;
  pending_rows_ += rows_of(step);
  lane->second.take(std::move(step));
  return 0;
}

void CommitCycle::name_snapshot(Partition partition, std::string name, Position position) {
  if (const auto lane = lanes_.find(partition); lane != lanes_.end())
    lane->second.name_snapshot(std::move(name), position);
}

bool CommitCycle::unreported() const {
  return unreported_.bytes != 0 || !unreported_.refused.empty() || !unreported_.failed.empty() ||
         !unreported_.committed.empty();
}

bool CommitCycle::pending() const {
  if (unreported()) return true;
  return std::ranges::any_of(lanes_, [](const auto& entry) { return entry.second.pending(); });
}

bool CommitCycle::has_steps() const {
  return std::ranges::any_of(lanes_, [](const auto& entry) { return !entry.second.steps().empty(); });
}

bool CommitCycle::has_steps(Partition partition) const {
  const auto lane = lanes_.find(partition);
  return lane != lanes_.end() && !lane->second.steps().empty();
}

bool CommitCycle::pending(Partition partition) const {
  const auto lane = lanes_.find(partition);
  return lane != lanes_.end() ? lane->second.pending() : std::ranges::contains(unreported_.refused, partition);
}

Result<CommitReport> CommitCycle::commit() {
  CommitReport report = std::exchange(unreported_, {});
  const auto failed = [&](Error error) {
    counters_.add(retries_counter_, 1);
    unreported_ = std::move(report);
    return std::unexpected(std::move(error));
  };
  cut_lanes();
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    const std::string& id = sinks_[i].id;
    if (sinks_.in_doubt(i)) {
      if (auto sure = attempt(id, [&] { return reacquire(i, report); }); !sure) return failed(sure.error());
    }
    auto done = attempt(id, [&] { return commit_sink(i, report); });
    if (!done && done.error().kind == Error::Kind::refused)
      done = attempt(id, [&] { return commit_each(i, std::move(done.error()), report); });
    if (!done) {
      sinks_.doubt(i);
      // What ends the run must say where.
      if (done.error().kind == Error::Kind::refused) done.error().message.insert(0, id + ": ");
      const bool small = most_rows_ < few || ++failures_ >= seldom;
      most_rows_ = std::max(cut_rows_ / 2, small ? 1 : few);
      return failed(done.error());
    }
  }
  std::vector<Partition> lost;
  for (auto& [partition, lane] : lanes_) {
    if (!lane.takes_part()) continue;
    const auto completed = complete(partition, lane, report);
    if (!completed) return failed(completed.error());
    if (!*completed) lost.push_back(partition);
  }
  for (const Partition partition : lost) drop(partition, report);
  if (most_rows_ != SIZE_MAX) most_rows_ += std::min(most_rows_ / 4 + 1, SIZE_MAX - most_rows_);
  failures_ = 0;
  counters_.add(commits_counter_, 1);
  counters_.add(letters_counter_, letters_ - std::min(letters_, letters_left_out_));
  letters_ = letters_left_out_ = 0;
  return report;
}

/// Of every lane its first steps, all together about most_rows_ rows. After a failure that is half of what failed, so
/// that a transaction comes to fit into the time that it may take.
void CommitCycle::cut_lanes() {
  cut_rows_ = 0;
  const std::size_t share = most_rows_ / std::max<std::size_t>(lanes_.size(), 1);
  for (auto& [partition, lane] : lanes_) cut_rows_ += lane.cut(share);
}

/// Gives a sink everything that it does not have yet, of one lane `only` or of all, and commits it.
Result<void> CommitCycle::commit_sink(std::size_t index, CommitReport& report, std::optional<Partition> only) {
  std::vector<LaneCommit> commits;
  if (auto handed = hand_over(index, only, commits); !handed) return handed;
  if (commits.empty()) return {};
  auto committed = sinks_[index].sink->commit(commits);
  if (!committed) return std::unexpected(committed.error());
  if (auto kept = keep_rejected(index, committed->rejected); !kept) return kept;
  letters_left_out_ += committed->letters_left_out;
  for (const LaneCommit& commit : commits) {
    if (std::ranges::contains(committed->refused, commit.partition)) {
      drop(commit.partition, report);
    } else {
      UncommittedSteps& lane = lanes_.at(commit.partition);
      advance(index, lane, {commit.next.place.position, commit.next.place.emitted});
      lane.named(index, commit.next.snapshot);
    }
  }
  return {};
}

/// What a sink refuses of all lanes together it may refuse for one of them: each is given alone, and those that fail so
/// stop. `why`: what it said; where it refuses every lane, something stands in the way of all.
Result<void> CommitCycle::commit_each(std::size_t index, Error why, CommitReport& report) {
  std::vector<Partition> lanes;
  for (const auto& [partition, lane] : lanes_) {
    if (lane.is_for(index)) lanes.push_back(partition);
  }
  if (lanes.size() < 2) return std::unexpected(std::move(why));
  std::vector<std::pair<Partition, Error>> failed;
  bool sure = false;
  for (const Partition partition : lanes) {
    if (auto again = sure ? Result<void>{} : reacquire(index, report); !again) return again;
    const auto done = lanes_.contains(partition) ? commit_sink(index, report, partition) : Result<void>{};
    sure = done.has_value();
    if (!sure && done.error().kind != Error::Kind::refused) return done;
    if (!sure) failed.emplace_back(partition, done.error());
  }
  if (failed.size() == lanes.size()) return std::unexpected(std::move(why));
  for (auto& [partition, error] : failed) {
    report.bytes += lose(partition);
    report.failed.emplace_back(partition, std::move(error));
  }
  return sure ? Result<void>{} : reacquire(index, report);
}

void CommitCycle::advance(std::size_t index, UncommittedSteps& lane, UncommittedSteps::Reach reach) {
  const std::size_t node = sinks_[index].node;
  const std::size_t rows = lane.advance(index, reach);
  if (takes_rows(pipeline_.nodes[node])) counters_.add(rows_counters_[index], rows);
}

Result<void> CommitCycle::hand_over(std::size_t index, std::optional<Partition> only,
                                    std::vector<LaneCommit>& commits) {
  Sink& sink = *sinks_[index].sink;
  for (const auto& [partition, lane] : lanes_) {
    if (!lane.is_for(index) || partition != only.value_or(partition)) continue;
    for (const LaneStep& step : lane.steps_for(index)) {
      for (const auto& rows : step.rows) {
        if (rows.sink != sinks_[index].node) continue;
        if (auto written = sink.write(rows.encoded); !written) return written;
      }
      if (auto letters = write_dead_letters(index, step); !letters) return letters;
    }
    commits.push_back({partition, lane.next_of(index, pipeline_.fingerprint)});
    commits.back().next.sinks = known_sinks(lane, index);
  }
  return {};
}

/// Once the sink `index` has what is committed: the others that keep progress may wait for their first.
std::string CommitCycle::known_sinks(const UncommittedSteps& lane, std::size_t index) const {
  std::string out;
  for (std::size_t i = 0; i < sinks_.size(); ++i) add_mention(kept_id(i), i == index || lane.done(i) != 0, out);
  return out;
}

/// Rows that a sink would not take: their letters go to the last one with their step's, as write_dead_letters() says.
/// They go to the box if that one has committed the step already: when it refuses rows itself and has not dead-lettered
/// them, and where it was ahead of the sink when the lane started.
Result<void> CommitCycle::keep_rejected(std::size_t index, const std::vector<Committed::Rejected>& rejected) {
  const std::size_t number = sinks_[index].node;
  const std::string& node = pipeline_.nodes[number].id;
  const auto is_late = [&](const UncommittedSteps& lane, const LaneStep& step) {
    return index + 1 == sinks_.size() || lane.had(sinks_.size() - 1, step);
  };
  std::vector<Sink::DeadLetter> letters;
  for (const auto& [batch, row, reason, dead_lettered] : rejected) {
    UncommittedSteps& lane = lanes_.at(batch->origin.partition);
    const auto [step, rows] = lane.given(number, batch);
    if (dead_lettered || !is_late(lane, step)) continue;
    letters.push_back(dead_letter_of(rows.encoded, row, node, reason));
  }
  // First: if they can't be kept, all is written once more, and counted then.
  if (auto kept = keep_in_box(letters); !kept) return kept;
  letters_ += letters.size();
  for (const auto& [batch, row, reason, dead_lettered] : rejected) {
    const Partition partition = batch->origin.partition;
    counters_.add(counted::declare(counters_, node, counted::rejected, reason.code), 1);
    UncommittedSteps& lane = lanes_.at(partition);
    auto [step, rows] = lane.given(number, batch);
    const bool late = is_late(lane, step);
    announce(node, partition, reason, "", dead_lettered || (!late && sinks_.transactional() > 0));
    ++rows.rejected;
    if (dead_lettered) {
      ++letters_;
    } else if (!late) {
      step.dead_letters.push_back(dead_letter_of(rows.encoded, row, node, reason));
      ++pending_rows_;
    }
  }
  return {};
}

/// Dead letters go to the last sink, which is transactional if any is: they become durable with the position.
Result<void> CommitCycle::write_dead_letters(std::size_t index, const LaneStep& step) {
  if (index + 1 != sinks_.size() || step.dead_letters.empty()) return {};
  for (const auto& letter : step.dead_letters) {
    if (!sinks_[index].sink->write_dead_letter(letter)) return keep_in_box(step.dead_letters);
  }
  return {};
}

Result<void> CommitCycle::keep_in_box(const std::vector<Sink::DeadLetter>& letters) {
  const auto left_out = box_.keep(letters);
  if (!left_out) return std::unexpected(left_out.error());
  letters_left_out_ += left_out->size();
  for (const std::size_t i : *left_out)
    counters_.add(counted::declare(counters_, letters[i].node, counted::unkept, letters[i].reason.code), 1);
  return {};
}

/// Logs the first letter of its node and reason (up to a ':', as it is counted); the others are only counted.
void CommitCycle::announce(const std::string& node, Partition partition, const Reason& reason, std::string_view subject,
                           bool beside_rows) {
  if (announced_.size() >= most_announced || !announced_.emplace(node, reason.code).second) return;
  log::warn("{}/{}: dead letter: {}{}{}; kept in {}; more of them are only counted", node, partition, reason.text(),
            subject.empty() ? "" : "; subject ", subject.empty() ? "" : quoted(valid_utf8(subject)),
            beside_rows ? "weir_dead_letters" : pipeline_.dead_letters);
}

/// After an error nobody knows what the sink has: open it, acquire again, and see.
Result<void> CommitCycle::reacquire(std::size_t index, CommitReport& report) {
  Sink& sink = *sinks_[index].sink;
  if (auto opened = sink.open(); !opened) return opened;
  std::vector<Partition> lost;
  for (auto& [partition, lane] : lanes_) {
    if (!sinks_[index].keeps()) break;
    auto progress = sink.ledger()->acquire(partition);
    if (!progress && progress.error().kind != Error::Kind::held) return std::unexpected(progress.error());
    if (progress && lane.is_ours(index, *progress)) {
      advance(index, lane, {progress->place.position, progress->place.emitted});
      lane.named(index, progress->snapshot);
    } else {
      lost.push_back(partition);
    }
  }
  for (const Partition partition : lost) drop(partition, report);
  sinks_.trust(index);
  return {};
}

/// Notes what the commit did, and lets go of what it took and of snapshots that nothing names any more. False if the
/// lane is another worker's.
Result<bool> CommitCycle::complete(Partition partition, UncommittedSteps& lane, CommitReport& report) {
  const Progress next = sinks_.size() == 0 ? lane.committed() : lane.next_of(pipeline_.fingerprint);
  // Only a commit that named it everywhere proves that this is the owner, who may delete the others.
  if (lane.agrees_on(next.snapshot)) {
    // Where sinks keep progress it is of use when they are gone, and may come late.
    auto kept = snapshots_.remember(partition, {next.snapshot, known_sinks(lane, sinks_.size())});
    if (sinks_.transactional() == 0 && (!kept || !*kept)) return kept;
    // One that is not deleted costs space only.
    (void)snapshots_.prune(partition, next.snapshot, lane.agreed());
    lane.agree(next.snapshot);
  }
  lane.complete(next);
  box_.committed(partition, next.place.position);
  CommitReport::Lane done{partition, next.place.position};
  while (lane.steps_left()) {
    const LaneStep step = lane.pop();
    if (done.reached == no_time) done.earliest = step.place.arrival;
    done.reached = step.place.arrival;
    done.event = std::max(done.event, step.event);
    report.bytes += step.bytes;
    const bool kept_before = sinks_.size() != 0 && lane.had(sinks_.size() - 1, step);
    letters_ += kept_before ? 0 : step.dead_letters.size();
    for (const auto& letter : step.dead_letters)
      announce(letter.node, letter.partition, letter.reason, letter.subject, sinks_.transactional() > 0);
    for (const auto& rows : step.rows)
      report.rows += takes_rows(pipeline_.nodes[rows.sink]) ? rows.encoded.rows - rows.rejected : 0;
    pending_rows_ -= rows_of(step);
  }
  report.committed.push_back(done);
  return true;
}

std::size_t CommitCycle::forget(Partition partition) {
  const auto lane = lanes_.extract(partition);
  std::size_t bytes = 0;
  if (lane.empty()) return bytes;
  for (const LaneStep& step : lane.mapped().steps()) {
    bytes += step.bytes;
    pending_rows_ -= rows_of(step);
  }
  return bytes;
}

void CommitCycle::give_back(Partition partition) {
  {
    const std::scoped_lock lock{mutex_};
    acquired_.erase(partition);
  }
  sinks_.give_back(partition);
}

/// It is another worker's, or its progress is gone.
void CommitCycle::drop(Partition partition, CommitReport& report) {
  if (!lanes_.contains(partition)) return;
  report.bytes += lose(partition);
  report.refused.push_back(partition);
}

std::size_t CommitCycle::lose(Partition partition) {
  if (const auto lane = lanes_.find(partition); lane != lanes_.end()) note_known(partition, lane->second);
  return forget(partition);
}

std::size_t CommitCycle::release(Partition partition) {
  const std::size_t bytes = forget(partition);
  const std::scoped_lock lock{mutex_};
  known_.erase(partition);
  return bytes;
}

void CommitCycle::release_all() {
  std::unique_lock lock{mutex_};
  const std::vector<Partition> acquired{std::from_range, acquired_};
  lock.unlock();
  for (const Partition partition : acquired) {
    release(partition);
    give_back(partition);
  }
}

}  // namespace weir
