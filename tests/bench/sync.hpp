/// What it costs to have each acknowledged message survive a power failure.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// Samples a second into a stream whose server syncs its files always, against one that does so every two minutes: one
/// in a message, 50 in a frame, and 50 messages in an atomic batch.
void measure_sync(Show show);

}  // namespace weir::bench
