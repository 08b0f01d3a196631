/// What window-join keeps of a vehicle beside its samples.
#pragma once

#include <cstdint>
#include <vector>

#include <weir/types.hpp>

#include "transforms/window-join/timers.hpp"

namespace weir::window_join {

/// A run of a vehicle's samples.
struct Session {
  enum class Ended : std::uint8_t { no, off, gap };
  Timestamp first = 0, last = 0;  ///< its samples' event times
  Timestamp first_arrival = 0;
  Timestamp over_at = end_of_time;  ///< if it has ended
  Ended ended = Ended::no;
  bool real = false;         ///< has taken a sample that is not an off: else it gets neither rows nor events
  bool started = false;      ///< its start has been told
  bool first_on = false;     ///< its first sample is an on
  std::uint16_t known = 0;   ///< of the earliest session: fields seen in it
  std::uint16_t behind = 0;  ///< of those, fields that have not passed the vehicle's next tick
};

/// Samples of one field, by event time.
struct Series {
  static constexpr std::size_t most = UINT16_MAX;  ///< whoever adds an entry sees to it that there are fewer
  std::uint16_t head = 0;                          ///< where the oldest is among the older rows
  std::uint16_t size = 0;
};

/// Head of a vehicle's block; what follows it is the business of HeldSamples.
struct Vehicle {
  static constexpr std::size_t most_sessions = UINT16_MAX;

  Session now = {};                ///< the earliest one, if there is any
  Timestamp tick = no_time;        ///< next to close in the earliest session, if that reaches it
  Timestamp closed = no_time;      ///< last closed tick
  Timestamp next_reach = no_time;  ///< a sample from here on is the first at or beyond some tick
  Timestamp last_arrival = no_time;
  Timestamp over = no_time;               ///< newest sample of the last session that is over
  Due timer = {};                         ///< its live entry among the timers
  std::vector<Session>* later = nullptr;  ///< the other sessions; owned, often null
  std::uint32_t held = 0;                 ///< samples newer than `closed`
  std::uint16_t sessions = 0;             ///< that are not over
  std::uint16_t rows = 0;                 ///< of older entries that there is room for
};
static_assert(sizeof(Vehicle) == 112);

}  // namespace weir::window_join
