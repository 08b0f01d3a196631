/// Lanes without threads: the engine's own, driven one step at a time over streams of numbers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/runtime/credits.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/held_lanes.hpp"
#include "core/runtime/lane.hpp"
#include "faults/misfortune.hpp"
#include "faults/simulated_pipeline.hpp"

namespace weir::faults {

/// Partitions' streams; message n is item n - 1.
struct Streams {
  std::vector<std::vector<std::uint64_t>> messages;
  Duration filling = 0;  ///< by when all messages are there; 0: at once
  Timestamp now = 0;

  /// How many messages of a partition there are by now.
  Position there(Partition partition) const {
    const auto all = static_cast<Timestamp>(messages[partition].size());
    return static_cast<Position>(now >= filling ? all : all * (now / millisecond) / (filling / millisecond));
  }
};

/// What Lanes is to the engine.
class SimulatedLanes final : public HeldLanes {
 public:
  struct Surroundings {
    Dice& dice;
    Streams& streams;
    CommitCycle& cycle;
    Snapshots& snapshots;
    std::string fence;
    const Pipeline& pipeline;
    const Registry& registry;
    const Clock& clock;
    Credits& credits;
    std::vector<std::pair<std::size_t, const Sink*>> sinks;
    bool snapshots_tell_truth = true;
    LaneEvents events;
    /// Whether what is handed over now must leave nothing to be read again; told when it was so and is not.
    std::function<bool()> quiet;
    std::function<void(Partition, Position)> given;
    std::function<void(std::string)> failed;  ///< what can't happen
  };
  explicit SimulatedLanes(Surroundings around) : around_{std::move(around)} {}

  Result<void> start(Partition partition) override;
  void let_go(Partition partition) override;
  std::optional<Snapshot> state_at_rest(Partition partition) override;
  void drop(Partition partition) override;
  void rest(Partition partition) override { drop(partition); }
  void broke(Partition partition, Error error) override;
  bool got_on(Partition) const override { return true; }
  bool has(LaneId lane) const override {
    const auto it = lanes_.find(lane.partition);
    return it != lanes_.end() && it->second.id == lane;
  }
  LaneId id(Partition partition) const override { return lanes_.at(partition).id; }
  Position at(Partition partition) const override { return lanes_.at(partition).at; }
  bool broken(Partition partition) const override { return broken_.contains(partition); }
  std::vector<Partition> partitions() const override { return {std::from_range, std::views::keys(lanes_)}; }
  std::size_t count() const override { return lanes_.size(); }
  std::vector<Partition> broken() const override { return {std::from_range, broken_}; }
  void committed(Partition, Position) override {}
  void snapshot_done(Partition partition) override { snapshotting_.erase(partition); }

  /// What the lanes' own threads do: each takes a few messages, or ends.
  void work();
  void want_snapshots();
  /// Asks all to stop, and lets them.
  void finish_all();

 private:
  struct Held {
    LaneId id;
    std::unique_ptr<Lane> machine = {};
    Position at = 0, silent = 0;
    bool stopping = false, ended = false, wants_snapshot = false;
    bool quietly = false;  ///< it is handed over where nothing goes wrong
  };

  void read(Held& lane);
  void step(Held& lane, MessagesPtr messages);
  void give(const Held& lane, ChainOutput made);
  void work(Held& lane);
  Snapshot state_of(const Held& lane) const;

  Surroundings around_;
  Counters counters_;
  std::map<Partition, Held> lanes_;
  std::set<Partition> snapshotting_, broken_;
  std::uint64_t runs_ = 0;
};

}  // namespace weir::faults
