/// The sessions of the reference of window-join: which there are is worked out from a list of samples.
///
/// Sentences in quotation marks are the design's, section 6; those marked [contract] are of `weir describe
/// window-join`. Where both are silent, a comment says "Unwritten:" and what the operator does.
#pragma once

#include <algorithm>
#include <list>
#include <optional>
#include <vector>

#include "reference/window_join.hpp"

namespace weir::reference {

/// A sample that was taken into a session.
struct Taken {
  Sample sample;
  Timestamp heard = sample.arrival;  ///< or of the first sample of a session that an off divided
  bool off = false;                  ///< ends its session
  bool kept = true;                  ///< the operator still has it
  bool gone = false;                 ///< no longer kept when its session was divided before it
  bool announced = false;            ///< the start of its session was reported
};

struct Session {
  std::vector<Taken*> samples = {};     ///< by event time; of one event time, the later position last
  std::optional<Timestamp> ended = {};  ///< the arrival that ended it; nothing: it is open
  bool by_off = false;

  Timestamp first() const { return samples.front()->sample.time; }
  Timestamp last() const { return samples.back()->sample.time; }
  Timestamp heard() const { return std::ranges::min(samples, {}, &Taken::heard)->heard; }
  bool announced() const { return std::ranges::any_of(samples, &Taken::announced); }
  /// Unwritten: an off behind a gap is no session as long as it is alone; it has no row, no start and no end.
  bool begun() const { return !std::ranges::all_of(samples, &Taken::off); }
  const char* why_ended() const { return by_off ? "off" : "timeout"; }
};

/// The sessions of samples that are in order of event time, then position.
std::vector<Session> sessions_of(std::list<Taken>& samples, Duration timeout);
/// Whether a sample of this time extends one of them, merges two, or is behind them all.
bool belongs(Timestamp time, const std::vector<Session>& sessions, Duration timeout);

}  // namespace weir::reference
