#include "clients/refusal.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

namespace {
using namespace weir;

Texts texts(std::initializer_list<std::string_view> values) {
  Texts out;
  for (const auto value : values) out.push(value);
  return out;
}

Batch batch(std::vector<ColumnType> types, std::size_t rows, std::vector<Column> columns) {
  Batch out;
  out.schema = std::make_shared<const Schema>(Schema{Shape::other, std::move(types)});
  out.rows = rows;
  out.columns = std::move(columns);
  return out;
}

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

TEST(Refusal, cleans_texts_for_dead_letters) {
  using namespace std::string_view_literals;
  EXPECT_EQ(refusal::clean("a\0\xFF\xC3\xA9"sv), "a\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9");
}

TEST(Refusal, shows_a_row_as_json) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Batch one = batch(
      {{"s", Type::string}, {"f", Type::float64}, {"n", Type::float64}, {"a", Type::int64}, {"b", Type::boolean}}, 1,
      {Column::string(texts({"q\"\n"})), Column::float64({0.5}), Column::float64({nan}), Column{},
       Column::boolean({0})});
  EXPECT_EQ(refusal::to_json(one, 0), R"({"s":"q\"\u000a","f":0.5,"n":"nan","a":null,"b":false})");
}

}  // namespace
