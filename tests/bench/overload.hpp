/// Figure (i) of the benchmark: what more messages than weir can take do to it.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// pipelines/fleet.json gets up to twice what it manages, as far as the publisher comes beside it, for 20 s' worth or
/// as many as WEIR_OVERLOAD says, and catches up.
void measure_overload(Show show);

}  // namespace weir::bench
