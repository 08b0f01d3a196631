#include "reference/window_join.hpp"

#include <algorithm>
#include <cmath>
#include <list>
#include <set>
#include <tuple>

namespace weir::reference {
namespace {

struct Held {
  Sample sample;
  bool compacted = false;  ///< no longer in the operator's memory; must not make a difference to any row
};

enum class Ended { no, off, gap };

struct Session {
  std::vector<Held> samples;
  Timestamp first = 0, last = 0;
  Timestamp first_arrival = 0;
  Ended ended = Ended::no;
  Timestamp over_at = 0;  ///< of an ended one
  bool real = false;      ///< has taken a sample that is not an off
  bool started = false;   ///< its start event has been sent
  bool first_is_on = false;
};

struct Vehicle {
  std::list<Session> sessions;      ///< those that are not over, by event time
  std::optional<Timestamp> closed;  ///< the last closed tick
  std::optional<Timestamp> over;    ///< newest sample of the last session that is over
  std::map<std::string, Timestamp> newest;
  Timestamp last_arrival = 0;
};

/// The next thing to be done for a vehicle without input. A tick to close, else a session or the vehicle to end.
struct Action {
  Timestamp instant = 0;
  Timestamp tick = no_time;
  std::string key;
  auto order() const { return std::tie(instant, tick, key); }
};

/// The least multiple of `every` that is not below t.
Timestamp tick_at_or_after(Timestamp t, Duration every) {
  const Duration past = ((t % every) + every) % every;
  return past == 0 ? t : t - past + every;
}

class Join {
 public:
  explicit Join(const JoinSettings& settings) : settings_{settings} {}

  Joined run(const std::vector<Input>& inputs) {
    for (const auto* name : {"late", "off_stale", "other_fields", "forced"}) out_.counters[name] = 0;
    for (const Input& input : inputs) {
      const Timestamp arrival = input.sample ? input.sample->arrival : input.reached;
      do_everything_due(arrival);
      now_ = std::max(now_, arrival);
      if (!input.sample) continue;
      if (!acceptable(*input.sample)) continue;
      take(*input.sample);
      do_everything_due(arrival);
      relieve(input.sample->key);
    }
    return std::move(out_);
  }

 private:
  bool is_off(const Sample& s) const {
    return settings_.session && s.field == settings_.session->field && s.value.x == settings_.session->off;
  }
  bool is_on(const Sample& s) const {
    return settings_.session && s.field == settings_.session->field && s.value.x == settings_.session->on;
  }
  bool is_session_field(const std::string& field) const {
    return settings_.session && field == settings_.session->field;
  }
  bool wanted(const std::string& field) const {
    return std::ranges::find(settings_.fields, field) != settings_.fields.end();
  }

  // --- What is due
  // -----------------------------------------------------------------------------------------------------

  void do_everything_due(Timestamp until) {
    while (true) {
      std::optional<Action> next;
      for (const auto& [key, vehicle] : vehicles_) {
        const auto action = next_action(key, vehicle);
        if (action && action->instant <= until && (!next || action->order() < next->order())) next = action;
      }
      if (!next) return;
      now_ = next->instant;
      perform(*next);
    }
  }

  std::optional<Action> next_action(const std::string& key, const Vehicle& vehicle) const {
    Timestamp instant = vehicle.last_arrival + settings_.forget;
    Timestamp tick = no_time;
    if (!vehicle.sessions.empty()) {
      const Session& session = vehicle.sessions.front();
      if (session.ended != Ended::no) instant = std::min(instant, session.over_at);
      if (const auto next = next_tick(vehicle, session)) {
        tick = *next;
        instant = std::min(instant, deadline(vehicle, tick));
        if (complete(vehicle, session, tick)) instant = std::min(instant, session.first_arrival + settings_.wait);
      }
    }
    return Action{std::max(instant, now_), tick, key};
  }

  void perform(const Action& action) {
    Vehicle& vehicle = vehicles_.at(action.key);
    if (action.tick != no_time) return close_tick(action.key, vehicle, action.tick);
    if (!vehicle.sessions.empty()) return end_session(action.key, vehicle);
    vehicles_.erase(action.key);
  }

  std::optional<Timestamp> next_tick(const Vehicle& vehicle, const Session& session) const {
    if (!session.real) return {};
    Timestamp tick = tick_at_or_after(session.first, settings_.every);
    if (vehicle.closed) tick = std::max(tick, *vehicle.closed + settings_.every);
    return tick <= session.last ? std::optional{tick} : std::nullopt;
  }

  Timestamp deadline(const Vehicle& vehicle, Timestamp tick) const {
    Timestamp arrival = end_of_time;
    for (const Session& session : vehicle.sessions) {
      for (const Held& held : session.samples) {
        if (held.sample.time >= tick) arrival = std::min(arrival, held.sample.arrival);
      }
    }
    return std::max(tick, arrival) + settings_.wait;
  }

  bool complete(const Vehicle& vehicle, const Session& session, Timestamp tick) const {
    std::set<std::string> known;
    for (const Held& held : session.samples) {
      if (wanted(held.sample.field)) known.insert(held.sample.field);
    }
    const auto passed = [&](const std::string& field) { return vehicle.newest.at(field) >= tick + settings_.disorder; };
    return !known.empty() && std::ranges::all_of(known, passed);
  }

