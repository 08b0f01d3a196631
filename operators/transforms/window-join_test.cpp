#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "fakes/joined.hpp"

namespace weir {
namespace {

using fakes::FakeContext;
using fakes::Joined;
using fakes::SampleBatch;
using fakes::settings_of;

TEST(WindowJoin, ABurstOfOneVehicleIsLinear) {
  Joined join{{.projection = {{"a", FieldKind::number}, {"b", FieldKind::number}}}};
  const int seconds = 10'000;
  SampleBatch in{join.context};
  for (const char* field : {"a", "b"}) {
    for (int i = 0; i < 5 * seconds; ++i) in.number("k", field, i * 200 * millisecond, i, seconds * second);
  }
  const std::size_t empty = join.join->size().bytes;
  join.feed(in.take());
  join.mark((seconds + 2) * second);
  EXPECT_EQ(std::ranges::count(join.texts[0], '\n'), seconds);
  EXPECT_EQ(join.context.counted("late"), 0u);
  join.mark((seconds + 3) * second + 24 * 60 * minute);
  EXPECT_EQ(join.join->size().keys, 0u);
  EXPECT_LT(join.join->size().bytes, empty + (4u << 20));
}

/// Neighbours that are swapped are not the usual way of things; a tunnel must not cost more for them.
TEST(WindowJoin, ABurstOutOfOrderIsLinearToo) {
  const int seconds = 20'000;
  const auto processor_time = [&](bool swapped) {
    Joined join{{.projection = {{"a", FieldKind::number}}}};
    const std::clock_t begin = std::clock();
    for (int i = 0; i < seconds; ++i) {
      SampleBatch in{join.context};
      in.number("k", "a", (swapped ? i ^ 1 : i) * second + 500 * millisecond, i, seconds * second);
      join.feed(in.take());
    }
    join.mark((seconds + 2) * second);
    EXPECT_EQ(std::ranges::count(join.texts[0], '\n'), seconds - 1);
    return std::clock() - begin;
  };
  EXPECT_LT(processor_time(true), 20 * processor_time(false));
}

TEST(WindowJoin, AColumnThatNoSampleIsForIsToldOfOnce) {
  Joined join{{.projection = {{"velocity", FieldKind::number}}, .session = false}};
  for (int i = 0; i < 3'000; ++i) {
    SampleBatch in{join.context};
    in.number("k", i % 2 == 0 ? "speed" : "charge", i * second, i, i * second);
    join.feed(in.take());
  }
  ASSERT_EQ(join.context.warnings.size(), 1u);
  EXPECT_EQ(join.context.warnings[0], "no sample of \"velocity\" so far; fields that came: \"charge\", \"speed\"");
}

/// As a misspelt column does it, which nothing else shows.
TEST(WindowJoin, WhereNoSampleFitsAnyColumnFewTellOfIt) {
  Joined join{{.projection = {{"sped", FieldKind::number}}, .session = false}};
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(join.context.warnings.empty(), i * 500 * millisecond <= 5 * second) << i;
    SampleBatch in{join.context};
    in.number("k", "speed", i * 500 * millisecond, i, i * 500 * millisecond);
    join.feed(in.take());
  }
  EXPECT_EQ(join.context.warnings,
            std::vector<std::string>{"no sample of \"sped\" so far; fields that came: \"speed\""});
}

TEST(WindowJoin, ASlowSensorHasAMinuteToSpeak) {
  for (const Timestamp first : {59 * second, 62 * second}) {
    Joined join{{.projection = {{"a", FieldKind::number}, {"slow", FieldKind::number}}, .session = false}};
    for (int i = 0; i < 6'500; ++i) {
      SampleBatch in{join.context};
      in.number("k", "a", i * 10 * millisecond, i, i * 10 * millisecond);
      if (i * 10 * millisecond == first) in.number("k", "slow", first, 1, first);
      join.feed(in.take());
    }
    EXPECT_EQ(join.context.warnings.size(), first > minute ? 1u : 0u);
  }
}

TEST(WindowJoin, SessionsTooShortForATickAreCountedAndToldOf) {
  Joined join{{.every = minute, .projection = {{"a", FieldKind::number}}}};
  for (int i = 1; i <= 150; ++i) {
    SampleBatch in{join.context};
    in.number("k", "a", i * minute + second, i, i * minute + second);
    join.feed(in.take());
  }
  join.mark(200 * minute);
  EXPECT_GE(join.context.counted("empty_sessions"), 149u);
  ASSERT_EQ(join.context.warnings.size(), 1u);
  EXPECT_TRUE(join.context.warnings[0].starts_with("100 sessions without a row: none had a tick of 1m"))
      << join.context.warnings[0];
}

TEST(WindowJoin, TellsTheLatestSessionOfAVehicle) {
  Joined join{{.wait = minute}};
  SampleBatch in{join.context};
  for (const int at : {1, 2}) in.number("k", "a", at * second, at, 2 * second);
  in.number("off", "power", second, 0, 2 * second);
  join.feed(in.take());
  const auto session = [&](const char* key) { return join.join->session(*join.context.keys()->find(key)); };
  ASSERT_TRUE(session("k"));
  EXPECT_EQ(session("k")->first, second);
  EXPECT_EQ(session("k")->newest, 2 * second);
  EXPECT_FALSE(session("k")->ended);
  EXPECT_FALSE(session("off")) << "an off alone is no session";
  EXPECT_FALSE(join.join->session(99));

  // The later of two that are not yet over; then switched off.
  SampleBatch more{join.context};
  for (const int at : {50, 51}) more.number("k", "a", at * second, at, 51 * second);
  join.feed(more.take());
  EXPECT_EQ(session("k")->first, 50 * second);
  join.restart();
  EXPECT_EQ(session("k")->newest, 51 * second);
  SampleBatch off{join.context};
  off.number("k", "power", 52 * second, 0, 52 * second);
  join.feed(off.take());
  EXPECT_TRUE(session("k")->ended);

  // An off behind a gap is none, so the latest is the one that the gap ended.
  SampleBatch gap{join.context};
  gap.number("g", "a", 20 * second, 1, 60 * second).number("g", "power", 60 * second, 0, 60 * second);
  join.feed(gap.take());
  ASSERT_TRUE(session("g"));
  EXPECT_EQ(session("g")->newest, 20 * second);
  EXPECT_TRUE(session("g")->ended);
  join.mark(10 * minute);
  EXPECT_FALSE(session("k"));
}

/// What is the same however batches are cut and whenever the lane starts again: a burst with more samples of one field,
/// more ticks and more samples in all than a vehicle holds.
TEST(WindowJoin, ABurstBeyondWhatAVehicleHoldsClosesItsOldestTicks) {
  constexpr int samples = 70'000;
  for (const std::int64_t max_pending : {16'777'216, 65'536, 1'000}) {
    const fakes::JoinOptions options{
        .every = 10 * millisecond, .max_pending = max_pending, .projection = {{"a", FieldKind::number}}};
    Joined whole{options}, parts{options};
    SampleBatch all{whole.context};
    for (int from = 0; from < samples; from += 1'000) {
      SampleBatch part{parts.context};
      for (int i = from; i < from + 1'000; ++i) {
        for (SampleBatch* to : {&all, &part}) to->number("k", "a", i * 10 * millisecond, i, 700 * second);
      }
      parts.feed(part.take());
      if (from % 10'000 == 0) parts.restart();
    }
    whole.feed(all.take());
    const auto early_closed_ticks = static_cast<std::uint64_t>(samples - std::min<std::int64_t>(max_pending, 65'533));
    EXPECT_EQ(whole.context.counted("early_closed_ticks"), early_closed_ticks) << max_pending;
    EXPECT_EQ(std::ranges::count(whole.texts[0], '\n'), early_closed_ticks);
    for (Joined* join : {&whole, &parts}) join->mark(702 * second);
    EXPECT_EQ(std::ranges::count(whole.texts[0], '\n'), samples);
    EXPECT_EQ(whole.context.counted("late"), 0u);
    EXPECT_EQ(whole.texts[3], "");
    EXPECT_EQ(parts.texts, whole.texts);
    EXPECT_EQ(parts.context.counted("early_closed_ticks"), early_closed_ticks);
  }
}

TEST(WindowJoin, ASessionThatIsDoneEndsBeforeAVehicleHoldsTooMuch) {
  Joined join{{.wait = minute, .timeout = 2 * second, .max_pending = 4}};
  SampleBatch in{join.context};
  for (const int at : {1, 2, 10, 11, 12, 13, 14, 15}) in.number("k", "a", at * second, at, 15 * second);
  join.feed(in.take());
  EXPECT_EQ(join.context.counted("early_closed_ticks"), 5u);  // four ticks, and what keeps the two sessions apart
  EXPECT_EQ(std::ranges::count(join.texts[0], '\n'), 4);
  EXPECT_EQ(join.texts[2],
            "15000000000 k start sample 1000000000\n15000000000 k end timeout 2000000000\n"
            "15000000000 k start sample 10000000000\n");
  EXPECT_EQ(join.texts[1] + join.texts[3], "");
}

TEST(WindowJoin, AFastSensorTakesNoMoreMemoryThanASlowOne) {
  Joined slow, fast;
  for (const auto& [join, steps] : {std::pair{&slow, 4}, {&fast, 20'000}}) {
    for (int i = 0; i < 5; ++i) {
      SampleBatch in{join->context};
      for (int step = 0; step < steps; ++step)
        in.number("k", "a", i * second + second * step / steps, step, (i + 1) * second);
      join->feed(in.take());
    }
  }
  EXPECT_EQ(slow.join->size().bytes, fast.join->size().bytes);
  EXPECT_EQ(slow.state().size(), fast.state().size());
}

TEST(WindowJoin, IsDueWhenItSays) {
  Joined join{{.projection = {{"a", FieldKind::number}}, .forget = minute}};
  EXPECT_EQ(join.join->due(), std::nullopt);
  join.feed(SampleBatch{join.context}.number("k", "a", 100'500 * millisecond, 1, 101 * second).take());
  EXPECT_EQ(join.join->due(), 161 * second);  // no tick to close yet: forgotten in a minute
  join.feed(SampleBatch{join.context}.number("k", "a", 101'200 * millisecond, 2, 102 * second).take());
  EXPECT_EQ(join.join->due(), 103 * second);  // the fields of a session are known after its first `wait`
  join.mark(103 * second - 1);
  EXPECT_EQ(join.texts[0], "");
  join.mark(103 * second);
  EXPECT_EQ(join.texts[0], "103000000000 k 101000000000 100500000000 1 101200000000 2\n");
  EXPECT_EQ(join.join->due(), 162 * second);
  join.mark(162 * second);
  EXPECT_EQ(join.texts[2], "103000000000 k start sample 100500000000\n162000000000 k end lost 101200000000\n");
  EXPECT_EQ(join.join->due(), std::nullopt);
}

TEST(WindowJoin, RefusesWhatItCannotTrust) {
  Joined join;
  const auto nan = std::nan("");
  join.feed(SampleBatch{join.context}
                .number("k", "a", 100, INFINITY, 100)
                .number("k", "a", 100 + 5 * second + 1, 1, 100)
                .number("k", "a", 100 - 24 * 60 * minute - 1, 1, 100)
                .number("k", "p", 100, 1, 100)
                .number("k", "t", 100, 1, 100)
                .add({"k", "p", 100, 1, nan, nan, {}, Sample::Kind::point}, 100)
                .add({"k", "a", 100, 0, 0, 0, "one", Sample::Kind::text}, 100)
                .add({"k", "a", 100, 0, 0, 0, "20.5", Sample::Kind::text}, 100)
                .add({"k", "a", 100, 1, 2, nan, {}, Sample::Kind::point}, 100)
                .take());
  EXPECT_EQ(join.texts[3],
            "not_finite: a is the number inf\nahead_of_arrival: by more than max_ahead\n"
            "behind_arrival: by more than max_behind\n"
            "not_a_point: p is the number 1; a column with \"fill\": \"geo\" needs lat and lon\n"
            "not_a_text: t is the number 1\n"
            "not_finite: p is the point 1, nan\n"
            "not_a_number: a is the text \"one\"; "
            "a column with \"fill\": \"step\", \"type\": \"text\" holds texts\n"
            "not_a_number: a is the text \"20.5\"; "
            "\"text_numbers\": true in a json encoding reads it as a number\n"
            "not_a_number: a is the point 1, 2; a column with \"fill\": \"geo\" holds points\n");
  EXPECT_EQ(join.join->size().keys, 0u);
}

TEST(WindowJoin, SuspectsTheUnitOfATimeThatIsAPowerOfAThousandTooSmall) {
  Joined join;
  const Timestamp now = 1'767'225'600 * second;
  join.feed(SampleBatch{join.context}
                .number("k", "a", now / second, 1, now)
                .number("k", "a", now / millisecond, 1, now)
                .number("k", "a", now / microsecond - 60 * minute / 1000, 1, now)
                .number("k", "a", now / microsecond * 9 / 10, 1, now)
                .number("k", "a", 0, 1, now)
                .take());
  const std::string behind = "behind_arrival: by more than max_behind";
  EXPECT_EQ(join.texts[3],
            behind + ": 1970-01-01T00:00:01.7672256Z is a billionth of the time since 1970; is \"time_unit\" right?\n" +
                behind +
                ": 1970-01-01T00:29:27.2256Z is a millionth of the time since 1970; is \"time_unit\" right?\n" +
                behind + ": 1970-01-21T10:53:42Z is a thousandth of the time since 1970; is \"time_unit\" right?\n" +
                behind + "\n" + behind + "\n");
}

TEST(WindowJoin, TimesFarFromTodayAreOnlyTimes) {
  Joined join{{.every = 60 * minute, .projection = {{"a", FieldKind::number}}, .forget = INT64_MAX}};
  const Timestamp last = INT64_MAX - 800 * 24 * 60 * minute;  // that arrival time comes to
  for (const Timestamp arrival : {INT64_MIN + 1, last - 120 * minute}) {
    const Timestamp hour = std::max<Timestamp>(arrival, 0) / (60 * minute) * 60 * minute;
    SampleBatch in{join.context};
    for (const Timestamp time : {INT64_MIN, hour - 1, hour, INT64_MAX}) in.number("k", "a", time, 1, arrival);
    join.feed(in.take());
    join.mark(arrival < 0 ? minute : INT64_MAX);
    EXPECT_EQ(std::ranges::count(join.texts[0], '\n'), arrival < 0 ? 1 : 2) << join.texts[0];
  }
  join.feed(SampleBatch{join.context}.number("k", "a", last, 1, INT64_MAX).take());
  EXPECT_EQ(std::ranges::count(join.texts[3], '\n'), 4) << join.texts[3];
}

/// Pairs of samples with a gap of 29 ticks between them, of as many vehicles, each pair in one message or all.
BatchPtr pairs_with_gaps(FakeContext& context, int vehicles, bool one_message) {
  SampleBatch out{context};
  for (int i = 0; i < vehicles; ++i) {
    const std::string key = std::to_string(i);
    out.number(key, "a", second, 0, 100 * second).number(key, "a", 30 * second, 29, 100 * second);
  }
  const BatchPtr batch = out.take();
  auto copy = std::make_shared<Batch>(*batch);
  for (std::uint32_t& message : copy->message_of_row) message = one_message ? 0 : message / 2;
  return copy;
}

TEST(WindowJoin, RefusesWhatWouldMakeTooManyRowsOfOneMessage) {
  constexpr int vehicles = 5000;
  const auto rows_of = [](Joined& join) { return std::ranges::count(join.texts[0], '\n'); };
  Joined spread{{.projection = {{"a", FieldKind::number}}}};
  spread.feed(pairs_with_gaps(spread.context, vehicles, false));
  spread.mark(200 * second);
  EXPECT_EQ(rows_of(spread), vehicles * 30);
  EXPECT_EQ(spread.texts[3], "");

  Joined crowded{{.projection = {{"a", FieldKind::number}}}};
  crowded.feed(pairs_with_gaps(crowded.context, vehicles, true));
  crowded.mark(200 * second);
  const std::int64_t taken = 100'000 / 29;
  EXPECT_EQ(rows_of(crowded), taken * 30 + (vehicles - taken));
  EXPECT_EQ(std::ranges::count(crowded.texts[3], '\n'), vehicles - taken);
  EXPECT_TRUE(crowded.texts[3].starts_with("too_many_gap_rows: "));
}

TEST(WindowJoin, ATimeoutOfTooManyTicksIsAMistake) {
  const auto problems = [](Duration every, Duration timeout) {
    return weir_operator_transforms_window_join().spec.problems_of(settings_of({.every = every, .timeout = timeout}));
  };
  EXPECT_TRUE(problems(second, 24 * 60 * minute).empty());
  const auto found = problems(10 * millisecond, 24 * 60 * minute);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].setting, "session.timeout");
  EXPECT_TRUE(found[0].message.contains("8640000 ticks")) << found[0].message;
}

TEST(WindowJoin, BindsOnlyWhatItCanDo) {
  FakeContext context;
  const Operator op = weir_operator_transforms_window_join();
  const auto bound = op.make_transform(settings_of({}), context)->bind_schema({samples::schema()});
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().setting, "fields");
  context.projection_of_sinks = {{"power", FieldKind::text}};
  EXPECT_EQ(op.make_transform(settings_of({}), context)->bind_schema({samples::schema()}).error().setting,
            "session.field");
  context.projection_of_sinks = {{"power", FieldKind::number}};
  EXPECT_EQ(op.make_transform(settings_of({}), context)->bind_schema({brackets::schema({})}).error().setting, "from");
  const auto schemas = op.make_transform(settings_of({}), context)->bind_schema({samples::schema()});
  ASSERT_TRUE(schemas);
  EXPECT_EQ(schemas->size(), 1 + op.spec.ports.size());
}

}  // namespace
}  // namespace weir
