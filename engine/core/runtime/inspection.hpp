/// What is kept of a running pipeline for those who look at it from outside; none of it is needed to run.
#pragma once

#include "core/observe/counters.hpp"
#include "core/runtime/taps.hpp"

namespace weir {

/// Outlives the workers that fill it, one after the other.
struct Inspection {
  Counters work;  ///< counted::work() by node, the same through reloads; see NodeStatistics
  Taps taps;
};

}  // namespace weir
