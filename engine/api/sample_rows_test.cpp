#include <weir/sample_rows.hpp>

#include <gtest/gtest.h>

#include <cmath>

#include "fakes/context.hpp"

namespace weir {
namespace {

using fakes::SampleBatch;
using Kind = SampleValue::Kind;

TEST(SampleRows, ReadsEachRowAsWhatItSays) {
  fakes::FakeContext context;
  const auto batch = SampleBatch{context}
                         .number("a", "speed", 1, 7, 10)
                         .add({"a", "position", 2, 48, 11, 500, "", Sample::Kind::point}, 10)
                         .add({"a", "position", 3, 48, 11, std::nan(""), "", Sample::Kind::point}, 10)
                         .add({"a", "state", 4, 0, 0, 0, "on", Sample::Kind::text}, 10)
                         .take();
  const SampleRows rows{*batch};
  EXPECT_FALSE(rows.all_numbers());
  EXPECT_TRUE(rows.is_number(0) && !rows.is_number(1) && !rows.is_number(3));
  EXPECT_EQ(rows.value(0).kind, Kind::number);
  EXPECT_EQ(rows.value(0).x, 7);
  EXPECT_EQ(rows.value(1).kind, Kind::point);
  EXPECT_EQ(rows.value(1).y, 11);
  EXPECT_EQ(rows.value(1).z, 500);
  EXPECT_TRUE(std::isnan(rows.value(2).z));
  EXPECT_EQ(rows.value(3).kind, Kind::text);
  EXPECT_EQ(rows.value(3).text, "on");
  EXPECT_TRUE(rows.timed(3));
  EXPECT_EQ(rows.time(3), 4);
}

TEST(SampleRows, NumbersAloneNeedNoOtherColumns) {
  fakes::FakeContext context;
  const auto batch = SampleBatch{context}.number("a", "speed", 1, 7, 10).take();
  const SampleRows rows{*batch};
  EXPECT_TRUE(rows.all_numbers() && rows.all_timed() && rows.has_x(0));
  EXPECT_FALSE(rows.has_y(0) || rows.has_text(0));
}

TEST(SampleRows, WithoutTimesNoRowIsTimed) {
  fakes::FakeContext context;
  auto batch = std::make_shared<Batch>(*SampleBatch{context}.number("a", "speed", 1, 7, 10).take());
  batch->columns[samples::time] = {};
  const SampleRows rows{*batch};
  EXPECT_FALSE(rows.all_timed() || rows.timed(0));
}

TEST(KeyRuns, BeginWhereKeyOrArrivalChanges) {
  fakes::FakeContext context;
  const auto batch = SampleBatch{context}
                         .number("a", "speed", 1, 7, 10)
                         .number("a", "charge", 2, 7, 10)
                         .number("a", "speed", 1, 7, 11)
                         .number("b", "speed", 1, 7, 11)
                         .number("b", "charge", 1, 7, 11)
                         .number("a", "speed", 1, 7, 11)
                         .take();
  const SampleRows rows{*batch};
  KeyRuns runs;
  runs.find(rows);
  ASSERT_EQ(runs.size(), 4u);
  const std::vector<std::size_t> begins{0, 2, 3, 5};
  for (std::size_t run = 0; run < 4; ++run) {
    EXPECT_EQ(runs.begin(run), begins[run]);
    EXPECT_EQ(runs.end(run), run == 3 ? 6 : begins[run + 1]);
  }
  EXPECT_EQ(runs.key(1), runs.key(3));
  EXPECT_NE(runs.key(1), runs.key(2));
  EXPECT_EQ(runs.in_rows(12), 8u);
  const auto one = SampleBatch{context}.number("a", "speed", 1, 7, 12).take();
  runs.find(SampleRows{*one});  // a shorter one after it
  EXPECT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs.end(0), 1u);
}

}  // namespace
}  // namespace weir
