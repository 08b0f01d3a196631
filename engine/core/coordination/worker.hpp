/// A worker: the lanes of one pipeline that this process runs, and the commit loop over them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/executor.hpp"

namespace weir {

/// A name for a worker that no other has, see also WorkerName. Those who come one after the other in a process are one
/// worker to the others, if they have one name.
std::string new_worker_name();

/// Runs a pipeline until its source ends or a stop is asked for, and drains it: in-flight messages are finished,
/// committed and snapshotted at exactly that position, and the partitions given back. Draining closes no tick.
///
/// Threads   run() from one thread; the rest from any.
/// Errors    a service that does not answer is asked again for ever, with back-off, also at the start, unless it must
///           start whole or fail fast; run() answers unreachable if a drain ends that. Once at work, what a sink
///           refuses (a missing right, an altered table, a fault of its server) stops commits and no more: it is tried
///           again until somebody has mended it. Else run() answers changed, invalid or refused if what is there at the
///           start does not fit, and the first lane's error if no lane can go on.
class Worker {
 public:
  /// All must outlive the worker. `name`: see new_worker_name(). `inspection`: for those who look in; may be null.
  Worker(const Pipeline& pipeline, const Registry& registry, Counters& counters, const Clock& clock,
         std::string name = new_worker_name(), Inspection* inspection = nullptr);
  ~Worker();

  /// When it answers, sinks and stores are closed: the next worker finds their files free.
  Result<void> run(std::stop_token drain);
  /// Whether another worker of this name is about to follow, so that the others shall leave its share to it. What was
  /// said last before it closes counts.
  void will_be_followed(bool followed);
  /// A partition that was changed is to end the start, nothing being committed, as another pipeline would go on with
  /// it; without, it breaks alone. Before run().
  void must_start_whole();
  /// A service that does not answer at the start ends the run. Before run().
  void fail_fast();

  struct Status {
    bool ready = false;    ///< nothing is down, and every partition of its share runs
    bool standby = false;  ///< its share is none
    bool started = false;  ///< its first share of partitions is acquired, be what it may with them since
    bool draining = false;
    std::vector<std::string> conditions;  ///< what is down, as sentences
    std::string commit_condition;     ///< the one of them that keeps what was read from being committed; empty: none
    std::vector<std::string> broken;  ///< why lanes can't go on while the others do, as sentences
    std::vector<LaneRun::Status> lanes;
    struct Committed {
      Partition partition = 0;
      Position position = 0;
      Timestamp reached = no_time;  ///< arrival time that the rows have reached
    };
    std::vector<Committed> committed;
    std::size_t workers = 1;          ///< that share the pipeline's partitions
    std::size_t in_flight = 0;        ///< bytes, of …
    std::size_t in_flight_limit = 0;  ///< … this bound
    std::uint64_t rows = 0;           ///< committed by this process
    Duration commit_time = 0;         ///< the last commit's, …
    Duration commit_time_total = 0;   ///< … and the sum over all `commits`
    std::uint64_t commits = 0;
  };
  Status status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
