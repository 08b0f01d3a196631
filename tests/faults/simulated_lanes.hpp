/// Lanes without threads: the engine's own, driven one step at a time over streams of numbers.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/coordination/lane_host.hpp"
#include "core/coordination/worker_events.hpp"
#include "core/runtime/credits.hpp"
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

/// What Lanes is to the engine. What that does on threads of its own is a list of tasks here.
class SimulatedLanes final : public LaneHost {
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
    Safeguards safeguards;
    bool replayable = true;
    std::function<void(event::Any)> tell;
    /// Whether what is released now must leave nothing to be read again; checked when it was so and is not.
    std::function<bool()> quiet;
    std::function<void(Partition, Position)> released;
    std::function<void(std::string)> failed;  ///< what can't happen
  };
  explicit SimulatedLanes(Surroundings around) : around_{std::move(around)} {}

  void acquire(LaneId lane) override;
  Result<Position> run(LaneId lane) override;
  void stop(LaneId lane) override;
  void save(LaneId lane) override;
  void release(LaneId lane) override;
  void committed(Partition, Position) override {}
  void want_snapshots(Timestamp now) override;
  void snapshot_done(Partition partition) override { snapshotting_.erase(partition); }
  Position at(Partition partition) const override { return lanes_.at(partition).at; }
  /// Up to which message a partition's stream was read, and from which on.
  Position read_to(Partition partition) const { return lanes_.at(partition).at + lanes_.at(partition).ahead; }
  Position read_from(Partition partition) const { return lanes_.at(partition).first; }
  void finish_all() override;
  void save_all(Timestamp until) override;

  /// What the lanes' own threads do: each takes a few messages, or ends.
  void work();
  /// Does the next task.
  void work_task();
  std::vector<Partition> partitions() const { return {std::from_range, std::views::keys(lanes_)}; }

 private:
  struct Held {
    LaneId id;
    std::unique_ptr<Lane> machine = {};
    Position at = 0, replay_until = 0;
    Position ahead = 0;  ///< the stream's messages are of numbers greater by this: what nobody read is gone
    Position first = 1;  ///< the first message that it reads
    bool stopping = false, ended = false, wants_snapshot = false;
    bool quietly = false;  ///< it is released where nothing goes wrong
  };
  struct Opened {
    CommitCycle::Acquired acquired;
    Held lane;
  };

  Result<void> restore(LaneId id);
  void read(Held& lane);
  void step(Held& lane, MessagesPtr messages);
  void give(const Held& lane, ChainOutput made);
  void work(Held& lane);
  void store(LaneId lane, const Snapshot& snapshot, bool final);
  void broke(const Held& lane, const Error& error);
  std::optional<Snapshot> final_snapshot(const Held& lane) const;
  Snapshot state_of(const Held& lane) const;

  Surroundings around_;
  Counters counters_;
  std::map<Partition, Held> lanes_;
  std::map<Partition, Opened> opened_;
  std::set<Partition> snapshotting_;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace weir::faults
