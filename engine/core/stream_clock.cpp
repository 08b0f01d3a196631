#include "core/stream_clock.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/units.hpp>

#include "core/log.hpp"

namespace weir {

void StreamClock::asked() {
  if (asked_ == no_time) asked_ = clock_.steady();
}

void StreamClock::heard(const Messages& messages) {
  bool marker_came = false;
  if (asked_ != no_time) {
    // The last: it was stamped after it was asked for, unless an earlier one was long under way.
    const auto backwards = messages.items | std::views::reverse;
    const auto marker = std::ranges::find(backwards, true, &Message::marker);
    marker_came = marker != backwards.end();
    if (marker_came) {
      marker_stamp_ = marker->arrival;
      marker_asked_ = std::exchange(asked_, no_time);
    }
  }
  compare(messages.items.back().arrival, marker_came);
}

void StreamClock::compare(Timestamp stamp, bool marker_came) {
  const Duration stream = stamp - clock_.now();  // what was stored long ago tells nothing if it is less than 0
  const Duration machine = marker_came ? clock_.now() - at_most() : 0;
  const auto told = [](Duration apart) { return format_duration(apart / millisecond * millisecond); };
  if (stream > most_apart && apart_ != Apart::stream_ahead) {
    apart_ = Apart::stream_ahead;
    log::warn(
        "partition {}: arrival times are {} ahead of this machine's clock: set one of the two right; until then rows "
        "that wait for an idle stream come that much late",
        partition_, told(stream));
  } else if (machine > most_apart && apart_ != Apart::machine_ahead) {
    apart_ = Apart::machine_ahead;
    log::warn(
        "partition {}: this machine's clock is {} ahead of arrival times: set one of the two right; until then a "
        "marker a minute is stored too early, and what is told of the lag is too much",
        partition_, told(machine));
  }
  const bool stream_agrees = stream > -most_apart && stream < most_apart / 2;
  const bool machine_agrees = marker_came && machine < most_apart / 2;
  if ((apart_ == Apart::stream_ahead && stream_agrees) || (apart_ == Apart::machine_ahead && machine_agrees)) {
    apart_ = Apart::no;
    log::info("partition {}: arrival times and this machine's clock agree again", partition_);
  }
}

Duration StreamClock::until(Timestamp due) const {
  const Duration here = due - clock_.now();
  if (marker_stamp_ == no_time || clock_.steady() - marker_asked_ >= believed_for) return here;
  return std::max(here, due - at_most());
}

}  // namespace weir
