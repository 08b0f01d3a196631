/// The lanes of a worker, on threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/coordination/lane_host.hpp"
#include "core/coordination/task_pool.hpp"
#include "core/coordination/worker_events.hpp"
#include "core/runtime/executor.hpp"

namespace weir {

/// Acquires, restores, saves and releases on a few threads of its own; the lanes themselves run on LaneThreads.
///
/// Threads   as LaneHost; statuses() and conditions() from any.
class Lanes final : public LaneHost {
 public:
  /// All must outlive it. `fence` tells this worker's snapshots from another's. `tell` has events handled by the loop;
  /// called from any thread.
  Lanes(LaneRun::Surroundings around, CommitCycle& cycle, Snapshots& snapshots, std::string fence,
        std::function<void(event::Any)> tell);
  ~Lanes() override;

  void acquire(LaneId lane) override;
  Result<Position> run(LaneId lane) override;
  void stop(LaneId lane) override;
  void save(LaneId lane) override;
  void release(LaneId lane) override;
  void committed(Partition partition, Position position) override;
  void want_snapshots(Timestamp now) override;
  void snapshot_done(Partition partition) override { snapshotting_.erase(partition); }
  Position at(Partition partition) const override { return lanes_.at(partition)->status().stepped; }
  void finish_all() override;
  void save_all(Timestamp until) override;

  /// Waits for what is done beside the loop, and ends all lanes.
  void close();

  std::vector<LaneRun::Status> statuses() const;
  /// What is unreachable, as sentences.
  std::vector<std::string> conditions() const;

 private:
  using LanePtr = std::shared_ptr<LaneRun>;  // a task may have one in hand when it is released
  /// A lane that is restored and does not run yet.
  struct Opened {
    CommitCycle::Acquired acquired;
    LanePtr lane;
    std::string snapshot;  // of where it begins, if that must be found again; empty: none
    Position begins = 0;
  };

  Result<Opened> restore(LaneId id);
  Result<std::string> keep_first(LaneRun& lane, Partition partition, Position begins, const LaneStart& start);
  void store(const LanePtr& lane, const Snapshot& snapshot, bool final);
  std::optional<Snapshot> final_snapshot(LaneRun& lane) const;
  void log_start(Partition partition, const Opened& opened) const;

  LaneRun::Surroundings around_;
  LaneThreads threads_;
  CommitCycle& cycle_;
  Snapshots& snapshots_;
  std::string fence_;
  std::function<void(event::Any)> tell_;
  bool replayable_ = false, reminds_ = false;
  std::map<Partition, Timestamp> snapshot_at_;
  std::set<Partition> snapshotting_;  // want no snapshot: one is being stored, or they were asked to stop

  mutable std::mutex mutex_;  // what other threads use
  std::map<Partition, LanePtr> lanes_;
  std::map<Partition, Opened> opened_;

  TaskPool tasks_;  // last: they end before anything they use is gone
};

}  // namespace weir
