/// Figure (h) of the benchmark: how long partitions stand still when workers come and die.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// pipelines/fleet.json with eight partitions, at a steady rate: a second worker joins, and is killed.
void measure_sharing(Show show);

}  // namespace weir::bench
