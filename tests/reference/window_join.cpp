#include "reference/window_join.hpp"

#include <algorithm>
#include <cmath>
#include <list>
#include <set>
#include <tuple>
#include <utility>

#include "reference/sessions.hpp"

// Quotations and "Unwritten:" as in sessions.hpp.

namespace weir::reference {
namespace {

/// What is to be done next for a vehicle.
struct Due {
  enum class What : std::uint8_t { close_tick, end_session, forget_vehicle };
  Timestamp at = 0;
  Timestamp tick = no_time;  ///< Unwritten: of equal deadlines, those without a tick come first
  What what = What::close_tick;
};

class Vehicle {
 public:
  Vehicle(std::string key, const JoinSettings& settings, Joined& out)
      : key_{std::move(key)}, settings_{settings}, out_{out} {}

  void take(const Sample& sample);
  Due next();
  void act(const Due& due);
  /// Whether it made room for a sample; it may have to make more.
  bool make_room();
  std::optional<KeySession> latest();

 private:
  std::vector<Session> sessions() { return sessions_of(taken_, settings_.timeout); }
  bool is_off(const Sample& sample) const;
  bool passed(const Session& session, Timestamp tick) const;
  Timestamp closes(const Session& session, Timestamp tick) const;
  Timestamp tick_from(Timestamp time) const;
  std::optional<Timestamp> next_tick(const Session& session) const;
  void close(const Session& session, Timestamp tick);
  void start(const Session& session);
  void end(const Session& session, const char* reason);
  void divide(const Session& whole, Timestamp off);
  void drop_between_ticks();
  std::size_t pending() const;

  std::string key_;
  const JoinSettings& settings_;
  Joined& out_;

