/// Sessions, pending samples and ticks of all vehicles: section 6 of the design, driven by samples and by arrival time.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "transforms/window-join/bracket_rows.hpp"
#include "transforms/window-join/held_samples.hpp"
#include "transforms/window-join/rules.hpp"
#include "transforms/window-join/timers.hpp"

namespace weir::window_join {

/// What became of samples and ticks that did not simply take their turn.
struct Counts {
  std::uint64_t late = 0, stale_offs = 0, other_fields = 0, early_closed_ticks = 0, empty_sessions = 0;
};

/// Whoever feeds it goes through a batch run by run (rows of one key and arrival): reach() with the arrival, then
/// take_usual() as far as that goes, take() for the row where it stopped, and so on; at the end of the batch reach()
/// and refresh(). What comes out is in `rows`, `events` and `counts`.
///
/// Threads   one at a time.
class Join {
 public:
  Join(const Rules& rules, const Slots& slots, const Dictionary& keys);

  /// `crowded`: the gaps of its message would open more than Rules::most_ticks ticks with this one.
  enum class Taken : std::uint8_t { kept, late, crowded };

 private:
  HeldSamples samples_;

 public:
  BracketRows rows;
  EventRows events;
  Counts counts;

  /// Makes room for keys below this number.
  void expect(std::uint32_t keys) { samples_.expect(keys); }

  /// From here on full() says when there are so many rows and events that they should be taken.
  void bound(std::size_t most) { most_ = most; }
  bool full() const { return rows.size() + events.size() >= most_; }

  /// Does everything that is due at `until` or before, in order. False: it is full before that; to be called again.
  bool reach(Timestamp until) {
    if (until <= now_ && !stopped_) return true;
    set_timer();
    until = std::clamp(until, Rules::earliest, Rules::latest);
    stopped_ = until >= next_ && !act_until(until);
    if (!stopped_) advance(until);
    return !stopped_;
  }
  /// Up to when everything has been done, be it that of its last instant something is left.
  Timestamp reached() const { return now_; }

  /// Of another step: its messages are numbered from 0 again.
  void begin_step() { message_ = of_deadline; }
  /// What take() is given from here on is another message's.
  void begin_message(std::uint32_t number) {
    spent_ = 0;
    message_ = number;
  }

  /// Takes the usual samples from `row` on, of one key and of the arrival that reach() was told last: those that go on
  /// with their vehicle's only session, which is open, and are the newest of their field. Answers the first row that is
  /// not one, or `end`.
  std::size_t take_usual(const SampleRows& in, const std::uint16_t* slot_of, std::size_t row, std::size_t end);

  /// Takes any sample of a field that takes part, at the arrival that reach() was told last.
  Taken take(std::uint32_t key, std::uint16_t slot, Timestamp time, const SampleValue& value);

  /// The steps on the way to a vehicle, each a few runs before the next; `time` is of the run's first sample.
  void prefetch_place(std::uint32_t key) const { samples_.prefetch_place(key); }
  void prefetch_newest(std::uint32_t key) const { samples_.prefetch_newest(key); }
  void prefetch_older(std::uint32_t key, Timestamp time) const { samples_.prefetch_older(key, time); }

  /// When something is to be done if no sample comes. Exact after refresh(), else never late.
  std::optional<Timestamp> due() const { return next_ == end_of_time ? std::nullopt : std::optional{next_}; }
  void refresh();

  void save(StateWriter& state) const;
  /// Reads what save() wrote, perhaps with other fields and rules, into an empty object; false if it can't have been
  /// that.
  bool load(StateReader& state, std::uint32_t keys);

  std::size_t vehicles() const { return live_; }
  /// The vehicle's latest session that is more than an off; nothing if it has none.
  std::optional<Session> latest(std::uint32_t key) const;
  std::size_t bytes() const { return samples_.bytes() + timers_.bytes() + forgets_.bytes(); }

 private:
  static constexpr std::size_t none = SIZE_MAX;
  static constexpr std::uint32_t no_key = UINT32_MAX;