  // --- What comes out
  // --------------------------------------------------------------------------------------------------

  void close_tick(const std::string& key, Vehicle& vehicle, Timestamp tick) {
    Session& session = vehicle.sessions.front();
    send_start(key, session);
    BracketRow row{key, tick, now_, {}};
    for (const std::string& field : settings_.fields) row.brackets.push_back(bracket(session, field, tick));
    out_.rows.push_back(std::move(row));
    vehicle.closed = tick;
  }

  static Bracket bracket(const Session& session, const std::string& field, Timestamp tick) {
    Bracket found;
    for (const Held& held : session.samples) {
      const Sample& s = held.sample;
      if (s.field != field) continue;
      if (s.time <= tick && (!found.before || s.time > found.before->time)) found.before = Reading{s.time, s.value};
      if (s.time > tick && (!found.after || s.time < found.after->time)) found.after = Reading{s.time, s.value};
    }
    return found;
  }

  void send_start(const std::string& key, Session& session) {
    if (session.started) return;
    session.started = true;
    out_.sessions.push_back({key, "start", session.first_is_on ? "on" : "sample", session.first, now_});
  }

  void end_session(const std::string& key, Vehicle& vehicle) {
    Session& session = vehicle.sessions.front();
    if (session.real) {
      send_start(key, session);
      const char* reason = session.ended == Ended::off ? "off" : session.ended == Ended::gap ? "timeout" : "lost";
      out_.sessions.push_back({key, "end", reason, session.last, now_});
    }
    vehicle.over = std::max(vehicle.over.value_or(no_time), session.last);
    vehicle.sessions.pop_front();
  }

  // --- What comes in
  // ---------------------------------------------------------------------------------------------------

  bool acceptable(const Sample& sample) {
    if (!wanted(sample.field) && !is_session_field(sample.field)) {
      ++out_.counters["other_fields"];
      return false;
    }
    const Value& v = sample.value;
    const bool finite = std::isfinite(v.x) && std::isfinite(v.y.value_or(0)) && std::isfinite(v.z.value_or(0));
    const Timestamp earliest = sample.arrival - settings_.max_behind, latest = sample.arrival + settings_.max_ahead;
    if (finite && sample.time >= earliest && sample.time <= latest) return true;
    out_.refused.push_back(sample);
    return false;
  }

  void take(const Sample& sample) {
    Vehicle& vehicle = vehicles_[sample.key];
    vehicle.last_arrival = sample.arrival;
    if (is_off(sample) && !is_boundary(vehicle, sample)) {
      ++out_.counters["off_stale"];
      return;
    }
    const bool over = vehicle.over && sample.time <= *vehicle.over;
    const bool closed = vehicle.closed && sample.time <= *vehicle.closed;
    Session* session = over ? nullptr : place(vehicle, sample, /*may_start=*/!closed);
    if (closed || session == nullptr) {
      ++out_.counters["late"];
      out_.late.push_back(sample);
    }
    if (session == nullptr) return;
    keep(vehicle, *session, sample);
    if (is_off(sample)) split(vehicle, sample);
  }

  static bool is_boundary(const Vehicle& vehicle, const Sample& off) {
    return !vehicle.sessions.empty() && vehicle.sessions.back().ended == Ended::no &&
           off.time >= vehicle.sessions.back().first;
  }

  /// The session that the sample belongs to, made, extended or merged for it; null if there is none for it.
  Session* place(Vehicle& vehicle, const Sample& sample, bool may_start) {
    auto& sessions = vehicle.sessions;
    const Timestamp t = sample.time;
    auto later = std::ranges::find_if(sessions, [&](const Session& s) { return s.first > t; });
    auto earlier = later == sessions.begin() ? sessions.end() : std::prev(later);
    const bool has_earlier = earlier != sessions.end(), has_later = later != sessions.end();
    if (has_earlier && t <= earlier->last) return &*earlier;

    const bool forward = has_earlier && earlier->ended != Ended::off && t - earlier->last <= settings_.timeout;
    const bool backward = has_later && later->first - t <= settings_.timeout;
    if (forward && backward) {
      merge(*earlier, *later);
      sessions.erase(later);
    }
    if (forward) return &*earlier;
    if (backward) return &*later;
    if (has_later || !may_start) return nullptr;

    if (has_earlier && earlier->ended == Ended::no) {
      earlier->ended = Ended::gap;
      earlier->over_at = sample.arrival + settings_.wait;
    }
    Session fresh;
    fresh.first = fresh.last = t;
    fresh.first_arrival = sample.arrival;
    fresh.first_is_on = is_on(sample);
    return &sessions.emplace_back(fresh);
  }

  static void merge(Session& earlier, Session& later) {
    earlier.samples.insert(earlier.samples.end(), later.samples.begin(), later.samples.end());
    earlier.last = later.last;
    earlier.first_arrival = std::min(earlier.first_arrival, later.first_arrival);
    earlier.ended = later.ended;
    earlier.over_at = later.over_at;
    earlier.real = earlier.real || later.real;
    earlier.started = earlier.started || later.started;
  }

