/// How far a run has come, in one line.
#pragma once

#include <cstdint>
#include <string>

#include "core/coordination/worker.hpp"

namespace weir::cli {

/// The part of a stream or recording that a run is to read, by arrival time.
struct Way {
  Timestamp from = no_time;       ///< no_time: where it is when it is first asked
  Timestamp until = end_of_time;  ///< end_of_time: it has no end

  /// How much of it the lanes have behind them, 0 to 1; less than 0: nobody knows. The one that is furthest behind
  /// counts, of those that have something before them.
  double done(const std::vector<LaneRun::Status>& lanes) const;
};

/// "[#####---------------]  25 % to 2026-01-31T00:00:00Z", or nothing below 0.
std::string bar(double done, Timestamp until);

/// The progress line on a terminal, unless what it shows there is for programs; a log line every ten seconds elsewhere.
///
/// Threads   one.
class ProgressLine {
 public:
  ProgressLine(bool quiet, bool for_programs, const Way& way = {});

  bool is_due(Timestamp now) const;
  /// `samples`: read so far. `now`: steady time.
  void show(const Worker::Status& status, std::uint64_t samples, Timestamp now);
  /// Leaves the line, for what else is to be shown.
  void end();

 private:
  bool terminal_, quiet_, shown_ = false;
  Way way_;
  Timestamp last_ = no_time;
  std::uint64_t samples_ = 0, rows_ = 0;
};

}  // namespace weir::cli