  // join_take.cpp: taking a sample
  void add(std::uint32_t key, Timestamp arrival);
  bool goes_on(const Vehicle& v, Timestamp time);
  Taken place(Vehicle*& v, std::uint16_t slot, Timestamp time, const SampleValue& value);
  bool spend(const std::vector<Session>& sessions, Timestamp time);
  std::size_t find_session(std::vector<Session>& sessions, Timestamp time, bool may_start, bool on) const;
  static void merge(std::vector<Session>& sessions, std::size_t at);
  void split(Vehicle& v, std::vector<Session>& sessions, Timestamp off) const;
  void keep(Vehicle*& v, std::uint16_t slot, Timestamp time, const SampleValue& value, const Session& session);
  void compact(Vehicle& v, const Session& session);
  void note_pair(Vehicle& v, std::size_t slot);
  void note_reach(Vehicle*& v, Timestamp time);

  // join_act.cpp: acting when something is due
  void advance(Timestamp to) {
    if (to <= now_) return;
    now_ = to;
    message_ = of_deadline;
  }
  Due progress(Vehicle& v) const;
  Due next(Vehicle& v) const;
  Due timer_of(Vehicle& v) const;
  Timestamp deadline(Vehicle& v) const;
  void fire_due(Vehicle*& v, std::uint32_t key, std::size_t slot);
  bool crammed(Vehicle& v, std::size_t slot) const;
  bool relieve(Vehicle*& v, std::uint32_t key);
  void set_timer();
  void schedule(Vehicle& v, std::uint32_t key);
  void set(Vehicle& v, std::uint32_t key, Due due);
  bool act_until(Timestamp until);
  void act(Vehicle*& v, std::uint32_t key, const Due& due);
  void close(Vehicle& v, std::uint32_t key);
  std::size_t count_passed(Vehicle& v, std::size_t slot, Timestamp tick) const;
  void tell_start(Vehicle& v, std::uint32_t key);
  void end_session(Vehicle*& v, std::uint32_t key);
  Timestamp forget_at(std::uint32_t key) const { return rules_.forget_at(samples_[key]->last_arrival); }
  bool is_exact(const Timers<Due>::Entry& entry) const;
  void renew(Timers<Due>::Entry entry);

  // join.cpp: what both need
  Timestamp interval_before(Timestamp time);
  Timestamp tick_at_or_before(Timestamp time);
  std::vector<Session>& unpack(const Vehicle& v);
  static void pack(Vehicle& v, const std::vector<Session>& sessions);
  static bool has_tick(const Vehicle& v) { return v.sessions != 0 && v.now.real && v.tick <= v.now.last; }
  static bool complete(const Vehicle& v) { return v.now.known != 0 && v.now.behind == 0; }
  void count_fields(Vehicle& v);
  void count_field(Vehicle& v, std::size_t slot) const;

  bool load_vehicle(StateReader& state, std::uint32_t key, const std::vector<HeldSamples::Stored>& fields,
                    bool aligned);
  bool align_reaches(Vehicle*& v, Timestamp newest, bool aligned);

  const Rules& rules_;
  const Slots& slots_;
  std::size_t live_ = 0;
  Timers<Due> timers_;         ///< of ticks and sessions: a vehicle's live entry is never later than it is due
  Timers<Timestamp> forgets_;  ///< one per vehicle, never later than it is forgotten
  Timestamp next_ = end_of_time;
  Timestamp now_ = no_time;
  std::uint32_t message_ = of_deadline;  ///< that causes what is done now
  std::size_t most_ = SIZE_MAX;          ///< rows and events
  bool stopped_ = false;                 ///< reach() has more to do
  Duration spent_ = 0;                   ///< gaps of the message at hand that were not free
  Timestamp interval_ = 0;               ///< the last answer of interval_before()
  std::uint32_t untimed_ = no_key;       ///< vehicle whose timer is still to be set
  std::vector<Session> scratch_;
};

}  // namespace weir::window_join
