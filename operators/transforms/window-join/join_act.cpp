#include <algorithm>

#include "transforms/window-join/join.hpp"

namespace weir::window_join {

/// When the next tick of the earliest session closes, or it is over, if no sample comes. The end of time: never.
Due Join::progress(Vehicle& v) const {
  if (v.sessions == 0) return {};
  Due due{v.now.over_at, no_time};
  if (!has_tick(v)) return due;
  due.tick = v.tick;
  due.instant = std::min(due.instant, deadline(v));
  if (complete(v)) due.instant = std::min(due.instant, v.now.first_arrival + rules_.wait);
  return due;
}

/// The same, or that the vehicle is forgotten.
Due Join::next(Vehicle& v) const {
  Due due = progress(v);
  due.instant = std::max(now_, std::min(due.instant, rules_.forget_at(v.last_arrival)));
  return due;
}

/// What a vehicle's timer has to say: being forgotten moves with every sample and has timers of its own.
Due Join::timer_of(Vehicle& v) const {
  const Due due = next(v);
  return due.instant <= now_ ? due : progress(v);
}

Timestamp Join::deadline(Vehicle& v) const {
  std::size_t i = 0;
  while (samples_.reach_tick(v, i) < v.tick) ++i;
  return std::max(v.tick, samples_.reach_arrival(v, i)) + rules_.wait;
}

/// Does what has become due for one vehicle through a sample of `slot`, and makes room for the next one. Its timer is
/// set when its run of samples is through.
void Join::fire_due(Vehicle*& v, std::uint32_t key, std::size_t slot) {
  const auto act_all = [&] {
    while (v != nullptr) {
      const Due due = next(*v);
      if (due.instant > now_) return;
      act(v, key, due);
    }
  };
  act_all();
  while (v != nullptr && crammed(*v, slot) && relieve(v, key)) act_all();
  if (v == nullptr) return;
  untimed_ = key;
}

/// Whether a vehicle holds more than it should, or what can grow through a sample of `slot` can't once more.
bool Join::crammed(Vehicle& v, std::size_t slot) const {
  return v.held > rules_.max_pending || HeldSamples::full(v, slot) || HeldSamples::reaches_full(v) ||
         v.sessions == Vehicle::most_sessions;
}

/// Closes a vehicle's oldest tick. Where its earliest session has none left and waits for its own late samples, that
/// is over. False if neither is possible: then all it holds is of one interval between two ticks.
bool Join::relieve(Vehicle*& v, std::uint32_t key) {
  const bool tick = has_tick(*v);
  if (!tick && v->sessions < 2) return false;
  ++counts.early_closed_ticks;
  if (tick) {
    close(*v, key);
  } else {
    end_session(v, key);
  }
  return true;
}

void Join::set_timer() {
  if (untimed_ == no_key) return;
  if (Vehicle* v = samples_[untimed_]; v != nullptr) schedule(*v, untimed_);
  untimed_ = no_key;
}

/// Sets a vehicle's timer if it is due earlier than the timer says, be it an earlier tick at the same instant. One more
/// for what the timer says already would have to be taken out again for every tick that a burst closes at once.
void Join::schedule(Vehicle& v, std::uint32_t key) {
  const Due due = progress(v);
  if (due < v.timer) set(v, key, due);
}

void Join::set(Vehicle& v, std::uint32_t key, Due due) {
  if (due.instant == end_of_time) return;
  v.timer = due;
  timers_.push(due, key);
  next_ = std::min(next_, due.instant);
}

/// False: it is full before all of it is done.
bool Join::act_until(Timestamp until) {
  while (std::min(timers_.first(), forgets_.first()) <= until) {
    if (full()) return false;
    if (forgets_.first() <= timers_.first()) {
      const auto entry = forgets_.top();
      forgets_.pop();
      const Timestamp at = forget_at(entry.key);
      if (at == entry.due) {
        advance(at);
        set(*samples_[entry.key], entry.key, timer_of(*samples_[entry.key]));
      } else {
        forgets_.push(at, entry.key);
      }
    } else if (const auto entry = timers_.top(); is_exact(entry)) {
      timers_.pop();
      advance(entry.due.instant);
      Vehicle*& v = samples_[entry.key];
      v->timer = {};
      act(v, entry.key, entry.due);
      if (v != nullptr) set(*v, entry.key, timer_of(*v));
    } else {
      renew(entry);
    }
  }
  next_ = std::min(timers_.first(), forgets_.first());
  return true;
}

void Join::refresh() {
  set_timer();
  while (!timers_.empty() && !is_exact(timers_.top())) renew(timers_.top());
  for (int tries = 0; tries < 2 && !forgets_.empty(); ++tries) {
    const auto entry = forgets_.top();
    if (forget_at(entry.key) == entry.due) break;
    forgets_.pop();
    forgets_.push(forget_at(entry.key), entry.key);
  }
  next_ = std::min(timers_.first(), forgets_.first());
}

/// Whether a timer says what its vehicle says.
bool Join::is_exact(const Timers<Due>::Entry& entry) const {
  Vehicle* v = samples_[entry.key];
  return v != nullptr && v->timer == entry.due && timer_of(*v) == entry.due;
}

/// Takes out the first timer, which is not exact, and sets the right one if it was the vehicle's live one.
void Join::renew(Timers<Due>::Entry entry) {
  timers_.pop();
  Vehicle* v = samples_[entry.key];
  if (v == nullptr || v->timer != entry.due) return;
  v->timer = {};
  set(*v, entry.key, timer_of(*v));
}

void Join::act(Vehicle*& v, std::uint32_t key, const Due& due) {
  if (due.tick != no_time) return close(*v, key);
  if (v->sessions != 0) return end_session(v, key);
  samples_.free(v);
  v = nullptr;
  --live_;
}

/// Closes the vehicle's next tick: one pass over its samples.
void Join::close(Vehicle& v, std::uint32_t key) {
  const Timestamp tick = v.tick, closed = v.closed;
  tell_start(v, key);
  rows.begin(key, tick, now_, message_);
  v.closed = tick;
  v.tick = tick + rules_.every;
  v.now.known = v.now.behind = 0;
  samples_.drop_reaches(v, tick);
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    const std::size_t size = HeldSamples::count(v, slot), passed = count_passed(v, slot, tick);
    const bool after = passed < size && samples_.time(v, slot, passed) <= v.now.last;
    if (slots_.in_brackets(slot)) {
      rows.before(slot - 1, passed > 0 ? samples_.entry(v, slot, passed - 1) : nullptr);
      rows.after(slot - 1, after ? samples_.entry(v, slot, passed) : nullptr);
      const bool known = passed > 0 || after;
      v.now.known += known;
      v.now.behind += known && samples_.newest(v, slot) < v.tick + rules_.disorder;
    }
    if (passed == 0) continue;
    v.held -= static_cast<std::uint32_t>(passed - (samples_.time(v, slot, 0) <= closed ? 1 : 0));
    samples_.drop_front(v, slot, passed - 1);
  }
}

