#include "core/coordination/lanes.hpp"

#include <algorithm>
#include <ranges>
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
  if (start.after < start.committed()) text += ", replaying silently from " + std::to_string(start.after);
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

}  // namespace

Lanes::Lanes(LaneRun::Surroundings around, CommitCycle& cycle, Snapshots& snapshots, std::string fence)
    : around_{std::move(around)}, cycle_{cycle}, snapshots_{snapshots}, fence_{std::move(fence)} {
  const Node& source = around_.pipeline.nodes[around_.pipeline.source()];
  replayable_ = claims_of(source).replayable;
  reminds_ = claims_of(source).reminds;
}

Result<void> Lanes::start(Partition partition) {
  got_on_.erase(partition);
  const std::string whose = "partition " + std::to_string(partition);
  auto start = attempt(whose, [&] { return cycle_.claim(partition, replayable_); });
  if (!start) {
    cycle_.lose(partition);  // what this worker knows of its progress stays
    return std::unexpected(start.error());
  }
  if (!replayable_) go_on_without_replay(*start, reminds_);
  std::unique_ptr<LaneRun> lane;
  auto opened = attempt(whose, [&] { return open(lane, partition, *start); });
  if (!opened) {
    lane.reset();
    cycle_.release(partition);
    return opened;
  }
  for (const std::string& sink : start->blank) {
    log::warn(
        "partition {}: sink {} has no progress although this pipeline has run: it gets all rows from the stream's "
        "first message on. If its table has them already, stop this worker",
        partition, sink);
  }
  if (!start->lost.empty()) {
    log::warn("partition {}: {}; {}", partition, start->lost,
              replayable_ ? "the state is made again from the stream's first message" : "it starts with empty state");
  }
  if (const std::string other = other_rules(*start, around_.pipeline.fingerprint); !other.empty()) {
    log::warn(
        "partition {}: was run by other rules until now: {}; while workers of both are there, each makes its own rows "
        "of the partitions that it has",
        partition, other);
  }
  log::info("partition {}: {}", partition, describe(*start, lane->snapshot().at.position));
  lane->run();
  begun_[partition] = start->committed();
  snapshot_at_[partition] = around_.clock.steady();
  snapshotting_.erase(partition);
  const std::scoped_lock lock{mutex_};
  broken_.erase(partition);
  lanes_[partition] = std::move(lane);
  return {};
}

Result<void> Lanes::open(std::unique_ptr<LaneRun>& lane, Partition partition, LaneStart& start) {
  lane = std::make_unique<LaneRun>(around_, threads_, LaneId{partition, ++runs_});
  const auto opened = lane->open(start);
  if (!opened) return std::unexpected(opened.error());
  cycle_.reading(partition, lane->identity(), *opened);
  return keep_first(*lane, partition, *opened, start);
}

/// A start in the middle of a stream must be findable again before the first commit. Where no store keeps it, lint has
/// said that it need not be.
Result<void> Lanes::keep_first(LaneRun& lane, Partition partition, Position begins, const LaneStart& start) {
  if (start.committed() != 0 || begins == 0) return {};
  if (!snapshots_.durable()) return {};
  auto name = snapshots_.write(partition, fence_, lane.snapshot());
  if (!name) return std::unexpected(name.error());
  cycle_.name_snapshot(partition, *name, begins);
  return {};
}

void Lanes::stop_all() {
  for (auto& [partition, lane] : lanes_) lane->stop();
}

void Lanes::finish_all() {
  for (auto& [partition, lane] : lanes_) lane->finish();
}

void Lanes::let_go(Partition partition) {
  snapshotting_.insert(partition);
  lanes_.at(partition)->stop();
}

std::optional<Snapshot> Lanes::state_at_rest(Partition partition) {
  LaneRun& lane = *lanes_.at(partition);
  lane.finish();
  if (!snapshots_.durable() || broken(partition) || lane.status().replaying) return {};
  // Where nothing was read there is no state, and a sink without progress is no wonder.
  Snapshot state = lane.snapshot();
  if (state.at.position == 0) return {};
  return state;
}

void Lanes::drop(Partition partition) {
  rest(partition);
  told_.erase(partition);
  const std::scoped_lock lock{mutex_};
  broken_.erase(partition);
}

void Lanes::rest(Partition partition) {
  std::unique_ptr<LaneRun> lane;  // ends outside of the lock
  const std::scoped_lock lock{mutex_};
  const auto it = lanes_.find(partition);
  if (it == lanes_.end()) return;
  lane = std::move(it->second);
  lanes_.erase(it);
}

void Lanes::broke(Partition partition, Error error) {
  std::string& told = told_[partition];
  if (told != error.message || got_on(partition))
    log::error("partition {} stopped: {}", partition, error.message);
  else if (lanes_.contains(partition))  // it had said that it goes on
    log::warn("partition {} stopped once more, by the same as before", partition);
  told = error.message;
  const std::scoped_lock lock{mutex_};
  broken_[partition] = std::move(error);
}

bool Lanes::has(LaneId lane) const {
  const auto it = lanes_.find(lane.partition);
  return it != lanes_.end() && it->second->id() == lane;
}

bool Lanes::broken(Partition partition) const { return broken_.contains(partition); }

std::vector<Partition> Lanes::partitions() const { return {std::from_range, std::views::keys(lanes_)}; }

std::size_t Lanes::count() const {
  return lanes_.size() + static_cast<std::size_t>(std::ranges::count_if(
                             broken_, [this](const auto& one) { return !lanes_.contains(one.first); }));
}

std::vector<Partition> Lanes::broken() const { return {std::from_range, std::views::keys(broken_)}; }

std::optional<Error> Lanes::first_error() const {
  if (broken_.empty()) return {};
  return broken_.begin()->second;
}

void Lanes::committed(Partition partition, Position position) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  if (position > begun_[partition]) got_on_.insert(partition);
  lane->second->committed(position);
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

void Lanes::snapshot_done(Partition partition) { snapshotting_.erase(partition); }

void Lanes::save_all(Timestamp until) {
  for (const Partition partition : partitions()) {
    if (around_.clock.steady() >= until) return;
    const auto last = state_at_rest(partition);
    if (!last) continue;
    if (auto name = attempt("store", [&] { return snapshots_.write(partition, fence_, *last); }))
      cycle_.name_snapshot(partition, *name, last->at.position);
  }
}

std::vector<LaneRun::Status> Lanes::statuses() const {
  const std::scoped_lock lock{mutex_};
  std::vector<LaneRun::Status> out;
  for (const auto& [partition, lane] : lanes_) out.push_back(lane->status());
  return out;
}

std::vector<std::string> Lanes::why_broken() const {
  const std::scoped_lock lock{mutex_};
  std::vector<std::string> out;
  for (const auto& [partition, error] : broken_)
    out.push_back("partition " + std::to_string(partition) + ": " + error.message);
  return out;
}

std::string Lanes::write_trouble() const {
  for (const auto& [partition, lane] : lanes_) {
    if (auto status = lane->status(); !status.write_trouble.empty()) return std::move(status.write_trouble);
  }
  return {};
}

std::vector<std::string> Lanes::troubles() const {
  const std::scoped_lock lock{mutex_};
  std::vector<std::string> out;
  for (const auto& [partition, lane] : lanes_) {
    auto status = lane->status();
    if (!status.trouble.empty()) out.push_back(std::move(status.trouble));
    if (!status.write_trouble.empty()) out.push_back(std::move(status.write_trouble));
  }
  return out;
}

}  // namespace weir
