#include "core/runtime/stream_clock.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

#include "core/observe/log.hpp"

namespace weir {

void StreamClock::asked() {
  if (asked_ == no_time) asked_ = clock_.steady();
}

void StreamClock::heard(const Messages& messages) {
  bool marker_came = false;
  if (asked_ != no_time) {
    // The last: it was stamped after it was asked for, unless an earlier one was long under way.
    const auto backwards = messages.items | std::views::reverse;
    const auto marker = std::ranges::find(backwards, true, &Message::own_marker);
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

bool StreamClock::asks(Timestamp due) {
  if (patience(due) > 0) return false;
  asked_due_ = due;
  asked_at_ = clock_.steady();
  asked();
  return true;
}

Duration StreamClock::patience(Timestamp due) const {
  return std::max(until(due), due == asked_due_ ? asked_at_ + again_after - clock_.steady() : 0);
}

std::optional<std::size_t> StreamClock::unbelievable(const Messages& messages, Position known) const {
  const Timestamp latest = clock_.now() + too_far;
  const auto first = std::ranges::find_if(
      messages.items, [&](const Message& message) { return message.arrival > latest && message.sequence > known; });
  if (first == messages.items.end()) return {};
  return static_cast<std::size_t>(first - messages.items.begin());
}

Result<void> StreamClock::refuse(const Message& message, const std::string& stream) const {
  return fail(
      Error::Kind::refused,
      weir::format(
          "message {} of stream {} is stamped {}, far ahead of this machine's clock; the lane waits before it, as "
          "arrival time never goes back and what follows would be too old for as long. If the server's clock "
          "was wrong then, delete that message, and others like it: nats stream rmm {} {}; if this machine's "
          "clock is behind, set it right",
          message.sequence, stream, format_rfc3339(message.arrival), stream, message.sequence));
}

Result<void> StreamClock::check(Timestamp reached, Position position) const {
  if (reached == no_time || reached - clock_.now() <= too_far) return {};
  return fail(Error::Kind::refused,
              weir::format(
                  "arrival time has come to {}, far ahead of this machine's clock, by a message up to position {}; all "
                  "that follows is too old for as long. If the server's clock was wrong then, delete the messages that "
                  "it stamped so, and begin again by `weir progress reset`; if this machine's clock is behind, set it "
                  "right",
                  format_rfc3339(reached), position));
}

}  // namespace weir
