/// How fast source/simulate makes messages, with nothing behind it.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// With a message per sample, and with a frame a second.
void measure_simulate(Show show);

}  // namespace weir::bench
