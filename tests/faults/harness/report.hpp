/// What a run prints.
#pragma once

#include "faults/harness/episode.hpp"

namespace weir::faults {

/// Outcomes of several episodes, added.
class Report {
 public:
  void add(const Outcome& outcome);
  /// The table: faults by kind and how long each took, then what was compared.
  void print(double seconds) const;

 private:
  Outcome sum_;
};

/// What differs, and how to see it again.
void print_failure(const Play& play, const Outcome& outcome);

}  // namespace weir::faults
