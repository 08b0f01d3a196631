/// A worker without threads: the engine's own loop, commit cycle, partition manager, leases, snapshots and recovery,
/// over simulated lanes, sinks, a store and a clock. What the threads of a Worker do is done one call at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <weir/clock.hpp>

#include "core/checkpoint/commit.hpp"
#include "core/checkpoint/store_ledger.hpp"
#include "core/coordination/worker_loop.hpp"
#include "core/plan/registry.hpp"
#include "core/runtime/credits.hpp"
#include "faults/simulated_database.hpp"
#include "faults/simulated_lanes.hpp"
#include "faults/simulated_store.hpp"

namespace weir::faults {

/// What all workers share.
struct Plant {
  Dice dice;
  Safeguards safeguards;
  Timestamp now = 0;
  std::vector<std::unique_ptr<SimulatedDatabase>> databases = {};  ///< none: partitions are shared by the store
  Stored stored = {};
  std::vector<std::string> list = {};  ///< of a sink without transactions
  Streams streams = {};
  Registry registry = {};
  Pipeline pipeline = {};
  bool replayable = true;    ///< the source
  Timestamp down_until = 0;  ///< no service answers
  bool calm = false;         ///< nothing goes wrong any more
  bool quiet = false;        ///< nor is anything left of what did
  std::string failure = {};  ///< what must not happen but did; the first
};

class SimulatedWorker {
 public:
  /// What goes on beside each other in a worker.
  enum Thread { loop, lanes, task, other_task, renewing, meeting, threads };

  /// `meanwhile` has the other workers do something for so long; 0: a while, if at all.
  SimulatedWorker(Plant& plant, int number, std::function<void(SimulatedWorker&, Duration)> meanwhile);

  /// What one of its threads does in one go. Answers after how long it is to be called again.
  Duration run(Thread thread);

  /// kill -9: at once, in the midst of a statement too.
  void kill() { dead_ = true; }
  bool dead() const { return dead_; }
  /// As by SIGTERM: when its loop runs next, it drains, gives everything back and is dead then.
  void leave() { leaving_ = true; }
  bool leaving() const { return leaving_; }

  /// When its threads go on.
  Timestamp due(Thread thread) const;
  void wait(Thread thread, Duration length) { due_[thread] = plant_.now + length; }
  void stall(Duration length) { stalled_until_ = plant_.now + length; }
  void wake() { stalled_until_ = 0; }
  bool busy(Thread thread) const;
  bool busy() const;

  int number() const { return number_; }
  bool started() const { return started_; }
  std::vector<Partition> partitions() const { return lanes_->partitions(); }
  /// How many workers there are, as far as it knows.
  std::size_t workers() const { return loop_->partitions().workers(); }
  bool has_share() const {
    return started_ && loop_->partitions().has_share() && partitions().size() == loop_->partitions().share();
  }
  const SimulatedLanes& held() const { return *lanes_; }
  bool pending() const { return cycle_->pending() || !inbox_.empty(); }
  /// Credit that nothing holds any more, once nothing is pending.
  std::size_t credit_lost() const { return credits_.used(); }

 private:
  void make_cycle();
  void make_lanes();
  void start();
  void turn();
  void receive();
  void drain();
  void renew();
  void check_released(Partition partition, Position position);
  void fail_with(const Error& error, const char* doing);

  Plant& plant_;
  int number_;
  std::string name_;
  std::function<void(SimulatedWorker&, Duration)> meanwhile_;
  Wire wire_;
  std::unique_ptr<Clock> clock_;
  SimulatedStore store_;
  Snapshots snapshots_;
  std::unique_ptr<DeadLetterBox> box_;
  Counters counters_;
  Credits credits_{1};
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::unique_ptr<StoreLedger> ledger_;
  std::unique_ptr<CommitCycle> cycle_;
  std::unique_ptr<SimulatedLanes> lanes_;
  std::unique_ptr<WorkerLoop> loop_;
  std::vector<event::Any> inbox_;
  bool hurry_ = false, started_ = false, leaving_ = false, dead_ = false;
  Timestamp stalled_until_ = 0;
  Timestamp due_[threads] = {};
  bool running_[threads] = {};
};

}  // namespace weir::faults
