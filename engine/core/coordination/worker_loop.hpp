/// What a worker does, one turn at a time.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/coordination/lane_host.hpp"
#include "core/coordination/partition_manager.hpp"
#include "core/coordination/worker_events.hpp"
#include "core/observe/condition.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/credits.hpp"

namespace weir {

/// The loop of a worker without its threads: takes events, decides by the PartitionManager, has the LaneHost act, and
/// commits. Worker drives it with threads, a simulation without.
///
/// Threads   one; held(), commit_condition(), acquire_condition() and committing_since() from any.
class WorkerLoop {
 public:
  static constexpr Duration first_backoff = 100 * millisecond, last_backoff = 10 * second;  ///< after what failed

  /// `whole`: see Worker::must_start_whole(); nothing is committed before every partition of the first share runs.
  /// All that is referred to must outlive it.
  WorkerLoop(const Pipeline& pipeline, CommitCycle& cycle, LaneHost& lanes, Credits& credits, const Clock& clock,
             bool whole = false);

  void handle(event::Any event);
  /// Commits what is due, acquires and releases. The error ends the worker. Blocks as long as a commit.
  Result<void> turn();
  /// How long the next turn may wait for an event.
  Duration patience() const;

  /// How the start went, see PartitionManager::start_outcome(); once it succeeded, that.
  std::optional<Result<void>> start_outcome();
  /// Whether nothing is left to be done: each lane has ended.
  bool is_finished() const { return started_ && partitions_.nothing_left(); }

  /// Finishes what is in flight, commits it, and stores a snapshot at exactly that position. `receive` handles the
  /// events that have come since. Blocks for pipeline.shutdown_timeout at most.
  Result<void> drain(const std::function<void()>& receive);

  const PartitionManager& partitions() const { return partitions_; }

  /// Of the last commit: what status pages tell.
  struct Committed {
    CommitReport report;
    Duration duration = 0;
  };
  /// Called after each commit.
  std::function<void(const Committed&)> on_commit = [](const Committed&) {};

  const Condition& commit_condition() const { return commit_condition_; }
  /// Lanes that have a lease, or may have one: from their acquisition to their release.
  std::vector<LaneId> held() const;
  const Condition& acquire_condition() const { return acquire_condition_; }
  /// Steady time at which the commit that is under way began; no_time: none is.
  Timestamp committing_since() const { return committing_since_; }

 private:
  void on(event::Stepped& stepped);
  void on(event::Acquired& acquired) { partitions_.acquired(acquired.lane); }
  void on(event::Restored& restored);
  void on(event::Ended& ended);
  void on(event::Stored& stored);
  void on(event::Released& released) { partitions_.released(released.lane); }
  void on(event::Exhausted&) { commit_now_ = true; }
  void on(event::Lost& lost);
  void on(event::Heartbeat& heartbeat);

  void act();
  void act(const PartitionAction& action);
  void note_held(const PartitionAction& action);
  void run(LaneId lane);
  void log(Partition partition, PartitionManager::News news, const std::string& why) const;
  bool commit_is_due(Timestamp now) const;
  Result<void> commit();
  Result<void> commit_all(Timestamp deadline);
  void report(const CommitReport& report);

  const Pipeline& pipeline_;
  CommitCycle& cycle_;
  LaneHost& lanes_;
  Credits& credits_;
  const Clock& clock_;
  const bool whole_;
  PartitionManager partitions_;
  bool started_ = false, commit_now_ = false;
  Timestamp last_commit_ = 0, next_try_ = 0;
  Duration backoff_;
  std::size_t workers_ = 1;
  Condition commit_condition_{"commit"}, acquire_condition_{"acquire"};
  std::atomic<Timestamp> committing_since_{no_time};

  mutable std::mutex held_mutex_;
  std::map<Partition, LaneId> held_;
};

}  // namespace weir
