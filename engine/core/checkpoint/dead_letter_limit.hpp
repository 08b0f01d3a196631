/// Bounds what a lane keeps of dead letters.
#pragma once

#include <vector>

#include <weir/dead_letter.hpp>

#include "core/observe/counters.hpp"

namespace weir {

/// Letters within the quota, in an order that no cut of batches changes, so a replay keeps the same.
///
/// Threads   one.
class DeadLetterLimit {
 public:
  /// `counters` must outlive it.
  DeadLetterLimit(const DeadLetterBounds& bounds, Counters& counters) : quota_{bounds}, counters_{counters} {}

  /// Of the letters of a step: puts them in the order of their positions, numbers those of one position, which no cut
  /// of batches changes, and takes out what is beyond the bounds, which it counts. `replaying`: all were kept, or
  /// counted, before; none is left.
  void apply(std::vector<Sink::DeadLetter>& letters, bool replaying);

  void save(StateWriter& out) const { quota_.save(out); }
  void load(StateReader& in) { quota_.load(in); }

 private:
  DeadLetterQuota quota_;
  Counters& counters_;
};

}  // namespace weir
