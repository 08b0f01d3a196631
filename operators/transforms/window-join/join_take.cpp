#include <algorithm>

#include "transforms/window-join/join.hpp"

namespace weir::window_join {

void Join::add(std::uint32_t key, Timestamp arrival) {
  samples_[key] = samples_.make();
  samples_[key]->last_arrival = arrival;
  ++live_;
  forgets_.push(rules_.forget_at(arrival), key);
  next_ = std::min(next_, rules_.forget_at(arrival));
}

std::size_t Join::take_usual(const SampleRows& in, const std::uint16_t* slot_of, std::size_t row, std::size_t end) {
  const std::uint32_t key = in.keys.ids[row];
  Vehicle*& v = samples_[key];
  if (v == nullptr || v->sessions != 1 || v->now.ended != Session::Ended::no || !in.all_timed()) return row;
  if (key != untimed_) set_timer();
  Timestamp checked = no_time;
  for (; row < end; ++row) {
    const std::uint16_t slot = slot_of[in.fields.ids[row]];
    if (slot == Slots::none) {
      ++counts.other_fields;
      continue;
    }
    const Timestamp time = in.time(row);
    if (time != checked && !goes_on(*v, time)) return row;
    checked = time;
    SampleValue value;
    if (read(in, row, slots_.kind(slot), value) != nullptr) return row;
    if (slot == slots_.session && (value.x == rules_.off || time == v->now.first)) return row;
    if (HeldSamples::count(*v, slot) == 0) return row;
    Word* newest = samples_.newest_entry(*v, slot);
    const auto before = std::bit_cast<Timestamp>(newest[0]);
    if (time <= before) return row;
    const bool same_interval = before > interval_;
    bool crammed = false;
    if (same_interval && samples_.paired(*v, slot)) {
      samples_.put(slot, newest, time, value);  // the first and the last of an interval are enough
    } else {
      ++v->held;
      samples_.append(v, slot, time, value);
      samples_.set_paired(*v, slot, same_interval);
      crammed = v->held > rules_.max_pending || HeldSamples::full(*v, slot);
    }
    v->last_arrival = now_;
    const bool crossed = time >= v->tick && v->now.last < v->tick;
    v->now.last = std::max(v->now.last, time);
    v->now.real = true;
    if (time >= v->next_reach) {
      note_reach(v, time);
      crammed |= HeldSamples::reaches_full(*v);
    }
    const Timestamp needed = v->tick + rules_.disorder;
    const bool passed = before < needed && time >= needed && slots_.in_brackets(slot);
    if (passed) --v->now.behind;
    if (crossed || (passed && v->now.behind == 0) || crammed) {
      message_ = in.message[row];
      fire_due(v, key, slot);
      return row + 1;
    }
  }
  return row;
}

/// Whether a sample at this time may be a usual one; interval_ is then its interval.
bool Join::goes_on(const Vehicle& v, Timestamp time) {
  if (time <= v.closed || time < v.now.first || time - v.now.last > rules_.usual_gap) return false;
  if (time > now_ + rules_.max_ahead || rules_.is_behind(time, now_)) return false;
  interval_before(time);
  return true;
}

Join::Taken Join::take(std::uint32_t key, std::uint16_t slot, Timestamp time, const SampleValue& value) {
  if (key != untimed_) set_timer();
  if (samples_[key] == nullptr) add(key, now_);
  Vehicle*& v = samples_[key];
  v->last_arrival = now_;
  const Taken taken = place(v, slot, time, value);
  fire_due(v, key, slot);
  return taken;
}

/// Any sample.
Join::Taken Join::place(Vehicle*& v, std::uint16_t slot, Timestamp time, const SampleValue& value) {
  const bool off = slot == slots_.session && value.x == rules_.off;
  const bool on = slot == slots_.session && value.x == rules_.on;
  auto& sessions = unpack(*v);
  if (off && (sessions.empty() || sessions.back().ended != Session::Ended::no || time < sessions.back().first)) {
    ++counts.stale_offs;
    return Taken::kept;
  }
  const bool late = time <= v->closed || time <= v->over;
  if (!late && !spend(sessions, time)) return Taken::crowded;
  const std::size_t known = sessions.size();
  const std::size_t at = time <= v->over ? none : find_session(sessions, time, !late, on);
  if (at == none) return Taken::late;
  Session& session = sessions[at];
  if (time < session.first || (time == session.first && slot == slots_.session)) session.first_on = on;
  session.first = std::min(session.first, time);
  session.last = std::max(session.last, time);
  session.real |= !off;
  if (time >= v->next_reach) note_reach(v, time);
  if (sessions.size() < known) compact(*v, session);
  keep(v, slot, time, value, session);
  note_pair(*v, slot);
  if (off) split(*v, sessions, time);
  pack(*v, sessions);
  count_fields(*v);
  return late ? Taken::late : Taken::kept;
}

/// Counts the ticks that a sample opens between itself and those it joins; false if that is too many for its message.
/// A message's first gap is never too much.
bool Join::spend(const std::vector<Session>& sessions, Timestamp time) {
  const auto later = std::ranges::find_if(sessions, [&](const Session& s) { return s.first > time; });
  Duration gap = 0;
  if (later != sessions.end() && later->first - time <= rules_.timeout) gap = later->first - time;
  if (later != sessions.begin()) {
    const Duration before = time - std::prev(later)->last;
    if (before > 0 && before <= rules_.timeout && std::prev(later)->ended != Session::Ended::off) gap += before;
  }
  if (gap <= rules_.usual_gap) return true;
  if (spent_ != 0 && spent_ + gap > Rules::most_ticks * rules_.every) return false;
  spent_ += gap;
  return true;
}

/// The session that the sample belongs to, made, or merged from two, if need be.
std::size_t Join::find_session(std::vector<Session>& sessions, Timestamp time, bool may_start, bool on) const {
  const auto later = std::ranges::find_if(sessions, [&](const Session& s) { return s.first > time; });
  const auto at = static_cast<std::size_t>(later - sessions.begin());
  if (at > 0 && time <= sessions[at - 1].last) return at - 1;
  const bool forward =
      at > 0 && sessions[at - 1].ended != Session::Ended::off && time - sessions[at - 1].last <= rules_.timeout;
  const bool backward = later != sessions.end() && later->first - time <= rules_.timeout;
  if (forward && backward) merge(sessions, at);
  if (forward) return at - 1;
  if (backward) return at;
  if (later != sessions.end() || !may_start) return none;
  if (at > 0 && sessions[at - 1].ended == Session::Ended::no) {
    sessions[at - 1].ended = Session::Ended::gap;
    sessions[at - 1].over_at = now_ + rules_.wait;
  }
  sessions.push_back({.first = time, .last = time, .first_arrival = now_, .first_on = on});
  return at;
}

/// Makes one of the sessions before and at `at`.
void Join::merge(std::vector<Session>& sessions, std::size_t at) {
  Session& one = sessions[at - 1];
  const Session& other = sessions[at];
  one.last = other.last;
  one.first_arrival = std::min(one.first_arrival, other.first_arrival);
  one.ended = other.ended;
  one.over_at = other.over_at;
  one.real |= other.real;
  one.started |= other.started;
  sessions.erase(sessions.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Ends the last session at an off; what it has beyond becomes a session of its own.
void Join::split(Vehicle& v, std::vector<Session>& sessions, Timestamp off) const {
  Session rest = sessions.back();
  Session& session = sessions.back();
  session.last = off;
  session.ended = Session::Ended::off;
  session.over_at = now_ + rules_.wait;
  rest.first = end_of_time;
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    const std::size_t i = samples_.upper_bound(v, slot, off);
    if (i < HeldSamples::count(v, slot)) rest.first = std::min(rest.first, samples_.time(v, slot, i));
  }
  if (rest.first == end_of_time) return;  // `rest.last` may be of a field that takes part no more
  const std::size_t power = samples_.upper_bound(v, slots_.session, rest.first);
  rest.first_on = power > 0 && samples_.time(v, slots_.session, power - 1) == rest.first &&
                  std::bit_cast<double>(samples_.entry(v, slots_.session, power - 1)[1]) == rules_.on;
  rest.started = false;
  rest.real = true;
  sessions.push_back(rest);
}

/// Puts a sample of a session where it belongs: of those newer than the last closed tick, a field, session and
/// interval between two ticks keeps the first and the last; of the older ones, a field keeps the newest.
void Join::keep(Vehicle*& v, std::uint16_t slot, Timestamp time, const SampleValue& value, const Session& session) {
  const std::size_t i = samples_.upper_bound(*v, slot, time);
  const std::size_t size = HeldSamples::count(*v, slot);
  const auto at = [&](std::size_t entry) { return samples_.time(*v, slot, entry); };
  const auto replace = [&](std::size_t entry) { samples_.put(slot, samples_.entry(*v, slot, entry), time, value); };
  if (i > 0 && at(i - 1) == time) return replace(i - 1);
  if (time <= v->closed) {
    if (i < size && at(i) <= v->closed) return;
    return i > 0 ? replace(i - 1) : samples_.insert(v, slot, 0, time, value);
  }
  const Timestamp before = interval_before(time);
  const Timestamp least = std::max(before + 1, session.first), most = std::min(before + rules_.every, session.last);
  const bool one_before = i > 0 && at(i - 1) >= least, two_before = one_before && i > 1 && at(i - 2) >= least;
  const bool one_after = i < size && at(i) <= most, two_after = one_after && i + 1 < size && at(i + 1) <= most;
  if (one_before && one_after) return;
  if (two_before) return replace(i - 1);
  if (two_after) return replace(i);
  ++v->held;
  samples_.insert(v, slot, i, time, value);
}

/// Drops what lies between the first and the last of a field and interval: after two sessions have merged.
void Join::compact(Vehicle& v, const Session& session) {
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    for (std::size_t i = 1; i + 1 < HeldSamples::count(v, slot);) {
      const Timestamp before = interval_before(samples_.time(v, slot, i));
      const bool between = samples_.time(v, slot, i - 1) > std::max({before, session.first - 1, v.closed}) &&
                           samples_.time(v, slot, i + 1) <= std::min(before + rules_.every, session.last);
      if (between) {
        samples_.erase(v, slot, i);
        --v.held;
      } else {
        ++i;
      }
    }
    note_pair(v, slot);
  }
}

void Join::note_pair(Vehicle& v, std::size_t slot) {
  const std::size_t size = HeldSamples::count(v, slot);
  const bool paired = size > 1 && samples_.time(v, slot, size - 2) > interval_before(samples_.newest(v, slot));
  samples_.set_paired(v, slot, paired);
}

/// Remembers when the vehicle first came to the newest tick at or before `time`: deadlines count from there.
void Join::note_reach(Vehicle*& v, Timestamp time) {
  const Timestamp tick = tick_at_or_before(time);
  samples_.add_reach(v, tick, v->last_arrival);
  v->next_reach = tick + rules_.every;
}

}  // namespace weir::window_join
