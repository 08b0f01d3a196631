/// Runs one lane on a oneTBB flow graph: pull → decode → transforms → encode, each serial, all at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/credits.hpp"
#include "core/runtime/inspection.hpp"
#include "core/runtime/lane_id.hpp"

namespace weir {

/// What a lane tells its worker. Called from the lane's threads; must be quick and must not throw.
struct LaneEvents {
  std::function<void(LaneId, LaneStep)> step;      ///< in order of position
  std::function<void(LaneId, Snapshot)> snapshot;  ///< the answer to want_snapshot()
  /// Once: nothing is in flight any more, as the source has ended, the lane was asked to stop, or it can't go on.
  std::function<void(LaneId, std::optional<Error>)> ended;
  std::function<void()> credits_exhausted;  ///< commit now
};

/// The threads that work for all lanes of a worker, as many as there are processors. In one arena, as several would
/// starve each other.
class LaneThreads {
 public:
  LaneThreads();
  ~LaneThreads();

 private:
  friend class LaneRun;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A lane at work. Its source is pulled by a thread of its own; the graph's nodes run on the lanes' threads.
///
/// Threads   one at a time; status() from any.
/// Errors    after an unreachable error of the source the lane tries again with backoff, for ever; other errors, and
///           exceptions of third parties, end the lane, and `ended` says which node. What stood before them in the
///           stream has been stepped then.
class LaneRun {
 public:
  struct Surroundings {
    const Pipeline& pipeline;
    const Registry& registry;
    Counters& counters;
    const Clock& clock;
    Credits& credits;
    std::vector<std::pair<std::size_t, const Sink*>> sinks;  ///< by number of the node
    LaneEvents events;
    Inspection* inspection = nullptr;  ///< null: nobody will ask
  };

  /// The threads must outlive it.
  LaneRun(const Surroundings& around, LaneThreads& threads, LaneId lane);
  ~LaneRun();  ///< stops

  /// Loads the state, opens the source, and compares its stream with what was committed. Errors are the caller's to
  /// retry; changed: it is not that stream any more. Answers where the source begins.
  Result<Position> open(const LaneStart& start);
  LaneId id() const;
  /// Where it begins, of which stream and in which numbering; after open() and before run().
  const Progress& begins() const;

  /// Starts pulling.
  void run();
  /// Asks to stop pulling; what is in flight is finished.
  void stop();
  /// Waits until nothing is in flight any more, after stop() or the end. Any thread.
  void finish();
  /// State at exactly the position of the last step: after open() and before run(), or after finish().
  Snapshot snapshot() const;

  void want_snapshot();
  /// Passed on to the source.
  void committed(Position position);

  struct Status {
    Partition partition = 0;
    Position pulled = 0, stepped = 0;
    Timestamp reached = no_time;  ///< arrival time of the last step
    std::uint64_t waiting = 0;    ///< messages in the stream beyond the last pulled, as far as known
    std::string condition;        ///< why the source is not reachable; empty if it is
    bool replaying = false;
    bool failed = false;                                         ///< it can't go on
    std::vector<std::pair<std::size_t, Transform::Size>> sizes;  ///< state by node, as of the last second or so
  };
  Status status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