/// The number of entries at or before a tick that is closing: most often all but the newest, else few of many.
std::size_t Join::count_passed(Vehicle& v, std::size_t slot, Timestamp tick) const {
  const std::size_t size = HeldSamples::count(v, slot);
  if (size == 0 || samples_.newest(v, slot) <= tick) return size;
  if (size > 1 && samples_.time(v, slot, size - 2) <= tick) return size - 1;
  std::size_t passed = 0;
  while (samples_.time(v, slot, passed) <= tick) ++passed;
  return passed;
}

void Join::tell_start(Vehicle& v, std::uint32_t key) {
  if (v.now.started) return;
  v.now.started = true;
  events.add({key, "start", v.now.first_on ? "on" : "sample", v.now.first, now_, message_});
}

/// The earliest session, whose ticks are all closed, is over.
void Join::end_session(Vehicle*& v, std::uint32_t key) {
  if (v->now.real) {
    tell_start(*v, key);
    const char* reason = v->now.ended == Session::Ended::off   ? "off"
                         : v->now.ended == Session::Ended::gap ? "timeout"
                                                               : "lost";
    events.add({key, "end", reason, v->now.last, now_, message_});
    counts.empty_sessions += tick_at_or_before(v->now.last) < v->now.first;
  }
  v->over = std::max(v->over, v->now.last);
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    const std::size_t over = samples_.upper_bound(*v, slot, v->over);
    const std::size_t closed = samples_.upper_bound(*v, slot, v->closed);
    v->held -= static_cast<std::uint32_t>(over - std::min(over, closed));
    samples_.drop_front(*v, slot, over);
  }
  samples_.drop_reaches(*v, v->over);
  auto& sessions = unpack(*v);
  sessions.erase(sessions.begin());
  pack(*v, sessions);
  count_fields(*v);
  samples_.shrink(v);
}

}  // namespace weir::window_join
