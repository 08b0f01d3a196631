#include <gtest/gtest.h>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_filter();

namespace {

using fakes::FakeContext;
using fakes::FakeOutput;
using fakes::SampleBatch;

struct FilterTest : testing::Test {
  std::unique_ptr<Transform> make(std::string_view where) {
    Settings settings{"fast"};
    settings.set("where", std::make_shared<const Expression>(Expression::compile(where).value()));
    return op.make_transform(settings, context);
  }

  Error mistake(std::string_view where) { return make(where)->bind_schema({samples::schema()}).error_or(Error{}); }

  Operator op = weir_operator_transforms_filter();
  FakeContext context;
};

TEST_F(FilterTest, KeepsWhatIsTrueAndCountsTheRest) {
  const auto filter = make("field = 'speed' and x > 130");
  ASSERT_EQ(filter->bind_schema({samples::schema()}).value().at(0), samples::schema());
  FakeOutput out{context};
  const auto in = SampleBatch{context}
                      .number("a", "speed", 1, 131, 5)
                      .number("a", "charge", 1, 140, 6)
                      .number("b", "speed", 2, 130, 7)
                      .add({.key = "b", .field = "speed", .time = 3, .text = "?", .kind = Sample::Kind::text}, 8)
                      .number("b", "speed", 4, 150, 9)
                      .take(20);
  ASSERT_TRUE(filter->process(0, in, out));
  ASSERT_EQ(out.emitted.size(), 1U);
  const Batch& kept = *out.emitted[0].second;
  ASSERT_EQ(kept.rows, 2U);
  EXPECT_EQ(kept.column("x").float64s()[1], 150);
  EXPECT_EQ(kept.arrival, (std::vector<Timestamp>{5, 9}));
  EXPECT_EQ(kept.reached, 20);
  EXPECT_EQ(context.counted("filtered"), 3U);
}

TEST_F(FilterTest, SaysThatNothingPasses) {
  const auto filter = make("field = 'sped'");
  ASSERT_TRUE(filter->bind_schema({samples::schema()}));
  FakeOutput out{context};
  for (int i = 0; i < 1'001; ++i)
    ASSERT_TRUE(filter->process(0, SampleBatch{context}.number("a", "speed", 1, 131, 5).take(5), out));
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_EQ(context.warnings[0], "none of the first 1000 rows passed; is \"where\" what was meant?");
}

TEST_F(FilterTest, SaysNothingWhereOneRowPassed) {
  const auto filter = make("x > 130");
  ASSERT_TRUE(filter->bind_schema({samples::schema()}));
  FakeOutput out{context};
  for (int i = 0; i < 1'001; ++i)
    ASSERT_TRUE(filter->process(0, SampleBatch{context}.number("a", "speed", 1, i == 500 ? 131 : 0, 5).take(5), out));
  EXPECT_TRUE(context.warnings.empty());
}

TEST_F(FilterTest, ComparesWithTheRowBeforeAndRemembersIt) {
  const auto filter = make("coalesce(x <> previous(x), true)");
  ASSERT_TRUE(filter->bind_schema({samples::schema()}));
  FakeOutput out{context};
  ASSERT_TRUE(filter->process(
      0, SampleBatch{context}.number("a", "speed", 1, 5, 5).number("b", "speed", 1, 5, 5).take(5), out));
  EXPECT_EQ(out.emitted[0].second->rows, 2U);
  EXPECT_EQ(filter->size().keys, 2U);
  StateWriter state;
  filter->save(state);
  const auto again = make("coalesce(x <> previous(x), true)");
  ASSERT_TRUE(again->bind_schema({samples::schema()}));
  StateReader reader{state.bytes()};
  ASSERT_TRUE(again->load(reader));
  ASSERT_TRUE(
      again->process(0, SampleBatch{context}.number("a", "speed", 2, 5, 6).number("b", "speed", 2, 6, 6).take(6), out));
  ASSERT_EQ(out.emitted[1].second->rows, 1U);
  EXPECT_EQ(out.emitted[1].second->columns[samples::key].text(0), "b");
  StateReader broken{std::string_view{state.bytes()}.substr(0, 9)};
  const auto other = make("x > previous(x)");
  ASSERT_TRUE(other->bind_schema({samples::schema()}));
  EXPECT_FALSE(other->load(broken));
}

TEST_F(FilterTest, PassesMarkersAndWholeBatchesAsTheyAre) {
  const auto filter = make("x > 0");
  ASSERT_TRUE(filter->bind_schema({samples::schema()}));
  FakeOutput out{context};
  const auto all = SampleBatch{context}.number("a", "speed", 1, 1, 5).take();
  const auto none = SampleBatch{context}.number("a", "speed", 1, -1, 6).take(9);
  const auto marker = SampleBatch{context}.take(30);
  for (const auto& in : {all, none, marker}) ASSERT_TRUE(filter->process(0, in, out));
  ASSERT_EQ(out.emitted.size(), 3U);
  EXPECT_EQ(out.emitted[0].second, all);
  EXPECT_EQ(out.emitted[1].second->rows, 0U);
  EXPECT_EQ(out.emitted[1].second->reached, 9);
  EXPECT_EQ(out.emitted[2].second->reached, 30);
  EXPECT_EQ(context.counted("filtered"), 1U);
}

TEST_F(FilterTest, MistakesNameTheSettingAndThePlace) {
  const Error unknown = mistake("x > 1 and spede > 2");
  EXPECT_EQ(unknown.kind, Error::Kind::invalid);
  EXPECT_EQ(unknown.setting, "where");
  EXPECT_EQ(unknown.offset, 10U);
  EXPECT_TRUE(unknown.message.starts_with("unknown name \"spede\""));
  EXPECT_EQ(mistake("x + 1").setting, "where");
  EXPECT_TRUE(mistake("x + 1").message.contains("must be true or false"));
}

}  // namespace
}  // namespace weir
