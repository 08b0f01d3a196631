#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_window_join();

namespace {

using fakes::FakeContext;
using fakes::FakeOutput;
using fakes::SampleBatch;

/// The settings of the tests, and what they may change.
struct Options {
  Duration every = second, wait = 2 * second, disorder = 0, timeout = 30 * second;
  std::int64_t max_pending = 65536;
  std::vector<FieldDemand> demand = {{"a", FieldKind::number}, {"p", FieldKind::point}, {"t", FieldKind::text}};
  Duration forget = 24 * 60 * minute;
  bool session = true;
};

Settings settings_of(const Options& o) {
  Settings s{"rows"};
  for (const auto& [name, value] : {std::pair{"every", o.every},
                                    {"wait", o.wait},
                                    {"disorder", o.disorder},
                                    {"max_ahead", 5 * second},
                                    {"max_behind", 24 * 60 * minute},
                                    {"max_pending", o.max_pending}}) {
    s.set(name, std::int64_t{value});
  }
  if (!o.session) return s;
  auto session = std::make_shared<Settings>("rows");
  session->set("field", std::string{"power"});
  session->set("on", 1.0);
  session->set("off", 0.0);
  session->set("timeout", std::int64_t{o.timeout});
  s.set("session", std::shared_ptr<const Settings>{session});
  return s;
}

/// A transform with all around it; what it sends is kept as text, port by port.
class Joined {
 public:
  explicit Joined(Options options = {}) : options_{std::move(options)}, context{options_.demand} {
    context.forget_after = options_.forget;
    make();
  }

  void feed(const BatchPtr& in) {
    FakeOutput out{context};
    ASSERT_TRUE(join->process(0, in, out));
    for (const auto& [port, batch] : out.emitted) write(*batch, texts.at(port));
    for (const auto& [row, reason] : out.refused) texts[3] += reason + "\n";
  }
  void mark(Timestamp reached) { feed(SampleBatch{context}.take(reached)); }

  /// Goes on in a new instance with the state of the old one.
  void restart() {
    StateWriter out;
    join->save(out);
    make();
    const std::string bytes = out.take();
    StateReader in{bytes};
    ASSERT_TRUE(join->load(in));
    ASSERT_TRUE(in.ok() && in.at_end());
  }

  std::string state() const {
    StateWriter out;
    join->save(out);
    return out.take();
  }

 private:
  Options options_;

 public:
  FakeContext context;
  std::unique_ptr<Transform> join;
  std::array<std::string, 4> texts;  ///< brackets, late, sessions, refused

 private:
  void make() {
    const Operator op = weir_operator_transforms_window_join();
    join = op.make_transform(settings_of(options_), context);
    ASSERT_TRUE(join->settle({samples::schema()}));
  }

  static void write(const Batch& batch, std::string& to) {
    std::ostringstream out;
    for (std::size_t row = 0; row < batch.rows; ++row) {
      out << batch.arrival[row];
      for (const Column& column : batch.columns) {
        out << ' ';
        if (!column.valid(row)) {
          out << '-';
        } else if (column.type() == Type::float64) {
          out << column.float64s()[row];
        } else if (column.type() == Type::timestamp) {
          out << column.int64s()[row];
        } else {
          out << column.text(row);
        }
      }
      out << '\n';
    }
    to += out.str();
  }
};

/// A stream with everything that goes wrong in one: a few vehicles, gaps, bursts, offs, disorder, repeats, silence.
class Stream {
 public:
  Stream(unsigned seed, FakeContext& context) : random_{seed}, context_{context} {}

