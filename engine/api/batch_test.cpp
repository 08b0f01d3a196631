#include <weir/batch.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace weir {
namespace {

Validity validity_of(const std::vector<bool>& flags) {
  Validity out;
  for (std::size_t row = 0; row < flags.size(); ++row) out.push(flags[row], row);
  return out;
}

TEST(Validity, CostsNothingUntilTheFirstNull) {
  Validity valid;
  for (std::size_t row = 0; row < 100; ++row) valid.push(true, row);
  EXPECT_TRUE(valid.all());
  valid.push(false, 100);
  valid.push(true, 101);
  EXPECT_FALSE(valid.all());
  EXPECT_TRUE(valid[99]);
  EXPECT_FALSE(valid[100]);
  EXPECT_TRUE(valid[101]);
  EXPECT_EQ(valid.count(102), 101U);
}

TEST(Validity, PushClearAndCountAgreeOverWordBorders) {
  std::vector<bool> flags(200);
  for (std::size_t i = 0; i < flags.size(); ++i) flags[i] = i % 3 != 0;
  Validity valid = validity_of(flags);
  EXPECT_EQ(valid.count(200), 133U);
  EXPECT_EQ(valid.count(64), 42U);
  valid.clear(64, 200);
  EXPECT_FALSE(valid[64]);
  EXPECT_TRUE(valid[65]);
  EXPECT_EQ(valid.count(200), 132U);
  EXPECT_EQ(Validity::none(70).count(70), 0U);
}

TEST(Validity, SliceAndTakeKeepFlagsAndForgetThemWhenAllAreSet) {
  std::vector<bool> flags(150, true);
  flags[70] = false;
  const Validity valid = validity_of(flags);
  EXPECT_TRUE(valid.slice(0, 70).all());
  EXPECT_FALSE(valid.slice(65, 75)[5]);
  EXPECT_EQ(valid.slice(65, 75).count(10), 9U);
  const std::vector<std::uint32_t> rows{70, 1, 70};
  const Validity taken = valid.take(rows);
  EXPECT_FALSE(taken[0]);
  EXPECT_TRUE(taken[1]);
  EXPECT_FALSE(taken[2]);
}

TEST(Column, AbsentIsNullEverywhereAndStaysAbsent) {
  const Column absent;
  const std::vector<std::uint8_t> keep{1, 0, 1};
  EXPECT_TRUE(absent.absent());
  EXPECT_FALSE(absent.valid(7));
  EXPECT_TRUE(absent.select(keep).absent());
  EXPECT_TRUE(absent.slice(0, 2).absent());
  EXPECT_EQ(absent.bytes(), 0U);
}

Texts texts_of(std::initializer_list<std::string_view> all) {
  Texts out;
  for (const auto text : all) out.push(text);
  return out;
}

TEST(Column, SelectSliceAndTakeKeepValuesTypesAndNulls) {
  const std::vector<std::uint8_t> keep{0, 1, 1, 0};
  const Column numbers = Column::float64({1, 2, 3, 4}, validity_of({true, false, true, true}));
  const Column selected = numbers.select(keep);
  EXPECT_EQ(selected.type(), Type::float64);
  EXPECT_FALSE(selected.valid(0));
  EXPECT_EQ(selected.float64s()[1], 3);
  EXPECT_EQ(numbers.slice(2, 4).float64s()[1], 4);

  const Column words = Column::string(texts_of({"a", "", "ccc", "dd"}));
  EXPECT_EQ(words.select(keep).text(0), "");
  EXPECT_EQ(words.select(keep).text(1), "ccc");
  EXPECT_EQ(words.slice(2, 4).text(0), "ccc");
  EXPECT_EQ(words.slice(2, 4).text(1), "dd");
  EXPECT_EQ(words.slice(4, 4).texts().size(), 0U);
  const std::vector<std::uint32_t> rows{3, 0, 3};
  EXPECT_EQ(words.take(rows).texts().chars, "ddadd");

  const auto table = std::make_shared<Dictionary>();
  table->intern("speed");
  table->intern("charge");
  const Column fields = Column::dictionary({{0, 1, 0, 1}, table});
  EXPECT_EQ(fields.select(keep).text(0), "charge");
  EXPECT_EQ(fields.slice(1, 2).text(0), "charge");
  EXPECT_EQ(Column::timestamp({1, 2}).slice(1, 2).type(), Type::timestamp);
}

BatchPtr numbered(std::size_t rows) {
  std::vector<std::int64_t> values(rows);
  std::iota(values.begin(), values.end(), 0);
  auto batch = std::make_shared<Batch>();
  batch->schema = std::make_shared<const Schema>(Schema{Shape::other, {{"n", Type::int64}, {"gone", Type::string}}});
  batch->rows = rows;
  batch->columns = {Column::int64(values), Column{}};
  batch->arrival = values;
  batch->reached = 1000;
  batch->origin = {.partition = 3, .after = 10, .last = 20};
  batch->messages = std::make_shared<const Messages>();
  for (std::size_t i = 0; i < rows; ++i) batch->message_of_row.push_back(static_cast<std::uint32_t>(i * 2));
  return batch;
}

TEST(Batch, SelectKeepsEverythingThatBelongsToTheKeptRows) {
  const BatchPtr batch = numbered(100);
  std::vector<std::uint8_t> keep(100);
  keep[0] = keep[65] = keep[99] = 1;
  const BatchPtr out = batch->select(keep);
  ASSERT_EQ(out->rows, 3U);
  EXPECT_EQ(out->column("n").int64s()[1], 65);
  EXPECT_TRUE(out->column("gone").absent());
  EXPECT_EQ(out->arrival, (std::vector<Timestamp>{0, 65, 99}));
  EXPECT_EQ(out->message_of_row, (std::vector<std::uint32_t>{0, 130, 198}));
  EXPECT_EQ(out->messages, batch->messages);
  EXPECT_EQ(out->reached, 1000);
  EXPECT_EQ(out->origin.partition, 3U);
  EXPECT_EQ(out->origin.last, 20U);
}

TEST(Batch, SelectingAllIsTheSameBatchAndNoneIsAMarker) {
  const BatchPtr batch = numbered(70);
  EXPECT_EQ(select(batch, std::vector<std::uint8_t>(70, 1)), batch);
  const BatchPtr none = select(batch, std::vector<std::uint8_t>(70, 0));
  EXPECT_EQ(none->rows, 0U);
  EXPECT_EQ(none->reached, 1000);
  EXPECT_EQ(none->columns.size(), 2U);
}

TEST(Batch, BytesGrowWithTheRows) { EXPECT_GE(numbered(1000)->bytes(), numbered(10)->bytes() + 990 * (8 + 8 + 4)); }

}  // namespace
}  // namespace weir