  void keep(Vehicle& vehicle, Session& session, const Sample& sample) {
    const auto same = std::ranges::find_if(session.samples, [&](const Held& held) {
      return held.sample.field == sample.field && held.sample.time == sample.time;
    });
    if (same == session.samples.end()) {
      session.samples.push_back({sample});
    } else {
      same->sample.value = sample.value;
      same->compacted = false;
    }
    if (sample.time < session.first || (sample.time == session.first && is_session_field(sample.field))) {
      session.first_is_on = is_on(sample);
    }
    session.first = std::min(session.first, sample.time);
    session.last = std::max(session.last, sample.time);
    session.real = session.real || !is_off(sample);
    const auto [newest, fresh] = vehicle.newest.try_emplace(sample.field, sample.time);
    newest->second = std::max(newest->second, sample.time);
    compact(vehicle);
  }

  /// Ends the last session at an off; what it has beyond becomes a session of its own.
  void split(Vehicle& vehicle, const Sample& off) {
    Session& session = vehicle.sessions.back();
    Session rest;
    rest.first = end_of_time;
    rest.last = session.last;
    rest.first_arrival = session.first_arrival;
    rest.real = true;
    for (const Sample& s : memory(vehicle, session)) {
      if (s.time > off.time) rest.first = std::min(rest.first, s.time);
    }
    rest.first_is_on = std::ranges::any_of(memory(vehicle, session),
                                           [&](const Sample& s) { return s.time == rest.first && is_on(s); });
    const auto beyond =
        std::ranges::partition(session.samples, [&](const Held& h) { return h.sample.time <= off.time; });
    rest.samples.assign(beyond.begin(), beyond.end());
    session.samples.erase(beyond.begin(), beyond.end());
    session.last = off.time;
    session.ended = Ended::off;
    session.over_at = off.arrival + settings_.wait;
    if (!rest.samples.empty()) vehicle.sessions.push_back(std::move(rest));
  }

  // --- Bounds
  // ----------------------------------------------------------------------------------------------------------

  /// What a vehicle need remember of a session: of each field the newest sample at or before the last closed tick, and
  /// everything later that was not compacted.
  static std::vector<Sample> memory(const Vehicle& vehicle, const Session& session) {
    std::map<std::string, Sample> before;
    std::vector<Sample> out;
    for (const Held& held : session.samples) {
      if (vehicle.closed && held.sample.time <= *vehicle.closed) {
        const auto [it, fresh] = before.try_emplace(held.sample.field, held.sample);
        if (!fresh && held.sample.time > it->second.time) it->second = held.sample;
      } else if (!held.compacted) {
        out.push_back(held.sample);
      }
    }
    for (const auto& [field, sample] : before) out.push_back(sample);
    return out;
  }

  bool counts(const Vehicle& vehicle, const Held& held) const {
    return !held.compacted && (!vehicle.closed || held.sample.time > *vehicle.closed);
  }

  std::size_t pending(const Vehicle& vehicle) const {
    std::size_t n = 0;
    for (const Session& session : vehicle.sessions) {
      n += static_cast<std::size_t>(
          std::ranges::count_if(session.samples, [&](const Held& h) { return counts(vehicle, h); }));
    }
    return n;
  }

  /// Keeps a vehicle below max_pending samples: closes its oldest tick; where the oldest session has none left and
  /// waits for its own late samples, that is over first. The operator does so at 65,533 waiting ticks or samples of one
  /// field too, which would take this one a day.
  void relieve(const std::string& key) {
    while (vehicles_.contains(key) && pending(vehicles_.at(key)) > settings_.max_pending) {
      Vehicle& vehicle = vehicles_.at(key);
      const auto tick = next_tick(vehicle, vehicle.sessions.front());
      if (!tick && vehicle.sessions.size() == 1) return;
      ++out_.counters["forced"];
      tick ? close_tick(key, vehicle, *tick) : end_session(key, vehicle);
      do_everything_due(now_);
    }
  }

  /// Between two ticks no row can show more of a field than its first and its last sample.
  void compact(Vehicle& vehicle) const {
    for (Session& session : vehicle.sessions) {
      std::map<std::pair<std::string, Timestamp>, std::vector<Held*>> groups;
      for (Held& held : session.samples) {
        if (counts(vehicle, held))
          groups[{held.sample.field, tick_at_or_after(held.sample.time, settings_.every)}].push_back(&held);
      }
      for (auto& [id, group] : groups) {
        std::ranges::sort(group, {}, [](const Held* held) { return held->sample.time; });
        for (std::size_t i = 1; i + 1 < group.size(); ++i) group[i]->compacted = true;
      }
    }
  }

  const JoinSettings& settings_;
  std::map<std::string, Vehicle> vehicles_;
  Timestamp now_ = no_time;
  Joined out_;
};

}  // namespace

Joined window_join(const std::vector<Input>& inputs, const JoinSettings& settings) {
  return Join{settings}.run(inputs);
}

}  // namespace weir::reference
