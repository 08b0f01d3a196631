/// Figure (a) of the benchmark: a stream that is full already -> decode -> keyed-last-value -> nowhere, against a bare
/// loop of pull requests over the same stream.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// Messages of one sample, and frames of 8 and of 50.
void measure_drain(Show show);

/// Messages of one sample, in 16 streams; the bare loop reads the same 16.
void measure_partitions(Show show);

}  // namespace weir::bench