  std::list<Taken> taken_;      ///< every one of a session that is not over, by event time, then position
  Timestamp now_ = no_time;     ///< arrival time
  Timestamp heard_ = no_time;   ///< arrival of the newest sample
  Timestamp closed_ = no_time;  ///< last closed tick
  Timestamp over_ = no_time;    ///< newest sample of the sessions that are over
};

/// "On and off are samples of a field"
bool Vehicle::is_off(const Sample& sample) const {
  const auto& session = settings_.session;
  return session && sample.field == session->field && !sample.value.text && sample.value.x == session->off;
}

void Vehicle::take(const Sample& sample) {
  now_ = heard_ = sample.arrival;  // Unwritten: what is stale or late breaks the silence too
  const std::vector<Session> before = sessions();
  const Session* open = before.empty() || before.back().ended ? nullptr : &before.back();

  // "*off* is a boundary in event time and closes no tick at once; one from before the open session's first sample is
  // stale: counted, no effect." [contract] "or while none was open"
  const bool off = is_off(sample);
  if (off && (open == nullptr || sample.time < open->first())) {
    ++out_.counters["stale_offs"];
    return;
  }

  // "Late: at or before the vehicle's last closed tick; at or before the newest sample of a session that is over; or
  // more than `timeout` before the session's first. Counted, sent to port `late`; inside the open session it still
  // serves later ticks."
  const bool taken = sample.time > over_ && belongs(sample.time, before, settings_.timeout);
  if (sample.time <= closed_ || !taken) {
    ++out_.counters["late"];
    out_.late.push_back(sample);
  }
  if (!taken) return;

  // "Two samples of a field with the same event time: the later position wins." Unwritten: an off stays a boundary.
  const auto place = std::ranges::find_if(taken_, [&](const Taken& t) { return t.sample.time > sample.time; });
  const auto added = taken_.insert(place, Taken{sample});
  drop_between_ticks();
  added->off = off;
  if (off && sample.time < open->last()) divide(*open, sample.time);
  if (sessions().size() < before.size()) ++out_.merged;
}

/// The rows of the whole stay as they are. Unwritten: the halves have been heard since the whole was; its start, if
/// reported, is the earlier one's; and the later one begins with the first sample that is still kept behind the off.
void Vehicle::divide(const Session& whole, Timestamp off) {
  ++out_.divided;
  const Timestamp heard = whole.heard();
  const bool announced = whole.announced();
  for (Taken* taken : whole.samples) {
    taken->heard = std::min(taken->heard, heard);
    taken->announced = announced && taken->sample.time <= off;
  }
  const auto begins = [&](const Taken* taken) { return taken->sample.time > off && taken->kept; };
  const Timestamp first = (*std::ranges::find_if(whole.samples, begins))->sample.time;
  for (Taken* taken : whole.samples) {
    const Timestamp time = taken->sample.time;
    if (time > off && time <= first && !taken->kept) taken->gone = true;
  }
}

/// [contract] "Of a field, only the first and the last sample between two ticks are kept", before the last closed tick
/// the last one. No row depends on it, but how much waits does, and what is known when an off divides a session.
void Vehicle::drop_between_ticks() {
  for (const Session& session : sessions()) {
    std::map<std::pair<std::string, Timestamp>, std::vector<Taken*>> between;  // by field and the tick at or behind
    for (Taken* taken : session.samples) {
      const Timestamp time = taken->sample.time;
      if (taken->kept) between[{taken->sample.field, time > closed_ ? tick_from(time) : no_time}].push_back(taken);
    }
    for (const auto& [of, samples] : between) {
      const Timestamp first = samples.front()->sample.time, last = samples.back()->sample.time;
      for (Taken* taken : samples) {
        const Timestamp time = taken->sample.time;
        taken->kept = time == last || (time == first && of.second != no_time);
      }
    }
  }
}

/// "A field has passed T when its newest event time (in whatever session of the vehicle) is ≥ T + `disorder`"; "Only
/// `fields` […] count." Unwritten: where no field of the session counts, none has passed.
bool Vehicle::passed(const Session& session, Timestamp tick) const {
  bool any = false;
  for (const std::string& field : settings_.fields) {
    if (std::ranges::none_of(session.samples, [&](auto* taken) { return taken->sample.field == field; })) continue;
    any = true;
    if (std::ranges::none_of(taken_, [&](const Taken& taken) {
          return taken.sample.field == field && taken.sample.time >= tick + settings_.disorder;
        }))
      return false;
  }
  return any;
}

/// The arrival time at which a tick of a session closes, as far as is known now.
Timestamp Vehicle::closes(const Session& session, Timestamp tick) const {
  // "Tick T of a vehicle closes […] when arrival time reaches `wait` after the later of T and the arrival of the
  // vehicle's first sample at or beyond T."
  Timestamp beyond = end_of_time;
  for (const Taken& taken : taken_) {
    if (taken.sample.time >= tick) beyond = std::min(beyond, taken.sample.arrival);
  }
  Timestamp at = std::max(tick, beyond) + settings_.wait;
  // "or […] when every field of its session has passed T"; "In the first `wait` of a session its fields are not known
  // yet: ticks close by `wait` only."
  if (passed(session, tick)) at = std::min(at, session.heard() + settings_.wait);
  // "An ended session takes its own samples […] for another `wait` of arrival time, then its ticks close"
  if (session.ended) at = std::min(at, *session.ended + settings_.wait);
  // "after `forget` of arrival time it ends as lost". Unwritten: its ticks wait no longer either.
  at = std::min(at, heard_ + settings_.forget);
  return std::max(at, now_);
}

/// "Ticks are multiples of `every` since the epoch". The first one at or behind a time.
Timestamp Vehicle::tick_from(Timestamp time) const {
  const Duration past = (time % settings_.every + settings_.every) % settings_.every;
  return past == 0 ? time : time - past + settings_.every;
}

/// "Ticks from its first to its last sample get a row, no others"; "Ticks of a vehicle close in order."
std::optional<Timestamp> Vehicle::next_tick(const Session& session) const {
  if (!session.begun()) return {};
  Timestamp tick = tick_from(session.first());
  if (tick <= closed_) tick = tick_from(closed_ + 1);
  return tick <= session.last() ? std::optional{tick} : std::nullopt;
}

Due Vehicle::next() {
  const Timestamp forgotten = heard_ + settings_.forget;
  for (const Session& session : sessions()) {
    if (const auto tick = next_tick(session)) return {closes(session, *tick), *tick, Due::What::close_tick};
    // "then its ticks close and it is over."
    if (session.ended) {
      const Timestamp at = std::min(*session.ended + settings_.wait, forgotten);
      return {std::max(at, now_), no_time, Due::What::end_session};
    }
  }
  return {std::max(forgotten, now_), no_time, Due::What::forget_vehicle};
}

void Vehicle::act(const Due& due) {
  now_ = due.at;
  const std::vector<Session> all = sessions();
  if (due.what == Due::What::close_tick) {
    const auto holds = [&](const Session& session) { return session.last() >= due.tick; };
    close(*std::ranges::find_if(all, holds), due.tick);
  } else if (due.what == Due::What::end_session) {
    end(all.front(), all.front().why_ended());
  } else {
    // "Silence alone ends none; after `forget` of arrival time it ends as lost and the vehicle leaves memory."
    for (const Session& session : all) end(session, "lost");
  }
}

void Vehicle::close(const Session& session, Timestamp tick) {
  start(session);
  BracketRow row{key_, tick, now_, {}};
  for (const std::string& field : settings_.fields) {
    Bracket bracket;
    for (const Taken* taken : session.samples) {  // "Brackets never cross sessions."
      const Reading reading{taken->sample.time, taken->sample.value};
      if (taken->sample.field != field) continue;
      // "`before` = the newest sample with time ≤ T, `after` = the first with time > T seen before T closed."
      if (reading.time <= tick) bracket.before = reading;
      if (reading.time > tick && (!bracket.after || bracket.after->time == reading.time)) bracket.after = reading;
    }
    row.brackets.push_back(bracket);
  }
  out_.rows.push_back(std::move(row));
  closed_ = tick;
  drop_between_ticks();
}

/// "Starts and ends, and why, go to port `sessions`." Unwritten: a start with the session's first row, else its end.
void Vehicle::start(const Session& session) {
  if (session.announced()) return;
  // "*on* […] only names the reason of a start." Unwritten: it has the event time of the start.
  const char* reason = "sample";
  for (Taken* taken : session.samples) {
    taken->announced = true;
    const Sample& sample = taken->sample;
    if (sample.time != session.first() || !settings_.session || sample.field != settings_.session->field) continue;
    reason = !sample.value.text && sample.value.x == settings_.session->on ? "on" : "sample";
  }
  out_.sessions.push_back({key_, "start", reason, session.first(), now_});
}

void Vehicle::end(const Session& session, const char* reason) {
  const Timestamp last = session.last();
  if (session.begun()) {
    start(session);
    out_.sessions.push_back({key_, "end", reason, last, now_});
    if (tick_from(session.first()) > last) ++out_.counters["empty_sessions"];
  }
  over_ = last;  // and every tick to come is behind it, so that its samples matter no more
  std::erase_if(taken_, [&](const Taken& taken) { return taken.sample.time <= last; });
}

/// "`max_pending` samples per vehicle": those that are kept for ticks that are not closed.
std::size_t Vehicle::pending() const {
  std::set<std::pair<std::string, Timestamp>> out;
  for (const Taken& taken : taken_) {
    if (taken.kept && taken.sample.time > closed_) out.emplace(taken.sample.field, taken.sample.time);
  }
  return out.size();
}

/// "beyond, its oldest tick closes at that record, counted." Unwritten: where the oldest session has none left but is
/// ended, it is over.
bool Vehicle::make_room() {
  if (pending() <= settings_.max_pending) return false;
  const std::vector<Session> all = sessions();
  if (const auto tick = next_tick(all.front())) {
    close(all.front(), *tick);
  } else if (all.size() > 1) {
    end(all.front(), all.front().why_ended());
  } else {
    return false;
  }
  ++out_.counters["early_closed_ticks"];
  return true;
}

std::optional<KeySession> Vehicle::latest() {
  std::optional<KeySession> out;
  for (const Session& session : sessions()) {
    if (session.begun()) out = KeySession{session.first(), session.last(), session.ended.has_value()};
  }
  return out;
}

class Join {
 public:
  explicit Join(const JoinSettings& settings) : settings_{settings} {
    for (const char* name : {"late", "stale_offs", "other_fields", "empty_sessions", "early_closed_ticks"})
      out_.counters[name] = 0;
  }

