/// One run from start to comparison: servers, workers and a fleet of its own, and a schedule of faults that its seed
/// decides.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "faults/harness/breaks.hpp"
#include "faults/harness/comparison.hpp"
#include "faults/harness/faults.hpp"

namespace weir::faults {

struct Play {
  std::uint64_t seed = 1;
  std::size_t rounds = 40;  ///< faults
  std::uint32_t partitions = 4;
  std::size_t workers = 2;
  std::size_t nats_servers = 1;          ///< or three, a cluster
  std::size_t databases = 1;             ///< or two, with the same rows
  std::vector<const Fault*> kinds = {};  ///< of which each comes once before any comes again
  std::size_t together = 1;              ///< faults of a round at the most
  const Break* broken = nullptr;         ///< a safeguard to do without
  Timestamp until = end_of_time;         ///< steady time at which no fault begins any more
  bool talk = false;                     ///< says each fault on stderr as it begins
};

struct Outcome {
  Verdict verdict;
  /// What could not be compared, did not go on or end, or crashed, and the workers' logs; empty: nothing.
  std::string failure;
  bool astray = false;  ///< a lane went on where it must stop, or stood still where rows are due: that is the failure
  std::map<std::string, std::size_t> times;
  std::map<std::string, std::vector<double>> recoveries;  ///< seconds
  std::map<std::string, std::size_t> deeds;               ///< what was done to workers
  std::map<int, std::size_t> exits;  ///< by exit code or signal below 0, of workers that were not killed; without 0
  std::string versions;
  bool harmless = false;  ///< a safeguard was to be missing, but what switches it off was not found
  bool fine() const { return failure.empty() && verdict.fine(); }
};

/// Is told what came of each damage.
using Noticed = std::function<void(const Break&, const Outcome&)>;

/// Errors are in the outcome. With `noticed`, a fine run is then damaged in every way that can be done to the finished
/// tables and streams.
Outcome play(const Play& play, const Noticed& noticed = {});

}  // namespace weir::faults
