#include <weir/dead_letter.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include <weir/shapes.hpp>

#include "fakes/columns.hpp"

namespace weir {
namespace {

using fakes::batch;
using fakes::texts;

TEST(DeadLetter, OfARowWithoutAMessageIsTheRow) {
  Batch in;
  auto schema = std::make_shared<Schema>(
      Schema{Shape::rows, {{"tick", Type::timestamp}, {"speed", Type::float64}, {"note", Type::string}}});
  in.schema = schema;
  in.rows = 1;
  Texts note;
  note.push("a \"b\"");
  in.columns = {Column::timestamp({5}), Column{}, Column::string(std::move(note))};
  in.arrival = {9};
  in.origin = {2, 10, 20};
  const auto letter = dead_letter_of(in, 0, "out", "why");
  EXPECT_EQ(letter.payload, R"({"tick":"1970-01-01T00:00:00.000000005Z","speed":null,"note":"a \"b\""})");
  EXPECT_EQ(letter.position, 20u);
  EXPECT_EQ(letter.partition, 2u);
}

/// Of row 0 of a batch that ends at position 9, and whose first row is this lane's 40th.
Sink::DeadLetter letter(Batch of) {
  Encoded rows;
  rows.partition = 3;
  rows.last = 9;
  rows.number = 40;
  rows.batch = std::make_shared<const Batch>(std::move(of));
  return dead_letter_of(rows, 0, "db", "why");
}

TEST(DeadLetter, OfARowThatASinkRefusedHasItsNumber) {
  using namespace std::string_view_literals;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto got =
      letter(batch({{"s", Type::string},
                    {"x", Type::string},
                    {"f", Type::float64},
                    {"n", Type::float64},
                    {"a", Type::int64},
                    {"b", Type::boolean},
                    {"t", Type::timestamp}},
                   1,
                   {Column::string(texts({"q\"\n"})), Column::string(texts({"\0\xFF"sv})), Column::float64({0.5}),
                    Column::float64({nan}), Column{}, Column::boolean({0}), Column::timestamp({second + 1})}));
  EXPECT_EQ(got.payload,
            "{\"s\":\"q\\\"\\n\",\"x\":\"\xEF\xBF\xBD\xEF\xBF\xBD\",\"f\":0.5,\"n\":\"nan\","
            "\"a\":null,\"b\":false,\"t\":\"1970-01-01T00:00:01.000000001Z\"}");
  EXPECT_EQ(got.position, 9u);
  EXPECT_EQ(got.partition, 3u);
  EXPECT_EQ(got.row, 40u);
}

TEST(DeadLetter, KeepsTheMessageBehindARowAndItsPositionWhereverTheBatchWasCut) {
  Batch decoded = batch({{"a", Type::int64}}, 1, {Column::int64({1})});
  auto messages = std::make_shared<Messages>();
  messages->items.resize(2);
  messages->items[1].sequence = 7;
  messages->items[1].subject = "vehicle.1";
  messages->items[1].payload = "raw";
  decoded.messages = messages;
  decoded.message_of_row = {1};
  const auto got = letter(std::move(decoded));
  EXPECT_EQ(got.position, 7u);
  EXPECT_EQ(got.subject, "vehicle.1");
  EXPECT_EQ(got.payload, "raw");
  EXPECT_EQ(got.row, 40u);
}

TEST(DeadLetter, OfARowOfAFrameIsTheRowThatTheSinkRefused) {
  Batch decoded = batch({{"a", Type::int64}}, 2, {Column::int64({1, 2})});
  auto messages = std::make_shared<Messages>();
  messages->items.resize(1);
  messages->items[0].sequence = 7;
  const std::string frame(1'000'000, 'x');
  messages->items[0].payload = frame;
  decoded.messages = messages;
  decoded.message_of_row = {0, 0};
  const auto got = letter(std::move(decoded));
  EXPECT_EQ(got.position, 7u);
  EXPECT_EQ(got.payload, R"({"a":1})");
}

}  // namespace
}  // namespace weir
