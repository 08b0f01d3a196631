#include "clients/refusal.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "fakes/columns.hpp"

namespace {
using namespace weir;
using fakes::batch;
using fakes::texts;

TEST(Refusal, objects_to_texts_that_no_database_takes) {
  const auto objection = [](std::string_view text) {
    return refusal::objection(batch({{"name", Type::string}}, 1, {Column::string(texts({text}))}), 0);
  };
  using namespace std::string_view_literals;
  for (const std::string_view good :
       {""sv, "a"sv, "\xC3\xA9"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x9A\x97"sv, "\xF4\x8F\xBF\xBF"sv, "\xED\x9F\xBF"sv}) {
    EXPECT_EQ(objection(good), "") << good;
  }
  EXPECT_EQ(objection("a\0b"sv), "name: text with a NUL byte");
  for (const std::string_view bad :
       {"\x80"sv, "\xC3"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x80\x80"sv, "\xED\xA0\x80"sv, "\xF0\x80\x80\x80"sv,
        "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xE2\x82"sv, "ok\xFF"sv}) {
    EXPECT_EQ(objection(bad), "name: text that is not UTF-8") << bad;
  }
}

/// Row 0 of a batch that ends at position 9, and whose first row is this lane's 40th.
Sink::DeadLetter letter(Batch of) {
  Encoded rows;
  rows.last = 9;
  rows.number = 40;
  rows.batch = std::make_shared<const Batch>(std::move(of));
  return refusal::letter_of(rows, 0, "db", "why");
}

TEST(Refusal, keeps_a_row_as_json) {
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
  EXPECT_EQ(got.row, 40u);
}

TEST(Refusal, keeps_the_message_behind_a_row_and_its_position_wherever_the_batch_was_cut) {
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

}  // namespace
