/// The lanes that a worker runs: claimed, started, stopped.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/held_lanes.hpp"

namespace weir {

/// Threads   one; statuses(), troubles() and why_broken() from any.
class Lanes final : public HeldLanes {
 public:
  /// All must outlive the lanes. `fence` tells this worker's snapshots from another's.
  Lanes(LaneRun::Surroundings around, CommitCycle& cycle, Snapshots& snapshots, std::string fence);

  Result<void> start(Partition partition) override;
  void let_go(Partition partition) override;
  std::optional<Snapshot> state_at_rest(Partition partition) override;
  void drop(Partition partition) override;
  void rest(Partition partition) override;
  void broke(Partition partition, Error error) override;
  bool got_on(Partition partition) const override { return got_on_.contains(partition); }
  bool has(LaneId lane) const override;
  LaneId id(Partition partition) const override { return lanes_.at(partition)->id(); }
  Position at(Partition partition) const override { return lanes_.at(partition)->status().stepped; }
  bool broken(Partition partition) const override;
  std::vector<Partition> partitions() const override;
  std::size_t count() const override;
  std::vector<Partition> broken() const override;
  void committed(Partition partition, Position position) override;
  void snapshot_done(Partition partition) override;

  /// Asks all lanes to stop; they finish what is in flight.
  void stop_all();
  /// Waits until nothing is in flight in any lane.
  void finish_all();
  /// The first error of a lane that could not go on; nothing if there is none.
  std::optional<Error> first_error() const;
  /// Asks lanes whose last snapshot is older than the pipeline says for one; not while one is on its way to the store.
  void want_snapshots(Timestamp now);
  /// Writes a snapshot of each lane as it stands, and has the next commit name it; after finish_all(). Begins none
  /// after `until`.
  void save_all(Timestamp until);

  std::vector<LaneRun::Status> statuses() const;
  /// What is wrong, as sentences.
  std::vector<std::string> troubles() const;
  /// What keeps the first of them from writing beside its rows; empty: nothing.
  std::string write_trouble() const;
  /// Why lanes can't go on, as sentences.
  std::vector<std::string> why_broken() const;

 private:
  Result<void> open(std::unique_ptr<LaneRun>& lane, Partition partition, LaneStart& start);
  Result<void> keep_first(LaneRun& lane, Partition partition, Position begins, const LaneStart& start);

  LaneRun::Surroundings around_;
  LaneThreads threads_;
  CommitCycle& cycle_;
  Snapshots& snapshots_;
  std::string fence_;
  bool replayable_ = false, reminds_ = false;
  std::uint64_t runs_ = 0;
  std::map<Partition, Position> begun_;    // what was committed when a lane was last set to work
  std::set<Partition> got_on_;             // beyond that
  std::map<Partition, std::string> told_;  // what the lane broke by last
  std::map<Partition, Timestamp> snapshot_at_;
  std::set<Partition> snapshotting_;  // want no snapshot: one is on its way to the store, or they were asked to stop

  mutable std::mutex mutex_;  // what other threads may ask for
  std::map<Partition, std::unique_ptr<LaneRun>> lanes_;
  std::map<Partition, Error> broken_;
};

}  // namespace weir
