#include "faults/simulated_lanes.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <utility>

#include <weir/format.hpp>

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

}  // namespace

std::vector<std::string> expected_rows(const std::vector<std::uint64_t>& stream) {
  std::vector<std::string> out;
  std::uint64_t sum = 0;
  for (Position at = 1; at <= stream.size(); ++at) {
    if (next(sum, stream[at - 1])) out.push_back(row_of(out.size(), at, sum));
  }
  return out;
}

Result<void> SimulatedLanes::start(Partition partition) {
  auto start = around_.cycle.claim(partition);
  if (!start) return std::unexpected(start.error());
  if (!start->lost.empty()) around_.failed(start->lost);
  Lane lane;
  lane.id = {partition, ++runs_};
  lane.at = start->after;
  if (!start->state.empty()) {
    const char* const end = start->state.data() + start->state.size();
    const char* const between = std::from_chars(start->state.data(), end, lane.sum).ptr;
    std::from_chars(between + 1, end, lane.rows);
  }
  lane.start = *std::move(start);
  around_.cycle.reading(partition, {"simulated", 1}, lane.at);
  unsettled_.erase(partition);
  lanes_[partition] = std::move(lane);
  return {};
}

void SimulatedLanes::let_go(Partition partition) {
  unsettled_.insert(partition);
  Lane& lane = lanes_.at(partition);
  lane.stopping = true;
  lane.quietly = around_.quiet();
}

std::optional<Snapshot> SimulatedLanes::state_at_rest(Partition partition) {
  const Lane& lane = lanes_.at(partition);
  if (broken(partition) || lane.at < lane.start.silent) return {};
  Snapshot state = state_of(lane);
  if (state.at.position == 0) return {};
  return state;
}

void SimulatedLanes::drop(Partition partition) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  const Lane& gone = lane->second;
  const bool whole = gone.quietly && gone.at >= gone.start.silent;
  if (whole) around_.given(partition, gone.at);
  lanes_.erase(lane);
}

void SimulatedLanes::broke(Partition partition, Error error) {
  around_.failed(weir::format("partition {}: {}", partition, error.message));
  broken_.insert(partition);
}

void SimulatedLanes::work() {
  for (auto& [partition, lane] : lanes_) work(lane);
}

void SimulatedLanes::work(Lane& lane) {
  if (lane.ended) return;
  if (!lane.stopping || around_.dice.chance(300)) return read(lane);
  lane.ended = true;
  around_.events.ended(lane.id, std::nullopt);
}

void SimulatedLanes::want_snapshots() {
  for (auto& [partition, lane] : lanes_) {
    if (unsettled_.contains(partition) || !around_.dice.chance(200)) continue;
    unsettled_.insert(partition);
    lane.wants_snapshot = true;
  }
}

void SimulatedLanes::finish_all() {
  for (auto& [partition, lane] : lanes_) lane.stopping = true;
  while (std::ranges::any_of(lanes_, [](const auto& entry) { return !entry.second.ended; })) work();
}

/// Takes a few messages, but none behind a border together with one before it.
void SimulatedLanes::read(Lane& lane) {
  const Partition partition = lane.id.partition;
  const auto& stream = around_.streams.messages[partition];
  Position last = std::min<Position>(lane.at + 1 + around_.dice.roll(5), around_.streams.there(partition));
  for (const Position border : lane.start.borders) {
    if (border > lane.at) last = std::min(last, border);
  }
  Encoded encoded;
  encoded.partition = partition;
  encoded.number = lane.rows;
  const bool further = last > lane.at;
  for (; lane.at < last; ++lane.at) {
    if (!next(lane.sum, stream[lane.at])) continue;
    encoded.bytes += row_of(lane.rows++, lane.at + 1, lane.sum) + "\n";
    encoded.rows += rows_counted;
  }
  if (further && last > lane.start.silent) {
    LaneStep step;
    step.partition = partition;
    step.place = {.position = last, .arrival = static_cast<Timestamp>(last), .consumed = last};
    for (std::size_t sink = 1; sink <= around_.sinks && encoded.rows > 0; ++sink) step.rows.push_back({sink, encoded});
    around_.events.step(lane.id, std::move(step));
  }
  if (std::exchange(lane.wants_snapshot, false)) around_.events.snapshot(lane.id, state_of(lane));
}

Snapshot SimulatedLanes::state_of(const Lane& lane) const {
  const Position says = around_.snapshots_tell_truth ? lane.at : lane.at - std::min<Position>(lane.at, 3);
  return {
      {.position = says, .arrival = static_cast<Timestamp>(says), .fingerprint = around_.fingerprint, .consumed = says},
      weir::format("{} {}", lane.sum, lane.rows)};
}

}  // namespace weir::faults
