/// Figure (f) of the benchmark: the topology of pipelines/ingest.json and aggregate.json, a bucket of current values
/// between them.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// 1,000 and 5,000 vehicles of 5 fields.
void measure_current(Show show);

}  // namespace weir::bench
