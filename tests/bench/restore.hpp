/// Figure (j) of the benchmark: how long a lane with a million keys takes to come back from its snapshot, and what
/// writing it costs.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

void measure_restore(Show show);

}  // namespace weir::bench
