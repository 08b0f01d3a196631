#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_keyed_last_value();

namespace {

using fakes::FakeContext;
using fakes::FakeOutput;
using fakes::SampleBatch;

struct LastValueTest : testing::Test {
  std::unique_ptr<Transform> make() { return op.make_transform(Settings{"last"}, context); }

  /// What passes, as the numbers of the rows that were kept; checks that nothing was copied if all were.
  std::vector<double> pass(Transform& last, const BatchPtr& in) {
    FakeOutput out{context};
    EXPECT_TRUE(last.process(0, in, out));
    EXPECT_EQ(out.emitted.size(), 1u);
    const BatchPtr& batch = out.emitted.at(0).second;
    if (batch->rows == in->rows) {
      EXPECT_EQ(batch, in);
    }
    const auto x = batch->columns[samples::x].float64s();
    return {x.begin(), x.end()};
  }

  Operator op = weir_operator_transforms_keyed_last_value();
  FakeContext context;
};

TEST_F(LastValueTest, DropsOnlyWhatSaysTheSameAgain) {
  const auto last = make();
  const auto in = SampleBatch{context}
                      .number("a", "speed", 10, 1, 100)
                      .number("a", "speed", 10, 1, 100)   // a repeat
                      .number("a", "speed", 10, 2, 100)   // another value at the same time: kept instead
                      .number("a", "speed", 10, 1, 100)   // and back
                      .number("a", "speed", 9, 1, 100)    // older
                      .number("a", "speed", 9, 1, 100)    // a repeat, but not of the one that is kept
                      .number("b", "speed", 10, 1, 100)   // another key
                      .number("a", "charge", 10, 1, 100)  // another field
                      .number("a", "speed", 10, 1, 101)   // a repeat later
                      .take();
  EXPECT_EQ(pass(*last, in), (std::vector<double>{1, 2, 1, 1, 1, 1, 1}));
  EXPECT_EQ(context.counted("repeats"), 2u);
}

TEST_F(LastValueTest, ComparesWholeValues) {
  const auto last = make();
  using enum Sample::Kind;
  const double unknown = std::nan("");
  SampleBatch in{context};
  in.add({"a", "position", 1, 48, 11, 500, "", point}, 1).add({"a", "position", 1, 48, 11, 500, "", point}, 1);
  in.add({"a", "position", 1, 48, 11, unknown, "", point}, 1).add({"a", "position", 1, 48, 11, unknown, "", point}, 1);
  in.add({"a", "position", 1, 48, 12, unknown, "", point}, 1);
  in.add({"a", "state", 1, 0, 0, 0, "on", text}, 1).add({"a", "state", 1, 0, 0, 0, "on", text}, 1);
  in.add({"a", "state", 1, 0, 0, 0, "off", text}, 1);
  in.add({"a", "position", 1, 48}, 1).add({"a", "position", 1, 48}, 1);  // turns into a number
  in.add({"a", "state", 1, 0, 0, 0, "off", text}, 1).add({"a", "state", 2, 48, 11, 500, "", point}, 1);
  in.add({"a", "state", 2, 48, 11, 500, "", point}, 1).add({"a", "position", 1, 48}, 1);
  in.number("a", "bad", 1, unknown, 1).number("a", "bad", 1, unknown, 1);
  pass(*last, in.take());
  EXPECT_EQ(context.counted("repeats"), 8u);
}

TEST_F(LastValueTest, KeepsManyFieldsOfAKey) {
  const auto last = make();
  for (int round = 0; round < 2; ++round) {
    SampleBatch in{context};
    for (int i = 0; i < 300; ++i) {
      const auto name = std::to_string(i * 7 % 300);
      if (i % 3 == 0)
        in.add({.key = "a", .field = name, .time = 5, .x = 1.0 * i, .y = 2, .kind = Sample::Kind::point}, 9);
      if (i % 3 == 1) in.add({.key = "a", .field = name, .time = 5, .text = name, .kind = Sample::Kind::text}, 9);
      if (i % 3 == 2) in.number("a", name, 5, i, 9);
    }
    EXPECT_EQ(pass(*last, in.take()).size(), round == 0 ? 300u : 0u);
  }
}

TEST_F(LastValueTest, RefusesFieldsBeyondItsBoundAndGoesOn) {
  const auto last = make();
  SampleBatch in{context};
  for (std::uint32_t i = 0; i <= samples::most_fields; ++i) in.number("a", "f" + std::to_string(i), 5, i, 9);
  in.number("a", "f0", 6, -1, 9);
  FakeOutput out{context};
  ASSERT_TRUE(last->process(0, in.take(), out));
  ASSERT_EQ(out.refused.size(), 1u);
  EXPECT_EQ(out.refused[0], (std::pair<std::size_t, std::string>{4096, "too_many_fields: the limit is 4096"}));
  EXPECT_EQ(out.emitted.at(0).second->rows, samples::most_fields + 1);
}

TEST_F(LastValueTest, ForgetsAKeyThatWasSilentForLong) {
  context.forget_after = 100;
  const auto last = make();
  const auto once = [&](Timestamp arrival) {
    return pass(*last, SampleBatch{context}.number("a", "speed", 10, 1, arrival).take()).size();
  };
  EXPECT_EQ(once(100), 1u);
  EXPECT_EQ(once(199), 0u);
  EXPECT_EQ(once(299), 1u);  // 100 later: a key like any new one
  EXPECT_EQ(pass(*last, SampleBatch{context}.number("b", "speed", 10, 1, 500).take()).size(), 1u);
  EXPECT_EQ(last->size().keys, 1u);
}

TEST_F(LastValueTest, CarriesOnFromItsSavedState) {
  std::mt19937 random{7};
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  auto straight = make();
  auto restarted = make();
  std::uint64_t passed = 0;
  for (int step = 0; step < 400; ++step) {
    SampleBatch in{context};
    for (int i = pick(6); i >= 0; --i) {
      const std::string key{static_cast<char>('a' + pick(3))}, field{static_cast<char>('p' + pick(12))};
      const auto kind = static_cast<Sample::Kind>(pick(3));
      in.add({key, field, pick(3), pick(2) * 1.0, 1, std::nan(""), pick(2) == 0 ? "on" : "off", kind}, step);
    }
    const auto batch = in.take();
    StateWriter out;
    restarted->save(out);
    restarted = make();
    const auto bytes = out.take();
    StateReader state{bytes};
    ASSERT_TRUE(restarted->load(state));
    ASSERT_TRUE(state.ok() && state.at_end());
    FakeOutput left{context}, right{context};
    ASSERT_TRUE(straight->process(0, batch, left));
    ASSERT_TRUE(restarted->process(0, batch, right));
    ASSERT_EQ(left.emitted[0].second->rows, right.emitted[0].second->rows) << step;
    passed += batch->rows - left.emitted[0].second->rows;
  }
  EXPECT_GT(passed, 50u);
}

TEST_F(LastValueTest, RefusesADamagedState) {
  const auto last = make();
  pass(*last, SampleBatch{context}.number("a", "speed", 10, 1, 1).number("b", "speed", 10, 1, 1).take());
  StateWriter out;
  last->save(out);
  for (std::size_t length = 0; length < out.bytes().size(); ++length) {
    StateReader state{std::string_view{out.bytes()}.substr(0, length)};
    EXPECT_FALSE(make()->load(state)) << length;
  }
}

TEST_F(LastValueTest, TakesFewBytesForANumber) {
  const auto last = make();
  SampleBatch in{context};
  for (int key = 0; key < 20000; ++key) {
    for (int field = 0; field < 8; ++field) in.number(std::to_string(key), std::to_string(field), 1, key, 1);
  }
  pass(*last, in.take());
  EXPECT_LE(last->size().bytes / (20000 * 8), 36u);  // a slab that is not full counts wholly
}

}  // namespace
}  // namespace weir