  BatchPtr batch(int rows) {
    SampleBatch out{context_};
    for (int i = 0; i < rows; ++i) add(out);
    return out.take(arrival_ + (pick(10) == 0 ? 3 * second : 0));
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  void add(SampleBatch& out) {
    arrival_ += pick(3) == 0 ? pick(20) * 50 * millisecond : 0;
    if (pick(120) == 0) arrival_ += pick(60) * second;
    const int vehicle = pick(3);
    Timestamp& clock = clocks_.at(static_cast<std::size_t>(vehicle));
    if (pick(6) == 0) clock += pick(8) * 100 * millisecond;
    if (pick(25) == 0) clock = arrival_ - pick(20) * second;
    clock = std::min(clock, arrival_ + 4 * second);
    const Timestamp time = clock - (pick(8) == 0 ? pick(50) * 100 * millisecond : 0);
    const std::string key{"xyz"[vehicle]};
    const auto x = static_cast<double>(pick(4));
    switch (pick(9)) {
      case 0:
      case 1:
      case 2:
        out.number(key, "a", time, x, arrival_);
        break;
      case 3:
      case 4:
        out.add({key, "p", time, x, 1, pick(2) == 0 ? 5 : std::nan(""), {}, Sample::Kind::point}, arrival_);
        break;
      case 5:
        out.add({key, "t", time, 0, 0, 0, pick(2) == 0 ? "on" : "off", Sample::Kind::text}, arrival_);
        break;
      case 6:
        out.number(key, "power", time, pick(5) == 0 ? 0 : 1, arrival_);
        break;
      case 7:
        out.number(key, "a", time + (pick(5) == 0 ? minute : 0), pick(5) == 0 ? std::nan("") : x, arrival_);
        break;
      default:
        out.number(key, "unknown", time, x, arrival_);
    }
  }

  std::mt19937 random_;
  FakeContext& context_;
  Timestamp arrival_ = 1000 * second;
  std::array<Timestamp, 3> clocks_{1000 * second, 1000 * second, 1000 * second};
};

std::vector<Options> all_options() {
  return {{},
          {.wait = 0},
          {.every = 100 * millisecond, .timeout = 2 * second},
          {.every = minute, .timeout = 3 * second},
          {.disorder = second, .timeout = 5 * second, .forget = 20 * second},
          {.max_pending = 6},
          {.every = 500 * millisecond, .demand = {{"power", FieldKind::number}, {"a", FieldKind::number}}},
          {.session = false}};
}

TEST(WindowJoin, TheCutOfBatchesNeverShows) {
  for (const Options& options : all_options()) {
    Joined whole{options};
    Stream stream{11, whole.context};
    std::vector<BatchPtr> batches;
    for (int i = 0; i < 30; ++i) batches.push_back(stream.batch(100));
    for (const auto& batch : batches) whole.feed(batch);
    ASSERT_GT(whole.texts[0].size(), 400u);
    ASSERT_GT(whole.texts[1].size(), 100u);
    ASSERT_GT(whole.texts[2].size(), 100u);
    ASSERT_GT(whole.texts[3].size(), 100u);
    for (const std::size_t cut : {1u, 2u, 7u}) {
      Joined parts{options};
      Stream same{11, parts.context};
      for (int i = 0; i < 30; ++i) {
        const auto batch = same.batch(100);
        for (std::size_t at = 0; at < batch->rows; at += cut)
          parts.feed(fakes::slice(*batch, at, std::min(batch->rows, at + cut)));
      }
      EXPECT_EQ(parts.texts, whole.texts) << cut;
      EXPECT_EQ(parts.context.counted("late"), whole.context.counted("late"));
      EXPECT_EQ(parts.state(), whole.state());
    }
  }
}

TEST(WindowJoin, CarriesOnFromItsSavedStateAtEveryMessage) {
  for (const Options& options : all_options()) {
    Joined straight{options}, restarted{options};
    Stream left{5, straight.context}, right{5, restarted.context};
    for (int i = 0; i < 700; ++i) {
      straight.feed(left.batch(1));
      restarted.feed(right.batch(1));
      restarted.restart();
      ASSERT_EQ(straight.texts, restarted.texts) << i;
      ASSERT_EQ(straight.state(), restarted.state()) << i;
    }
    EXPECT_EQ(straight.context.counted("forced"), restarted.context.counted("forced"));
    EXPECT_EQ(straight.join->due(), restarted.join->due());
  }
}

TEST(WindowJoin, RefusesADamagedState) {
  Joined whole;
  Stream stream{3, whole.context};
  whole.feed(stream.batch(60));
  const std::string state = whole.state();
  for (std::size_t length = 0; length < state.size(); ++length) {
    Joined other;
    Stream again{3, other.context};
    again.batch(60);  // only to know the same keys
    StateReader in{std::string_view{state}.substr(0, length)};
    EXPECT_FALSE(other.join->load(in)) << length;
  }
}

TEST(WindowJoin, LoadsAStateOfOtherColumns) {
  Joined before{{.demand = {{"a", FieldKind::number}, {"p", FieldKind::point}, {"t", FieldKind::text}}}};
  const auto feed = [](Joined& to, Timestamp time, Timestamp arrival) {
    to.feed(SampleBatch{to.context}
                .number("k", "a", time, 1, arrival)
                .add({"k", "p", time, 2, 3, 4, {}, Sample::Kind::point}, arrival)
                .add({"k", "t", time, 0, 0, 0, "on", Sample::Kind::text}, arrival)
                .take());
  };
  feed(before, 99'500 * millisecond, 100 * second);
  const std::string state = before.state();
  Joined after{{.demand = {{"t", FieldKind::text}, {"b", FieldKind::number}, {"p", FieldKind::point}}}};
  for (std::uint32_t id = 0; id < before.context.keys()->size(); ++id)
    after.context.keys()->intern(before.context.keys()->at(id));
  StateReader in{state};
  ASSERT_TRUE(after.join->load(in));
  ASSERT_TRUE(in.ok() && in.at_end());
  feed(after, 100'500 * millisecond, 101 * second);
  after.mark(103 * second);
  EXPECT_EQ(after.texts[0],
            "102000000000 k 100000000000 99500000000 on 100500000000 on - - - - "
            "99500000000 2 100500000000 2 3 4 3 4\n");
}

TEST(WindowJoin, ABurstOfOneVehicleIsLinear) {
  Joined join{{.demand = {{"a", FieldKind::number}, {"b", FieldKind::number}}}};
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
  Joined join{{.demand = {{"a", FieldKind::number}}, .forget = minute}};
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
                .take());
  EXPECT_EQ(
      join.texts[3],
      "not a finite number\nevent time is ahead of arrival by more than max_ahead\n"
      "event time is behind arrival by more than max_behind\nnot a point, but the columns want one\n"
      "not a text, but the columns want one\nnot a finite number\nnot a number or point, but the columns want one\n");
  EXPECT_EQ(join.join->size().keys, 0u);
}

TEST(WindowJoin, TimesFarFromTodayAreOnlyTimes) {
  Joined join{{.every = 60 * minute, .demand = {{"a", FieldKind::number}}, .forget = INT64_MAX}};
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
  for (std::uint32_t row = 0; row < batch->rows; ++row) copy->message_of_row.push_back(one_message ? 0 : row / 2);
  return copy;
}

TEST(WindowJoin, RefusesWhatWouldMakeTooManyRowsOfOneMessage) {
  constexpr int vehicles = 5000;
  const auto rows_of = [](Joined& join) { return std::ranges::count(join.texts[0], '\n'); };
  Joined spread{{.demand = {{"a", FieldKind::number}}}};
  spread.feed(pairs_with_gaps(spread.context, vehicles, false));
  spread.mark(200 * second);
  EXPECT_EQ(rows_of(spread), vehicles * 30);
  EXPECT_EQ(spread.texts[3], "");

  Joined crowded{{.demand = {{"a", FieldKind::number}}}};
  crowded.feed(pairs_with_gaps(crowded.context, vehicles, true));
  crowded.mark(200 * second);
  const std::int64_t taken = 100'000 / 29;
  EXPECT_EQ(rows_of(crowded), taken * 30 + (vehicles - taken));
  EXPECT_EQ(std::ranges::count(crowded.texts[3], '\n'), vehicles - taken);
  EXPECT_TRUE(crowded.texts[3].starts_with("gaps of its message would make more than 100000 rows\n"));
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

TEST(WindowJoin, SettlesOnlyWhatItCanDo) {
  FakeContext context;
  const Operator op = weir_operator_transforms_window_join();
  const auto settled = op.make_transform(settings_of({}), context)->settle({samples::schema()});
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().setting, "fields");
  context.demand_of_sinks = {{"power", FieldKind::text}};
  EXPECT_EQ(op.make_transform(settings_of({}), context)->settle({samples::schema()}).error().setting, "session.field");
  context.demand_of_sinks = {{"power", FieldKind::number}};
  EXPECT_EQ(op.make_transform(settings_of({}), context)->settle({brackets::schema({})}).error().setting, "from");
  const auto schemas = op.make_transform(settings_of({}), context)->settle({samples::schema()});
  ASSERT_TRUE(schemas);
  EXPECT_EQ(schemas->size(), 1 + op.spec.ports.size());
}

}  // namespace
}  // namespace weir
