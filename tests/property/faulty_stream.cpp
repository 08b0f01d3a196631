#include "property/faulty_stream.hpp"

#include <algorithm>
#include <ostream>
#include <random>

#include <weir/format.hpp>

namespace weir::property {
namespace {

using Random = std::mt19937_64;

int between(Random& random, int least, int most) { return std::uniform_int_distribution{least, most}(random); }
bool chance(Random& random, double probability) { return std::bernoulli_distribution{probability}(random); }

/// Removes events as long as the script still fails, then makes what is left simpler.
rc::Gen<Script> shrinking(std::function<Script(Random&, int size)> make) {
  return rc::Gen<Script>{[make](const rc::Random& seed, int size) {
    rc::Random copy = seed;
    Random random{copy.next()};
    return rc::shrinkable::shrinkRecur(make(random, size), [](const Script& script) {
      return rc::seq::concat(rc::shrink::removeChunks(script), rc::shrink::eachElement(script, [](const Event& event) {
                               std::vector<Event> simpler;
                               const auto with = [&](int Event::* member, int value) {
                                 if (event.*member == value) return;
                                 Event changed = event;
                                 changed.*member = value;
                                 simpler.push_back(changed);
                               };
                               with(&Event::vehicle, 0);
                               if (event.field > speed && event.field != power) with(&Event::field, speed);
                               if (event.field != power) with(&Event::value, 0);
                               with(&Event::time, event.arrival);
                               return rc::seq::fromContainer(simpler);
                             }));
    });
  }};
}

Script collide(Random& random, int size) {
  Script script;
  const int length = between(random, 0, 4 + size / 2), spread = between(random, 5, 60), step = between(random, 0, 12);
  const int vehicles = between(random, 1, 2), most_field = between(random, speed, unused);
  int arrival = between(random, 0, 500);
  for (int i = 0; i < length; ++i) {
    arrival += chance(random, 0.5) ? 0 : between(random, 0, step);
    if (chance(random, 0.02)) arrival += between(random, 50, 300);
    Event event{arrival, between(random, 0, vehicles - 1), between(random, speed, most_field), 0,
                between(random, 0, 9)};
    if (chance(random, 0.25)) event.field = power;
    if (event.field == power) event.value = chance(random, 0.4) ? 0 : between(random, 1, 2);
    event.time = arrival + (chance(random, 0.8) ? between(random, -spread, 0) : between(random, -2 * spread, 10));
    if (chance(random, 0.05)) event.field = -1;
    script.push_back(event);
  }
  return script;
}

/// What one vehicle measures between on and off, before anything goes wrong.
Script drive(Random& random, int vehicle, int from, int to, const std::vector<int>& periods, bool says_on) {
  Script out;
  if (says_on) out.push_back({0, vehicle, power, from, 1});
  for (int field = speed; field <= mode; ++field) {
    const int period = periods[static_cast<std::size_t>(field)];
    if (field == power || period == 0) continue;
    const int dead = chance(random, 0.1) ? between(random, from, to) : to;  // from then on the sensor says nothing
    for (int time = from + between(random, 0, period); time <= dead; time += period) {
      out.push_back({0, vehicle, field, std::clamp(time + between(random, -1, 1), from, to), between(random, 0, 9)});
    }
  }
  out.push_back({0, vehicle, power, to, 0});
  return out;
}

/// When the messages arrive: late by a latency, or after a tunnel in a burst, some twice, some never, some overtaken.
Script send(Random& random, Script measured, double faults) {
  Script out;
  const int latency = between(random, 0, 5);
  const int tunnel = chance(random, 0.5) ? between(random, 0, 400) : -1, tunnel_end = tunnel + between(random, 0, 200);
  const bool sensor_by_sensor = chance(random, 0.5);
  for (Event event : measured) {
    if (chance(random, faults / 2)) continue;
    event.arrival = event.time + latency;
    if (event.time >= tunnel && event.time < tunnel_end)
      event.arrival = tunnel_end + (sensor_by_sensor ? event.field : 0);
    if (chance(random, faults)) event.arrival += between(random, 0, 40);
    if (event.field == power && chance(random, 2 * faults)) event.arrival += between(random, 0, 150);
    if (chance(random, faults / 3)) event.value = 0;
    out.push_back(event);
    if (chance(random, faults / 2)) {
      event.arrival += between(random, 0, 60);
      if (event.field != power && chance(random, 0.3)) event.value = between(random, 0, 9);  // corrected
      out.push_back(event);
    }
  }
  return out;
}

Script fleet(Random& random, int size) {
  Script script;
  const int vehicles = between(random, 1, 3);
  for (int vehicle = 0; vehicle < vehicles; ++vehicle) {
    std::vector<int> periods;
    for (int field = speed; field <= mode; ++field) periods.push_back(chance(random, 0.4) ? 0 : between(random, 3, 40));
    const double faults = chance(random, 0.2) ? 0 : 0.2;
    int time = between(random, 0, 50);
    for (int trip = between(random, 1, 3); trip > 0; --trip) {
      const int end = time + between(random, 5, 20 + 2 * size);
      const Script sent = send(random, drive(random, vehicle, time, end, periods, chance(random, 0.7)), faults);
      script.insert(script.end(), sent.begin(), sent.end());
      time = end + between(random, 1, chance(random, 0.3) ? 8 : 120);  // a short stop, whose off may come after it
    }
  }
  std::ranges::stable_sort(script, {}, &Event::arrival);
  if (!script.empty() && chance(random, 0.5))
    script.push_back({script.back().arrival + between(random, 0, 400), 0, -1, 0, 0});
  return script;
}

reference::Sample sample_of(const Event& event) {
  reference::Sample out;
  out.key = "v" + std::to_string(event.vehicle);
  out.field = field_names()[static_cast<std::size_t>(event.field)];
  out.time = event.time * unit;
  out.arrival = event.arrival * unit;
  out.value.x = event.field == power ? event.value : event.value * 0.7;
  if (event.field == position) {
    out.value.x = 52 + event.value * 0.001;
    out.value.y = 13 - event.value * 0.002;
    if (event.value % 3 != 0) out.value.z = event.value * 1.1;
  } else if (event.field == mode) {
    out.value.x = 0;
    out.value.text = "mode" + std::to_string(event.value);
  }
  return out;
}

}  // namespace

const std::vector<std::string>& field_names() {
  static const std::vector<std::string> names{"speed", "charge", "power", "position", "mode", "unused"};
  return names;
}

std::vector<reference::Input> inputs_of(const Script& script) {
  Script ordered = script;
  std::ranges::stable_sort(ordered, {}, &Event::arrival);
  std::vector<reference::Input> out;
  for (const Event& event : ordered) {
    if (event.field < 0) {
      out.push_back({std::nullopt, event.arrival * unit});
    } else {
      out.push_back({sample_of(event), event.arrival * unit});
    }
  }
  return out;
}

rc::Gen<Script> colliding_script() { return shrinking(collide); }
rc::Gen<Script> fleet_script() { return shrinking(fleet); }

rc::Gen<Plan> any_plan() {
  return rc::gen::exec([] {
    const auto one_of = [](std::initializer_list<int> units) {
      return *rc::gen::elementOf(std::vector<int>(units)) * unit;
    };
    Plan plan;
    reference::JoinSettings& join = plan.join;
    join.every = one_of({10, 1, 2, 7, 50, 360'000});
    join.wait = one_of({20, 0, 1, 5, 200});
    join.disorder = one_of({0, 0, 1, 5});
    if (*rc::gen::arbitrary<bool>()) join.session = reference::SessionSettings{"power", 1, 0};
    join.timeout = join.session ? one_of({50, 1, 4, 10, 20, 3000}) : 30 * second;
    join.max_ahead = one_of({500, 0, 3});
    join.max_behind = one_of({8'640'000, 30, 100});
    join.forget = one_of({8'640'000, 5, 60, 150});
    join.max_pending = *rc::gen::element<std::size_t>(65536, 1, 2, 5, 10);
    plan.power_is_wanted = *rc::gen::arbitrary<bool>();
    join.fields = {"speed", "position", "mode", "charge"};
    if (plan.power_is_wanted) join.fields.emplace_back("power");
    plan.cuts =
        *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::element<std::size_t>(1, 2, 7, 1000)));
    plan.restarts = *rc::gen::nonEmpty<std::vector<bool>>();
    return plan;
  });
}

void showValue(const Script& script, std::ostream& os) {
  os << "\narrival key field time value\n";
  for (const reference::Input& input : inputs_of(script)) {
    if (!input.sample) {
      os << weir::format("{:7} -\n", input.reached / unit);
      continue;
    }
    const reference::Sample& s = *input.sample;
    os << weir::format("{:7} {} {} {} {}\n", s.arrival / unit, s.key, s.field, s.time / unit,
                       s.value.text.value_or(weir::format("{}", s.value.x)));
  }
}

void showValue(const Plan& plan, std::ostream& os) {
  const reference::JoinSettings& join = plan.join;
  os << weir::format(
      "every {} wait {} disorder {} timeout {} session {} max_ahead {} max_behind {} forget {} max_pending {} power "
      "{}\ncuts",
      join.every / unit, join.wait / unit, join.disorder / unit, join.timeout / unit, join.session.has_value(),
      join.max_ahead / unit, join.max_behind / unit, join.forget / unit, join.max_pending, plan.power_is_wanted);
  for (const std::size_t cut : plan.cuts) os << ' ' << cut;
  os << " restarts";
  for (const bool restart : plan.restarts) os << ' ' << restart;
  os << '\n';
}

}  // namespace weir::property
