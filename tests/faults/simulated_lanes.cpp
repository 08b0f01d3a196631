#include "faults/simulated_lanes.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/format.hpp>

namespace weir::faults {

void SimulatedLanes::acquire(LaneId lane) {
  tasks_.emplace_back([this, lane] {
    const auto restored = restore(lane);
    around_.tell(event::Restored{lane, restored ? std::nullopt : std::optional{restored.error()}});
  });
}

Result<void> SimulatedLanes::restore(LaneId id) {
  auto acquired = around_.cycle.acquire(id.partition, around_.replayable);
  if (!acquired) return std::unexpected(acquired.error());
  around_.tell(event::Acquired{id});
  Opened out{*std::move(acquired), {.id = id}};
  LaneStart& start = out.acquired.start;
  if (!start.lost.empty()) around_.failed(start.lost);
  if (!around_.replayable) go_on_without_replay(start, false);
  if (!around_.safeguards.written_ticks_left_out) start.written = no_time;
  Claims source;  // of a lane that has one key, whatever its partition
  source.replayable = around_.replayable;
  source.ordered = true;
  Held& lane = out.lane;
  lane.at = start.after;
  lane.replay_until = start.replay_until;
  if (!around_.replayable) lane.ahead = around_.streams.there(id.partition) - lane.at;
  lane.first = lane.at + lane.ahead + 1;
  lane.machine = std::make_unique<Lane>(Lane::Surroundings{around_.pipeline, around_.registry, counters_, around_.clock,
                                                           source, around_.sinks, 1 + around_.dice.roll(40)},
                                        id.partition);
  const StreamIdentity stream{"simulated", 1};
  if (auto loaded = lane.machine->load(start); !loaded) return std::unexpected(loaded.error());
  if (auto begun = lane.machine->begin(lane.at, stream); !begun) return begun;
  out.acquired.lane.reading(lane.machine->at());
  opened_.insert_or_assign(id.partition, std::move(out));
  return {};
}

Result<Position> SimulatedLanes::run(LaneId id) {
  Opened opened = std::move(opened_.extract(id.partition).mapped());
  if (auto installed = around_.cycle.install(id.partition, opened.acquired); !installed)
    return std::unexpected(installed.error());
  snapshotting_.erase(id.partition);
  lanes_[id.partition] = std::move(opened.lane);
  return opened.acquired.start.committed();
}

void SimulatedLanes::stop(LaneId id) {
  snapshotting_.insert(id.partition);
  Held& lane = lanes_.at(id.partition);
  lane.stopping = true;
  lane.quietly = around_.quiet() && around_.cycle.has(id.partition);
}

void SimulatedLanes::save(LaneId id) {
  tasks_.emplace_back([this, id, state = final_snapshot(lanes_.at(id.partition))] {
    state ? store(id, *state, true) : around_.tell(event::Stored{.lane = id, .name = {}, .final = true});
  });
}

void SimulatedLanes::store(LaneId lane, const Snapshot& snapshot, bool final) {
  const auto name = around_.snapshots.write(lane.partition, around_.fence, snapshot);
  around_.tell(event::Stored{lane, name.value_or(""), snapshot.at.place.position, final});
}

std::optional<Snapshot> SimulatedLanes::final_snapshot(const Held& lane) const {
  if (lane.at < lane.replay_until) return {};
  Snapshot state = state_of(lane);
  if (state.at.place.position == 0) return {};
  return state;
}

void SimulatedLanes::release(LaneId id) {
  if (const auto lane = lanes_.find(id.partition); lane != lanes_.end()) {
    const Held& gone = lane->second;
    if (gone.quietly && gone.at >= gone.replay_until) around_.released(id.partition, gone.at);
    lanes_.erase(lane);
  }
  opened_.erase(id.partition);
  tasks_.emplace_back([this, id] {
    around_.cycle.give_back(id.partition);
    around_.tell(event::Released{id});
  });
}

void SimulatedLanes::work_task() {
  if (tasks_.empty()) return;
  const auto task = std::move(tasks_.front());
  tasks_.pop_front();
  task();
}

void SimulatedLanes::broke(const Held& lane, const Error& error) {
  around_.failed(weir::format("partition {}: {}", lane.id.partition, error.message));
}

void SimulatedLanes::work() {
  for (auto& [partition, lane] : lanes_) work(lane);
}

void SimulatedLanes::work(Held& lane) {
  if (lane.ended) return;
  if (!lane.stopping || around_.dice.chance(300)) return read(lane);
  lane.ended = true;
  around_.tell(event::Ended{lane.id, std::nullopt});
}

void SimulatedLanes::want_snapshots(Timestamp) {
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

void SimulatedLanes::save_all(Timestamp until) {
  for (const auto& [partition, lane] : lanes_) {
    if (around_.clock.steady() >= until) return;
    const auto last = final_snapshot(lane);
    if (!last) continue;
    if (auto name = around_.snapshots.write(partition, around_.fence, *last))
      around_.cycle.name_snapshot(partition, *name, last->at.place.position);
  }
}

/// Takes a few messages through the lane, as the executor does.
void SimulatedLanes::read(Held& lane) {
  const Partition partition = lane.id.partition;
  const auto& stream = around_.streams.messages[partition];
  const Position last =
      std::min<Position>(lane.at + 1 + around_.dice.roll(5), around_.streams.there(partition) - lane.ahead);
  auto pulled = std::make_shared<Messages>();
  auto texts = std::make_shared<std::vector<std::string>>();
  texts->reserve(last - lane.at);
  for (Position n = lane.at + 1; n <= last; ++n)
    pulled->items.push_back(
        simulated_message(n + lane.ahead, n, texts->emplace_back(text_of(stream[n + lane.ahead - 1]))));
  pulled->owner = texts;
  if (!pulled->items.empty()) {
    for (MessagesPtr& part : lane.machine->cut(std::move(pulled), 1 + around_.dice.roll(4)))
      step(lane, std::move(part));
  }
  if (lane.at >= lane.replay_until && std::exchange(lane.wants_snapshot, false))
    tasks_.emplace_back([this, id = lane.id, state = state_of(lane)] { store(id, state, false); });
}

void SimulatedLanes::step(Held& lane, MessagesPtr messages) {
  lane.at = messages->items.back().sequence;
  const auto decoded = lane.machine->decode(std::move(messages));
  if (!decoded) return broke(lane, decoded.error());
  auto made = lane.machine->step(*decoded);
  while (made && made->more) {
    give(lane, *std::move(made));
    made = lane.machine->go_on();
  }
  if (!made) return broke(lane, made.error());
  if (!made->replaying) give(lane, *std::move(made));
}

void SimulatedLanes::give(const Held& lane, ChainOutput made) {
  LaneStep step = lane.machine->encode(std::move(made));
  around_.credits.take(step.bytes);
  around_.tell(event::Stepped{lane.id, std::move(step)});
}

Snapshot SimulatedLanes::state_of(const Held& lane) const {
  Snapshot out = lane.machine->save();
  if (around_.safeguards.snapshots_tell_truth) return out;
  out.at.place.position -= std::min<Position>(out.at.place.position, 3);
  out.at.place.consumed = out.at.place.position;
  return out;
}

}  // namespace weir::faults
