/// The clock that stamps a partition's messages, as far as they tell of it, beside this machine's.
#pragma once

#include <optional>
#include <string>

#include <weir/clock.hpp>
#include <weir/message.hpp>

namespace weir {

/// Of a stream whose server stamps what it stores, markers too. This machine's clock says when something is due; the
/// server's alone moves arrival time.
///
/// Threads   one.
class StreamClock {
 public:
  static constexpr Duration most_apart = second;    ///< of clocks that agree
  static constexpr Duration too_far = 60 * minute;  ///< ahead: a clock is wrong, not a bit off
  static constexpr Duration again_after = 100 * millisecond;
  static constexpr Duration believed_for = minute;  ///< what a marker told: a machine may sleep, or a server change

  /// The clock must outlive this.
  StreamClock(const Clock& clock, Partition partition) : clock_{clock}, partition_{partition} {}

  /// A marker is being written.
  void asked();
  /// These came; one that says `own_marker` answers asked(). What they tell of clocks that don't agree is said once,
  /// and once that they do again.
  void heard(const Messages& messages);

  /// How long until arrival time can come to `due`: by this machine's clock, or, where a marker has shown that to be
  /// ahead, by the server's. 0 or less: a marker may be written. Clocks that are right are not held up by this, as the
  /// server's is never taken for earlier than it can be.
  Duration until(Timestamp due) const;
  /// Whether a marker for what is due is to be written now: at once, and again after a while if it does not come. Then
  /// it is taken for asked.
  bool asks(Timestamp due);
  /// How long until asks() may be true.
  Duration patience(Timestamp due) const;

  /// The first message behind `known` that is stamped too far ahead to be believed; nothing if there is none.
  std::optional<std::size_t> unbelievable(const Messages& messages, Position known) const;
  /// Why the lane waits before such a message. Arrival time never goes back, so one of them would make all that follows
  /// too old for as long; and whether the server's clock was wrong or this machine's is, nobody here can know: somebody
  /// has to say, before anything moves.
  Result<void> refuse(const Message& message, const std::string& stream) const;
  /// The same of a lane that had come to this arrival time at a position, by whoever believed it; no_time: to none.
  Result<void> check(Timestamp reached, Position position) const;

 private:
  enum class Apart { no, stream_ahead, machine_ahead };

  void compare(Timestamp stamp, bool marker_came);
  /// The latest that it may be by the server's clock.
  Timestamp at_most() const { return marker_stamp_ + (clock_.steady() - marker_asked_); }

  const Clock& clock_;
  Partition partition_;
  Timestamp asked_ = no_time;                           // steady time of the first marker since one came back
  Timestamp asked_due_ = no_time, asked_at_ = no_time;  // of the last
  Timestamp marker_stamp_ = no_time;                    // of the last that came back
  Timestamp marker_asked_ = no_time;                    // when that was asked for, or before
  Apart apart_ = Apart::no;
};

}  // namespace weir
