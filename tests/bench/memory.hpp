/// Figure (d) of the benchmark, of the whole process: what `weir run pipelines/fleet.json` holds of the machine's
/// memory.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// Idle, and with 100,000 vehicles of 8 fields.
void measure_memory(Show show);

}  // namespace weir::bench