  void feed(const Input& input) {
    // "before row i, an operator has done all that was due at its arrival"
    act(input.reached);
    if (!input.sample || !is_valid(*input.sample)) return;
    const std::string& key = input.sample->key;
    vehicles_.try_emplace(key, key, settings_, out_).first->second.take(*input.sample);
    do {
      due_[key] = vehicles_.at(key).next();
      act(input.reached);
    } while (vehicles_.contains(key) && vehicles_.at(key).make_room());
  }

  Joined finish() {
    for (auto& [key, vehicle] : vehicles_) {
      if (const auto session = vehicle.latest()) out_.latest.emplace(key, *session);
    }
    for (const auto& [key, due] : due_) out_.due = std::min(out_.due.value_or(end_of_time), due.at);
    return std::move(out_);
  }

 private:
  bool is_valid(const Sample& sample) {
    // "Only `fields` […] count."
    const bool counts = std::ranges::contains(settings_.fields, sample.field) ||
                        (settings_.session && settings_.session->field == sample.field);
    if (!counts) ++out_.counters["other_fields"];
    // "Event times more than `max_ahead` (default 5 s) ahead of their arrival, or `max_behind` behind it: dead letter."
    // [contract] "Numbers that are not finite go to the dead letters"
    const Value& value = sample.value;
    const bool near =
        sample.time <= sample.arrival + settings_.max_ahead && sample.time >= sample.arrival - settings_.max_behind;
    const bool finite =
        std::isfinite(value.x) && std::isfinite(value.y.value_or(0)) && std::isfinite(value.z.value_or(0));
    if (counts && !(near && finite)) out_.refused.push_back(sample);
    return counts && near && finite;
  }

  /// Does what is due: the earliest first; "equal deadlines go by tick, then key bytes".
  void act(Timestamp reached) {
    while (!due_.empty()) {
      const auto [key, due] = *std::ranges::min_element(
          due_, {}, [](const auto& of) { return std::tuple{of.second.at, of.second.tick, of.first}; });
      if (due.at > reached) return;
      vehicles_.at(key).act(due);
      if (due.what == Due::What::forget_vehicle) {
        vehicles_.erase(key);
        due_.erase(key);
      } else {
        due_[key] = vehicles_.at(key).next();
      }
    }
  }

  const JoinSettings& settings_;
  Joined out_;
  std::map<std::string, Vehicle> vehicles_;
  std::map<std::string, Due> due_;  ///< what each of them does next
};

}  // namespace

Joined window_join(const std::vector<Input>& inputs, const JoinSettings& settings) {
  Join join{settings};
  for (const Input& input : inputs) join.feed(input);
  return join.finish();
}

}  // namespace weir::reference
