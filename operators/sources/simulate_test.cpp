#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <set>

#include "fakes/simulation.hpp"

namespace weir {
Operator weir_operator_codecs_text();

namespace {

using fakes::Changes;
using fakes::new_year;
using fakes::object;
using fakes::Seen;
using fakes::settings_with;
using fakes::Simulation;
using fakes::small;
using fakes::Story;
using fakes::text;
using fakes::trips;
using fakes::with;

TEST(Simulate, TheSameSeedMakesTheSameStreamHoweverItIsRead) {
  const Changes faulty = small(
      {{"faults", object({})}, {"link", object({{"every", Duration{5 * second}}, {"for", Duration{3 * second}}})}});
  const auto once = Simulation{faulty}.open().read().lines;
  EXPECT_GT(once.size(), 150u);
  EXPECT_EQ(once, Simulation{faulty}.open().read(SIZE_MAX, {.messages = 7, .bytes = 3000}).lines);
  EXPECT_EQ(once, Simulation{faulty}.open().read(SIZE_MAX, {.messages = 1, .bytes = 1}).lines);
  EXPECT_NE(once, Simulation{with(faulty, {{"seed", std::int64_t{2}}})}.open().read().lines);
}

TEST(Simulate, GoesOnAfterAnyPosition) {
  for (const Changes& more :
       {Changes{}, Changes{{"frame", Duration{0}}}, Changes{{"subject", text("v.{key}.x.{field}.y")}}}) {
    const Changes faulty =
        with(small({{"faults", object({})}, {"link", object({{"every", Duration{5 * second}}})}}), more);
    const auto all = Simulation{faulty}.open().read().lines;
    ASSERT_GT(all.size(), 150u);
    for (std::size_t after = 1; after < all.size(); after = after * 3 / 2 + 1) {
      const auto rest = Simulation{faulty}.open(after).read().lines;
      EXPECT_TRUE(std::ranges::equal(rest, std::span{all}.subspan(after))) << after;
    }
    Simulation beyond{faulty};
    EXPECT_EQ(beyond.source->open(all.size() + 1).error().kind, Error::Kind::changed);
  }
}

TEST(Simulate, EverySensorIsInOrderAtItsRate) {
  const Story run = (Simulation{small({{"for", Duration{60 * second}}})}.open().read());
  EXPECT_EQ(run.counted.at("published"), run.seen.size());
  EXPECT_EQ(run.counted.at("missing"), 0u);
  for (const auto& [field, least, most] :
       {std::tuple{"position", 55, 60}, {"speed", 265, 310}, {"charge", 5, 8}, {"power", 1, 1}}) {
    for (const char* key : {"1", "5"}) {
      const auto samples = run.of(key, field);
      EXPECT_GE(samples.size(), std::size_t(least)) << field;
      EXPECT_LE(samples.size(), std::size_t(most)) << field;
      EXPECT_TRUE(std::ranges::is_sorted(samples, {}, &std::pair<Timestamp, double>::first)) << field;
      EXPECT_GE(samples.front().first, new_year);
      EXPECT_LT(samples.back().first, new_year + 60 * second);
    }
  }
  for (const Seen& s : run.seen) EXPECT_LT(s.time, s.arrival);
}

TEST(Simulate, VehiclesAndSensorsAndFramesDoNotInteract) {
  const auto positions = Simulation{small()}.open().read().of("3", "position");
  ASSERT_GT(positions.size(), 20u);
  const Changes changes[] = {
      {{"vehicles", std::int64_t{50}}},
      {{"frame", Duration{0}}},
      {{"frame", Duration{7 * second}}},
      {{"subject", text("vehicle.{key}.{field}")}},
      {{"sensors", object({{"speed", object({{"rate", 20.0}})}, {"torque", object({{"rate", 0.0}})}})}}};
  for (const Changes& more : changes)
    EXPECT_EQ(positions, Simulation{with(small(), more)}.open().read().of("3", "position"));
}

TEST(Simulate, FramesAndSubjectsCarryTheSameSamples) {
  const Changes base = with(small({{"for", Duration{90 * second}}}), trips);
  const auto samples = Simulation{base}.open().read().samples();
  EXPECT_EQ(samples, Simulation{with(base, {{"frame", Duration{0}}})}.open().read().samples());
  EXPECT_EQ(samples, Simulation{with(base, {{"frame", Duration{40 * second}}})}.open().read().samples());
  const Story by_field = (Simulation{with(base, {{"subject", text("fleet.{key}.now.{field}.v1")}})}.open().read());
  EXPECT_EQ(samples, by_field.samples());
  EXPECT_THAT(by_field.lines, testing::Contains(testing::HasSubstr(" fleet.1.now.speed.v1 ")));
}

TEST(Simulate, PositionIntegratesSpeedAndHeading) {
  const Story run = (Simulation{small({{"vehicles", std::int64_t{20}},
                                       {"for", Duration{300 * second}},
                                       {"sensors", object({{"position", object({{"rate", 10.0}})},
                                                           {"speed", object({{"rate", 10.0}, {"jitter", 0.0}})}})}})}
                         .open()
                         .read());
  double fastest = 0;
  for (int vehicle = 1; vehicle <= 20; ++vehicle) {
    std::vector<Seen> places;
    for (const Seen& s : run.seen) {
      if (s.key == std::to_string(vehicle) && s.field == "position") places.push_back(s);
    }
    const auto speeds = run.of(std::to_string(vehicle), "speed");
    double way = 0, driven = 0;
    for (std::size_t i = 1; i < places.size(); ++i) {
      way += std::hypot((places[i].x - places[i - 1].x) * 111'320, (places[i].y - places[i - 1].y) * 111'320 * 0.6085);
    }
    for (const auto& [time, speed] : speeds) {
      driven += speed / 3.6 / 10;
      fastest = std::max(fastest, speed);
      EXPECT_GE(speed, 0);
    }
    EXPECT_NEAR(way, driven, 5 + driven / 50);
    EXPECT_GT(way, 300);
  }
  EXPECT_GT(fastest, 40);
  EXPECT_LT(fastest, 120);
}

TEST(Simulate, TripsBeginAndEndWithPower) {
  const Story run = (Simulation{with(small({{"for", Duration{200 * second}}}), trips)}.open().read());
  const auto power = run.of("2", "power");
  ASSERT_GE(power.size(), 6u);
  for (std::size_t i = 0; i < power.size(); ++i) EXPECT_EQ(power[i].second, i % 2 == 0 ? 1 : 0);
  for (const auto& [time, speed] : run.of("2", "speed")) {
    const auto after = std::ranges::upper_bound(power, time, {}, &std::pair<Timestamp, double>::first);
    ASSERT_NE(after, power.begin());
    EXPECT_EQ(std::prev(after)->second, 1) << "a sample of a parked vehicle";
  }
}

TEST(Simulate, ChargeFallsWhileDriving) {
  const Story run = (Simulation{small({{"for", Duration{1200 * second}}, {"park", Duration{0}}})}.open().read());
  for (const char* key : {"1", "2", "3"}) {
    const auto charge = run.of(key, "charge");
    EXPECT_LT(charge.back().second, charge.front().second - 0.3);
    EXPECT_GT(charge.back().second, charge.front().second - 20);
    for (const auto& [time, temperature] : run.of(key, "temperature"))
      EXPECT_THAT(temperature, testing::AllOf(testing::Ge(15), testing::Le(300)));
  }
}

TEST(Simulate, FaultsAreAccountedFor) {
  const Changes base = with(small({{"vehicles", std::int64_t{100}}, {"for", Duration{60 * second}}}), trips);
  for (const Duration frame : {Duration{0}, second}) {
    const Story clean = (Simulation{with(base, {{"frame", frame}})}.open().read());
    const Story run = (Simulation{with(base, {{"frame", frame}, {"faults", object({})}})}.open().read());
    const auto all = static_cast<double>(clean.seen.size());
    EXPECT_EQ(clean.seen.size(), run.counted.at("published") + run.counted.at("missing"));
    EXPECT_EQ(run.seen.size(), run.counted.at("published") + run.counted.at("repeated"));
    EXPECT_NEAR(static_cast<double>(run.counted.at("missing")) / all, 0.1 + 0.9 * 0.01, 0.01);
    EXPECT_NEAR(static_cast<double>(run.counted.at("zeroed")) / all, 0.9 * 0.1, 0.01);
    EXPECT_NEAR(static_cast<double>(run.counted.at("late")) / all, 0.9 * (0.3 + 0.05), 0.02);
    EXPECT_NEAR(static_cast<double>(run.counted.at("repeated")) / all, 0.9 * 0.01, 0.005);
    std::map<std::pair<std::string, std::string>, Timestamp> newest;
    std::size_t behind = 0;
    for (const Seen& s : run.seen) {
      auto& last = newest[{s.key, s.field}];
      behind += s.time < last;
      last = std::max(last, s.time);
    }
    EXPECT_GT(behind, run.seen.size() / 20);
  }
}

TEST(Simulate, ALostLinkDelaysSamplesAndLosesNone) {
  const Changes base = small({{"vehicles", std::int64_t{1}}, {"for", Duration{120 * second}}});
  const Story clean = (Simulation{base}.open().read());
  const Changes lossy =
      with(base, {{"link", object({{"every", Duration{30 * second}}, {"for", Duration{10 * second}}})}});
  const Story run = (Simulation{lossy}.open().read());
  EXPECT_EQ(clean.samples(), run.samples());
  Duration longest = 0;
  std::map<std::string, Timestamp> newest;
  for (const Seen& s : run.seen) {
    longest = std::max(longest, s.arrival - s.time);
    EXPECT_GE(s.time, newest[s.field]) << s.field;
    newest[s.field] = s.time;
  }
  EXPECT_GT(longest, 5 * second);
  EXPECT_LT(longest, 17 * second);
}

TEST(Simulate, SilenceIsMarkedAndTheStreamRunsOnBeforeItEnds) {
  Simulation run{
      small({{"vehicles", std::int64_t{1}}, {"for", Duration{20 * second}}, {"linger", Duration{3 * second}}})};
  run.open();
  Timestamp last = new_year, last_message = 0;
  for (;;) {
    const auto pulled = run.source->pull({}, {});
    ASSERT_TRUE(pulled);
    if (pulled->state == Pulled::State::end) break;
    for (const Message& message : pulled->messages->items) {
      EXPECT_LE(message.arrival - last, 100 * millisecond);
      last = message.arrival;
      if (!message.marker) last_message = message.arrival;
    }
    run.keep(*pulled->messages);
  }
  EXPECT_EQ(last, last_message + 3 * second);
  EXPECT_GT(run.markers, 150u);
  EXPECT_EQ(run.source->pull({}, {})->state, Pulled::State::end);
}

TEST(Simulate, PacesMessagesByTheClock) {
  Simulation run{small({{"speed", text("60x")}, {"for", Duration{120 * second}}})};
  run.open();
  const Timestamp begin = run.clock.now();
  for (;;) {
    const Timestamp before = run.clock.now();
    const auto pulled = run.source->pull({.wait = 20 * millisecond}, {});
    ASSERT_TRUE(pulled);
    EXPECT_LE(run.clock.now() - before, 20 * millisecond);
    if (pulled->state == Pulled::State::end) break;
    if (pulled->state == Pulled::State::idle) continue;
    run.keep(*pulled->messages);
    EXPECT_LE((run.arrival - begin) / 60, run.clock.now() - begin);
  }
  EXPECT_NEAR(static_cast<double>(run.clock.now() - begin), 130e9 / 60, 0.2e9);
  EXPECT_GE(run.seen.front().time, begin);
}

TEST(Simulate, OnlyAFixedStartCanBeReplayed) {
  const auto claims = [](const Changes& changes) {
    return weir_operator_sources_simulate().spec.claims_of(settings_with(changes));
  };
  EXPECT_TRUE(claims({}).replayable);
  EXPECT_FALSE(claims({}).finite);
  EXPECT_FALSE(claims({{"speed", text("1x")}}).replayable);
  EXPECT_TRUE(claims({{"speed", text("1x")}, {"start", text("2026-01-01T00:00:00Z")}}).replayable);
  Simulation restarted{small({{"speed", text("1x")}})};
  restarted.open(1000).read(1);
  EXPECT_EQ(restarted.last, 1001u);
  EXPECT_GE(restarted.arrival, restarted.clock.now() - second);
  Simulation later{small({{"start", text("2030-05-01T00:00:00Z")}})};
  later.open().read(1);
  EXPECT_NEAR(static_cast<double>(later.arrival), 1'903'824'000e9, 1e9);
}

TEST(Simulate, SaysWhenTheEncodingCannotHoldTheSamples) {
  Simulation run{small(), weir_operator_codecs_text()};
  run.open();
  Result<Pulled> pulled = Pulled{};
  while (pulled && pulled->state != Pulled::State::end) pulled = run.source->pull({}, {});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().kind, Error::Kind::invalid);
  EXPECT_EQ(pulled.error().setting, "encoding");
}

TEST(Simulate, ChecksItsSettings) {
  const auto problems = [](const Changes& changes) {
    std::vector<std::string> out;
    for (const Error& error : weir_operator_sources_simulate().spec.problems_of(settings_with(changes)))
      out.push_back(error.setting);
    return out;
  };
  EXPECT_THAT(problems({}), testing::IsEmpty());
  for (const char* speed : {"", "x", "fast", "0x", "-1x", "1", "1xx", "1e3x"})
    EXPECT_THAT(problems({{"speed", text(speed)}}), testing::ElementsAre("speed"));
  EXPECT_THAT(problems({{"start", text("yesterday")}}), testing::ElementsAre("start"));
  for (const char* subject : {"vehicle", "{field}.{key}"})
    EXPECT_THAT(problems({{"subject", text(subject)}}), testing::ElementsAre("subject"));
}

}  // namespace
}  // namespace weir
