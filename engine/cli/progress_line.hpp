/// How far a run has come, in one line.
#pragma once

#include <cstdint>

#include "core/worker.hpp"

namespace weir::cli {

/// The progress line on a terminal, unless what it shows there is for programs; a log line every ten seconds elsewhere.
///
/// Threads   one.
class ProgressLine {
 public:
  ProgressLine(bool quiet, bool for_programs);

  bool is_due(Timestamp now) const;
  /// `samples`: read so far. `now`: steady time.
  void show(const Worker::Status& status, std::uint64_t samples, Timestamp now);
  /// Leaves the line, for what else is to be shown.
  void end();

 private:
  bool terminal_, quiet_, shown_ = false;
  Timestamp last_ = no_time;
  std::uint64_t samples_ = 0, rows_ = 0;
};

}  // namespace weir::cli
