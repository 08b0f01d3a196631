/// Workers that come, share partitions, stand still, die and leave, over services that fail: all by chance and in
/// virtual time, from one seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "faults/simulated_worker.hpp"

namespace weir::faults {

class Simulation {
 public:
  Simulation(std::uint64_t seed, Safeguards safeguards);

  /// Answers what went wrong; empty: nothing.
  std::string run();

 private:
  static constexpr std::size_t most_workers = 4;

  bool failed() const { return !plant_.failure.empty(); }
  void fail(std::string what);
  std::vector<std::uint64_t> make_stream();

  /// The thread of a worker whose turn is next does what it does.
  bool step();
  void pass_until(Timestamp now);
  void run_until(Timestamp end);
  void meanwhile(SimulatedWorker& worker, Duration length);
  void mishap();
  void join();
  SimulatedWorker& any() { return *workers_[plant_.dice.roll(workers_.size())]; }
  void write_dead_letter();

  void chaos();
  void calm_down();
  void wait_until(bool (Simulation::*reached)(), const char* what);
  bool shared_evenly();
  std::string holdings() const;
  bool all_committed();
  void stay_as_it_is();
  void check_noticed();
  void check_rows();
  void check_windows(Partition partition);
  void check_list(Partition partition, const std::vector<std::string>& expected);

  Plant plant_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  int numbers_ = 0;
  int depth_ = 0;  // of statements that others run into
};

}  // namespace weir::faults
