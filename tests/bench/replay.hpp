/// How fast a recording is replayed.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// A fleet's frames of a minute through pipelines/fleet.json, and through a pipeline that only reads and decodes them.
void measure_replay(Show show);

}  // namespace weir::bench
