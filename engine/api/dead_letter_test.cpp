#include <weir/dead_letter.hpp>

#include <gtest/gtest.h>

#include <weir/shapes.hpp>

namespace weir {
namespace {

TEST(DeadLetter, OfARowWithoutAMessageIsTheRow) {
  Batch batch;
  auto schema = std::make_shared<Schema>(
      Schema{Shape::rows, {{"tick", Type::timestamp}, {"speed", Type::float64}, {"note", Type::string}}});
  batch.schema = schema;
  batch.rows = 1;
  Texts texts;
  texts.push("a \"b\"");
  batch.columns = {Column::timestamp({5}), Column{}, Column::string(std::move(texts))};
  batch.arrival = {9};
  batch.origin = {2, 10, 20};
  const auto letter = dead_letter_of(batch, 0, "out", "why");
  EXPECT_EQ(letter.payload, R"({"tick":"1970-01-01T00:00:00.000000005Z","speed":null,"note":"a \"b\""})");
  EXPECT_EQ(letter.position, 20u);
  EXPECT_EQ(letter.partition, 2u);
}

}  // namespace
}  // namespace weir
