/// Figures (c) and (d) of the benchmark: samples in memory -> keyed-last-value -> window-join -> drop.
#pragma once

#include <cstddef>

namespace weir::bench {

struct JoinFigures {
  double per_core = 0;       ///< samples per second of one lane
  double bare = 0;           ///< of a loop over arrays that does the same for in-order samples, without an engine
  double lanes_factor = 0;   ///< samples per second of two lanes at once, as a multiple of one
  double bare_factor = 0;    ///< the same of the bare loop: what this machine's processors have to give
  double state_bytes = 0;    ///< held by both transforms, per (vehicle, field), with what waits and room for it
  double rest_bytes = 0;     ///< the same where the newest sample of each is all that there is
  double waiting_bytes = 0;  ///< of state_bytes, the samples beside the newest
};

/// `vehicles` × 8 fields × 5 samples per second, a frame of 8 at a time, vehicles in random order, ticks every second,
/// for `seconds` of stream. Only the chain's steps are timed, with all that the engine does in one; the bare loop sees
/// the same batches in the same run.
JoinFigures measure_join(std::size_t vehicles, int seconds);

}  // namespace weir::bench
