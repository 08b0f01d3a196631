/// The lanes that a worker runs: claimed, started, stopped, begun again when their stream has changed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/commit.hpp"
#include "core/executor.hpp"

namespace weir {

/// Threads   one; statuses() and troubles() from any.
class Lanes {
 public:
  /// All must outlive the lanes. `fence` tells this worker's snapshots from another's.
  Lanes(LaneRun::Surroundings around, CommitCycle& cycle, Snapshots& snapshots, std::string fence);

  /// Claims a partition and sets its lane to work. refused: another worker owns it. changed: its stream is not the one
  /// that was read, and the pipeline says to stop then.
  Result<void> start(Partition partition);
  /// Asks all lanes to stop; they finish what is in flight.
  void stop_all();
  /// Waits until nothing is in flight in any lane.
  void finish_all();
  /// Stops and forgets one, with what is in flight.
  void drop(Partition partition);

  /// This lane can't go on, and why.
  void broke(Partition partition, Error error);
  /// Whether this lane is to begin again because its stream was changed while it was read.
  bool begins_again(const Error& error) const;

  /// Whether this is the partition's lane now, not one that was let go.
  bool has(LaneId lane) const;
  bool broken(Partition partition) const;
  std::vector<Partition> partitions() const;
  /// The first error of a lane that could not go on; nothing if there is none.
  std::optional<Error> first_error() const;

  /// What is committed, passed on to the source.
  void committed(Partition partition, Position position);
  /// Asks lanes whose last snapshot is older than the pipeline says for one; not while one is on its way to the store.
  void want_snapshots(Timestamp now);
  /// A lane's snapshot is in the store, or could not be written.
  void snapshot_settled(Partition partition);
  /// Writes a snapshot of each lane as it stands, and has the next commit name it; after finish_all(). Begins none
  /// after `until`.
  void save_all(Timestamp until);

  std::vector<LaneRun::Status> statuses() const;
  /// What is wrong, as sentences.
  std::vector<std::string> troubles() const;

 private:
  Result<void> open(std::unique_ptr<LaneRun>& lane, Partition partition, LaneStart& start);
  Result<void> begin_again(std::unique_ptr<LaneRun>& lane, Partition partition, LaneStart& start, const Error& why);
  Result<void> keep_first(LaneRun& lane, Partition partition, Position begins, const LaneStart& start);

  LaneRun::Surroundings around_;
  LaneThreads threads_;
  CommitCycle& cycle_;
  Snapshots& snapshots_;
  std::string fence_;
  bool replayable_ = false;
  std::uint64_t runs_ = 0;
  std::size_t restarts_counter_ = 0, lost_counter_ = 0;
  std::map<Partition, Timestamp> snapshot_at_;
  std::set<Partition> unsettled_;  // have been asked for a snapshot that the store does not have yet

  mutable std::mutex mutex_;  // what other threads may ask for
  std::map<Partition, std::unique_ptr<LaneRun>> lanes_;
  std::map<Partition, Error> broken_;
};

}  // namespace weir
