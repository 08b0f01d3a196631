#include "faults/simulated_lanes.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/format.hpp>

namespace weir::faults {

Result<void> SimulatedLanes::start(Partition partition) {
  auto start = around_.cycle.claim(partition);
  if (!start) return std::unexpected(start.error());
  if (!start->lost.empty()) around_.failed(start->lost);
  Claims source;  // of a lane that has one key, whatever its partition
  source.replayable = source.ordered = true;
  Held lane;
  lane.id = {partition, ++runs_};
  lane.at = start->after;
  lane.silent = start->silent;
  lane.machine = std::make_unique<Lane>(Lane::Surroundings{around_.pipeline, around_.registry, counters_, around_.clock,
                                                           source, around_.sinks, 1 + around_.dice.roll(40)},
                                        partition);
  const StreamIdentity stream{"simulated", 1};
  if (auto loaded = lane.machine->load(*start); !loaded) return std::unexpected(loaded.error());
  if (auto begun = lane.machine->begin(lane.at, stream); !begun) return begun;
  around_.cycle.reading(partition, stream, lane.at);
  snapshotting_.erase(partition);
  lanes_[partition] = std::move(lane);
  return {};
}

void SimulatedLanes::let_go(Partition partition) {
  snapshotting_.insert(partition);
  Held& lane = lanes_.at(partition);
  lane.stopping = true;
  lane.quietly = around_.quiet();
}

std::optional<Snapshot> SimulatedLanes::state_at_rest(Partition partition) {
  const Held& lane = lanes_.at(partition);
  if (broken(partition) || lane.at < lane.silent) return {};
  Snapshot state = state_of(lane);
  if (state.at.position == 0) return {};
  return state;
}

void SimulatedLanes::drop(Partition partition) {
  const auto lane = lanes_.find(partition);
  if (lane == lanes_.end()) return;
  const Held& gone = lane->second;
  const bool whole = gone.quietly && gone.at >= gone.silent;
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

void SimulatedLanes::work(Held& lane) {
  if (lane.ended) return;
  if (!lane.stopping || around_.dice.chance(300)) return read(lane);
  lane.ended = true;
  around_.events.ended(lane.id, std::nullopt);
}

void SimulatedLanes::want_snapshots() {
  for (auto& [partition, lane] : lanes_) {
    if (snapshotting_.contains(partition) || !around_.dice.chance(200)) continue;
    snapshotting_.insert(partition);
    lane.wants_snapshot = true;
  }
}

void SimulatedLanes::finish_all() {
  for (auto& [partition, lane] : lanes_) lane.stopping = true;
  while (std::ranges::any_of(lanes_, [](const auto& entry) { return !entry.second.ended; })) work();
}

/// Takes a few messages through the lane, as the executor does.
void SimulatedLanes::read(Held& lane) {
  const Partition partition = lane.id.partition;
  const auto& stream = around_.streams.messages[partition];
  const Position last = std::min<Position>(lane.at + 1 + around_.dice.roll(5), around_.streams.there(partition));
  auto pulled = std::make_shared<Messages>();
  auto texts = std::make_shared<std::vector<std::string>>();
  texts->reserve(last - lane.at);
  for (Position n = lane.at + 1; n <= last; ++n)
    pulled->items.push_back(simulated_message(n, texts->emplace_back(text_of(stream[n - 1]))));
  pulled->owner = texts;
  if (!pulled->items.empty()) {
    for (MessagesPtr& part : lane.machine->cut(std::move(pulled), 1 + around_.dice.roll(4)))
      step(lane, std::move(part));
  }
  if (std::exchange(lane.wants_snapshot, false)) around_.events.snapshot(lane.id, state_of(lane));
}

void SimulatedLanes::step(Held& lane, MessagesPtr messages) {
  lane.at = messages->items.back().sequence;
  const auto decoded = lane.machine->decode(std::move(messages));
  if (!decoded) return broke(lane.id.partition, decoded.error());
  auto made = lane.machine->step(*decoded);
  while (made && made->more) {
    give(lane, *std::move(made));
    made = lane.machine->go_on();
  }
  if (!made) return broke(lane.id.partition, made.error());
  if (!made->replaying) give(lane, *std::move(made));
}

void SimulatedLanes::give(const Held& lane, ChainOutput made) {
  LaneStep step = lane.machine->encode(std::move(made));
  around_.credits.take(step.bytes);
  around_.events.step(lane.id, std::move(step));
}

Snapshot SimulatedLanes::state_of(const Held& lane) const {
  Snapshot out = lane.machine->save();
  if (around_.snapshots_tell_truth) return out;
  out.at.position -= std::min<Position>(out.at.position, 3);
  out.at.consumed = out.at.position;
  return out;
}

}  // namespace weir::faults
