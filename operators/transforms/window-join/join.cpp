#include "transforms/window-join/join.hpp"

#include <algorithm>
#include <utility>

namespace weir::window_join {
namespace {
constexpr std::uint16_t state_version = 3;
}

Join::Join(const Rules& rules, const Slots& slots, const Dictionary& keys)
    : samples_{slots.kinds},
      rows{slots.fields, samples_},
      rules_{rules},
      slots_{slots},
      timers_{keys},
      forgets_{keys} {}

/// The tick that ends before the interval of `time`: the greatest multiple of `every` below it.
Timestamp Join::interval_before(Timestamp time) {
  if (time <= interval_ || time - interval_ > rules_.every) {
    Duration past = time % rules_.every;
    if (past <= 0) past += rules_.every;
    interval_ = time - past;
  }
  return interval_;
}

Timestamp Join::tick_at_or_before(Timestamp time) {
  const Timestamp before = interval_before(time);
  return time == before + rules_.every ? time : before;
}

std::vector<Session>& Join::unpack(const Vehicle& v) {
  scratch_.clear();
  if (v.sessions != 0) scratch_.push_back(v.now);
  if (v.later != nullptr) scratch_.insert(scratch_.end(), v.later->begin(), v.later->end());
  return scratch_;
}

void Join::pack(Vehicle& v, const std::vector<Session>& sessions) {
  v.sessions = static_cast<std::uint16_t>(sessions.size());
  if (!sessions.empty()) v.now = sessions.front();
  if (sessions.size() < 2) {
    delete std::exchange(v.later, nullptr);
    return;
  }
  if (v.later == nullptr) v.later = new std::vector<Session>;
  v.later->assign(sessions.begin() + 1, sessions.end());
}

/// Finds the next tick of the earliest session, and which of its fields have passed it.
void Join::count_fields(Vehicle& v) {
  v.now.known = v.now.behind = 0;
  if (v.sessions == 0) return;
  v.tick = interval_before(std::max(v.now.first, v.closed + 1)) + rules_.every;
  for (std::size_t slot = 1; slot <= slots_.fields.size(); ++slot) count_field(v, slot);
}

void Join::count_field(Vehicle& v, std::size_t slot) const {
  if (HeldSamples::count(v, slot) == 0 || samples_.time(v, slot, 0) > v.now.last) return;
  ++v.now.known;
  if (samples_.newest(v, slot) < v.tick + rules_.disorder) ++v.now.behind;
}

std::optional<Session> Join::latest(std::uint32_t key) const {
  const Vehicle* v = key < samples_.size() ? samples_[key] : nullptr;
  if (v == nullptr || v->sessions == 0) return {};
  if (v->sessions > 1) {
    const auto last = std::ranges::find_if(v->later->rbegin(), v->later->rend(), &Session::real);
    if (last != v->later->rend()) return *last;
  }
  return v->now.real ? std::optional{v->now} : std::nullopt;
}

void Join::save(StateWriter& state) const {
  state.put(state_version);
  state.put(static_cast<std::uint16_t>(slots_.kinds.size()));
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    state.put_text(slots_.name(slot));
    state.put(slots_.kind(slot));
  }
  state.put(rules_.every);
  state.put(now_);
  for (std::uint32_t key = 0; key < samples_.size(); ++key) {
    Vehicle* v = samples_[key];
    if (v == nullptr) continue;
    state.put(key);
    state.put(v->last_arrival);
    for (const Timestamp time : {v->closed, v->over, v->next_reach}) state.put(time);
    state.put(v->sessions);
    for (std::size_t i = 0; i < v->sessions; ++i) {
      const Session& s = i == 0 ? v->now : (*v->later)[i - 1];
      for (const Timestamp time : {s.first, s.last, s.first_arrival, s.over_at}) state.put(time);
      state.put(s.ended);
      for (const bool flag : {s.real, s.started, s.first_on}) state.put(flag);
    }
    samples_.save(state, *v);
  }
  state.put(no_key);
}

bool Join::load(StateReader& state, std::uint32_t keys) {
  if (state.get<std::uint16_t>() != state_version) return false;
  // The columns of the sinks may have changed since: fields that are no longer wanted are read and left. So may the
  // rules: all that is kept holds under any, except that reaches are of ticks.
  std::vector<HeldSamples::Stored> fields;
  for (auto n = state.get<std::uint16_t>(); n > 0 && state.ok(); --n) {
    const std::uint16_t slot = slots_.of(state.get_text());
    const auto kind = state.get<FieldKind>();
    if (kind > FieldKind::text) return false;
    fields.push_back({slot != Slots::none && slots_.kind(slot) == kind ? slot : HeldSamples::nowhere, kind});
  }
  const bool aligned = state.get<Duration>() == rules_.every;
  now_ = state.get<Timestamp>();
  while (state.ok()) {
    const auto key = state.get<std::uint32_t>();
    if (key == no_key) break;
    if (key >= keys || !load_vehicle(state, key, fields, aligned)) return false;
  }
  refresh();
  return state.ok();
}

bool Join::load_vehicle(StateReader& state, std::uint32_t key, const std::vector<HeldSamples::Stored>& fields,
                        bool aligned) {
  expect(key + 1);
  if (samples_[key] != nullptr) return false;
  add(key, state.get<Timestamp>());
  Vehicle*& v = samples_[key];
  for (Timestamp* time : {&v->closed, &v->over, &v->next_reach}) *time = state.get<Timestamp>();
  const auto count = state.get<std::uint16_t>();
  if (count == Vehicle::most_sessions) return false;
  std::vector<Session> sessions;
  Timestamp newest = v->over;
  for (std::size_t i = 0; i < count && state.ok(); ++i) {
    Session& s = sessions.emplace_back();
    for (Timestamp* time : {&s.first, &s.last, &s.first_arrival, &s.over_at}) *time = state.get<Timestamp>();
    s.ended = state.get<Session::Ended>();
    for (bool* flag : {&s.real, &s.started, &s.first_on}) *flag = state.get<std::uint8_t>() != 0;
    const bool ends_well = s.ended == Session::Ended::no ? i + 1 == count : s.ended <= Session::Ended::gap;
    if (s.first <= newest || s.last < s.first || !ends_well) return false;
    newest = s.last;
  }
  pack(*v, sessions);
  if (!samples_.load(state, v, fields) || !align_reaches(v, newest, aligned)) return false;
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    v->held += static_cast<std::uint32_t>(HeldSamples::count(*v, slot) - samples_.upper_bound(*v, slot, v->closed));
    note_pair(*v, slot);
  }
  count_fields(*v);
  set(*v, key, timer_of(*v));
  return state.ok();
}

/// Sees to it that there is a reach for every tick that may still close; false if one should be there and is not. After
/// `every` has changed, all count from the vehicle's last sample.
bool Join::align_reaches(Vehicle*& v, Timestamp newest, bool aligned) {
  const Timestamp closed = std::max(v->closed, v->over);
  if (!aligned) {
    samples_.drop_reaches(*v, end_of_time);
    v->next_reach = no_time;
    if (newest != no_time) note_reach(v, newest);
  }
  if (newest == no_time || tick_at_or_before(newest) <= closed) return true;
  const std::size_t n = HeldSamples::reaches(*v);
  return n != 0 && samples_.reach_tick(*v, n - 1) >= tick_at_or_before(newest);
}

}  // namespace weir::window_join
