#include "faults/simulated_worker.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>

#include "fakes/letter_box.hpp"

namespace weir::faults {
namespace {

/// One step of the lane's state machine; answers whether the message makes a row.
bool next(std::uint64_t& sum, std::uint64_t message) {
  sum = (sum + message) * 1'000'003 % 1'000'000'007;
  return message % 3 != 0;
}

std::string row_of(std::uint64_t number, Position position, std::uint64_t sum) {
  return weir::format("{} at {}: {}", number, position, sum);
}

/// Not transactional: what was written is there once commit() was called, with or without an answer.
class ListSink final : public Sink {
 public:
  explicit ListSink(Plant& plant) : plant_{plant} {}
  Result<void> settle(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded& rows) override {
    written_.push_back(weir::format("{}: {}", rows.partition, rows.bytes));
    return {};
  }
  Result<Committed> commit(std::span<const LaneCommit>) override {
    for (auto& row : std::exchange(written_, {})) {
      if (plant_.dice.chance(5)) return fail(Error::Kind::unreachable, "the list does not answer");
      plant_.list.push_back(std::move(row));
    }
    return Committed{};
  }

 private:
  Plant& plant_;
  std::vector<std::string> written_;
};

}  // namespace

std::vector<std::string> expected_rows(const Streams& streams, Partition partition) {
  std::vector<std::string> out;
  std::uint64_t sum = 0;
  for (Position at = 1; at <= streams[partition].size(); ++at) {
    if (next(sum, streams[partition][at - 1])) out.push_back(row_of(out.size(), at, sum));
  }
  return out;
}

SimulatedWorker::SimulatedWorker(Plant& plant, int number)
    : plant_{plant},
      fence_{weir::format("worker{}", number)},
      snapshots_{plant.store, "simulated"},
      box_{std::make_unique<fakes::LetterBox>()} {
  pipeline_.name = "simulated";
  pipeline_.fingerprint = "the same";
  std::vector<Outlet> outlets;
  for (SimulatedDatabase* database : plant.databases) {
    Claims claims;
    claims.transactional = true;
    sinks_.push_back(std::make_unique<SimulatedSink>(*database, number));
    outlets.push_back({outlets.size(), sinks_.back().get(), claims});
  }
  sinks_.push_back(std::make_unique<ListSink>(plant));
  outlets.push_back({outlets.size(), sinks_.back().get(), {}});
  pipeline_.nodes.resize(outlets.size());
  for (std::size_t i = 0; i < outlets.size(); ++i) pipeline_.nodes[i].id = weir::format("out{}", i);
  cycle_ = std::make_unique<CommitCycle>(pipeline_, outlets, snapshots_, *box_, counters_);
  if (auto opened = cycle_->open(); !opened) fail_if_fatal(opened.error(), "open");
}

void SimulatedWorker::act() {
  const auto partition = static_cast<Partition>(plant_.dice.roll(plant_.streams.size()));
  const auto lane = lanes_.find(partition);
  const std::uint64_t what = plant_.dice.roll(100);
  if (lane == lanes_.end()) return claim(partition);
  if (what < 50) return read(partition, lane->second);
  if (what < 75) return commit();
  if (what < 85) return take_snapshot(partition, lane->second);
  if (what < 97) return store_snapshots();
  hand_over(partition);
}

bool SimulatedWorker::finish() {
  bool through = true;
  for (Partition partition = 0; partition < plant_.streams.size(); ++partition) {
    if (!lanes_.contains(partition)) claim(partition);
    const auto lane = lanes_.find(partition);
    if (lane == lanes_.end()) {
      through = false;
      continue;
    }
    while (!over(partition, lane->second) && lane->second.at < plant_.streams[partition].size())
      read(partition, lane->second);
    through = through && !over(partition, lane->second);
  }
  commit();
  return through && !cycle_->pending();
}

void SimulatedWorker::claim(Partition partition) {
  auto start = cycle_->claim(partition);
  if (!start) return fail_if_fatal(start.error(), "claim");
  if (!start->lost.empty()) return fail_if_fatal({Error::Kind::changed, start->lost}, "claim");
  if (start->at.incarnation < plant_.incarnations[partition]) *start = cycle_->begin_again(partition);
  Lane lane;
  lane.at = start->after;
  if (!start->state.empty()) {
    const char* const end = start->state.data() + start->state.size();
    const char* const between = std::from_chars(start->state.data(), end, lane.sum).ptr;
    std::from_chars(between + 1, end, lane.rows);
  }
  lane.start = *std::move(start);
  cycle_->reading(partition, {"simulated", 1 + static_cast<Timestamp>(lane.start.at.incarnation)}, lane.at);
  lanes_[partition] = std::move(lane);
}

/// Takes a few messages, but none behind a border together with one before it.
void SimulatedWorker::read(Partition partition, Lane& lane) {
  if (over(partition, lane)) return;
  const auto& stream = plant_.streams[partition];
  Position last = std::min<Position>(lane.at + 1 + plant_.dice.roll(5), stream.size());
  for (const Position border : lane.start.borders) {
    if (border > lane.at) last = std::min(last, border);
  }
  if (last <= lane.at) return;
  Encoded encoded;
  encoded.partition = partition;
  encoded.number = lane.rows;
  for (; lane.at < last; ++lane.at) {
    if (!next(lane.sum, stream[lane.at])) continue;
    encoded.bytes += row_of(lane.rows++, lane.at + 1, lane.sum) + "\n";
    encoded.rows += rows_counted;
  }
  if (last <= lane.start.silent) return;
  LaneStep step;
  step.partition = partition;
  step.position = step.consumed = last;
  step.reached = arrival_of(lane.start.at.incarnation, last);
  for (std::size_t sink = 0; sink < sinks_.size() && encoded.rows > 0; ++sink) step.rows.push_back({sink, encoded});
  (void)cycle_->take(std::move(step));
}

void SimulatedWorker::take_snapshot(Partition partition, const Lane& lane) {
  const Position says = plant_.snapshots_tell_truth ? lane.at : lane.at - std::min<Position>(lane.at, 3);
  taken_.push_back({partition,
                    {{.position = says,
                      .arrival = arrival_of(lane.start.at.incarnation, says),
                      .fingerprint = pipeline_.fingerprint,
                      .consumed = says,
                      .incarnation = lane.start.at.incarnation},
                     weir::format("{} {}", lane.sum, lane.rows)}});
}

/// May come late: when its worker has lost the partition long ago.
void SimulatedWorker::store_snapshots() {
  for (const Taken& taken : std::exchange(taken_, {})) {
    const auto name = snapshots_.write(taken.partition, fence_, taken.snapshot);
    const Progress& at = taken.snapshot.at;
    if (name) cycle_->name_snapshot(taken.partition, *name, at.position, at.incarnation);
  }
}

void SimulatedWorker::commit() {
  const auto report = cycle_->commit();
  if (!report) return fail_if_fatal(report.error(), "commit");
  for (const Partition partition : report->refused) lanes_.erase(partition);
  std::erase_if(lanes_, [&](const auto& entry) {
    const bool done = over(entry.first, entry.second) && !cycle_->has_steps(entry.first);
    if (done) (void)cycle_->release(entry.first);
    return done;
  });
}

bool SimulatedWorker::over(Partition partition, const Lane& lane) const {
  return lane.start.at.incarnation != plant_.incarnations[partition];
}

/// As a drain does: commit, snapshot, commit its name, release.
void SimulatedWorker::hand_over(Partition partition) {
  commit();
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  take_snapshot(partition, lane->second);
  store_snapshots();
  commit();
  (void)cycle_->release(partition);
  lanes_.erase(partition);
}

void SimulatedWorker::renew() {
  const auto lost = cycle_->renew();
  if (!lost) return fail_if_fatal(lost.error(), "renew");
  for (const Partition partition : *lost) {
    if (lanes_.erase(partition) > 0) (void)cycle_->release(partition);
  }
}

void SimulatedWorker::fail_if_fatal(const Error& error, const char* doing) {
  if (error.kind == Error::Kind::unreachable || error.kind == Error::Kind::refused) return;
  if (failure_.empty()) failure_ = weir::format("{} {}: {}", fence_, doing, error.message);
}

}  // namespace weir::faults
