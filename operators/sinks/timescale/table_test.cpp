#include "clients/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>
#include <span>

#include "sinks/timescale/hypertable.hpp"
#include "text_tests/text_tests.hpp"

namespace {
using namespace weir;

TEST(Table, has_a_column_per_column_of_the_rows) {
  RowColumn position{.field = "position", .fill = Fill::geo, .kind = FieldKind::point};
  RowColumn speed{.field = "speed", .quality = true, .unit = "km/h"};
  const auto columns = sql::table_columns(*rows::schema({position, speed}), {"car", "at"}, postgres::type_name);
  EXPECT_EQ(
      sql::column_definitions(columns),
      R"("car" text NOT NULL, "at" timestamp with time zone NOT NULL, "position_lat" double precision, "position_lon" double precision, )"
      R"("position_alt" double precision, "speed" double precision, "speed_quality" bigint)");
  EXPECT_EQ(columns[2].unit, "deg");
  EXPECT_EQ(columns[5].unit, "km/h");
}

TEST(Table, names_key_and_time_of_every_shape) {
  const auto columns = sql::table_columns(*samples::schema(), {"car", "at"}, postgres::type_name);
  EXPECT_EQ(sql::column_names(columns), R"("car", "field", "at", "x", "y", "z", "text")");
}

TEST(Table, quotes_names) { EXPECT_EQ(sql::quoted(R"(a"b)"), R"("a""b")"); }

TEST(Postgres, quotes_texts_and_arrays) {
  EXPECT_EQ(sql::literal("it's"), "'it''s'");
  const std::vector<std::optional<std::string>> values{"1", std::nullopt, R"(a"\'b)"};
  EXPECT_EQ(postgres::quote_array(values), R"('{"1",NULL,"a\"\\''b"}')");
}

/// A column as a line: `name type`, then "NOT NULL" and "DEFAULT" where it has them, and its unit behind a comma.
sql::TableColumn column_of(std::string line) {
  const auto take = [&](std::string_view words) {
    if (!line.ends_with(words)) return false;
    line.resize(line.size() - words.size());
    return true;
  };
  sql::TableColumn out;
  if (const std::size_t comma = line.find(", "); comma != std::string::npos) {
    out.unit = line.substr(comma + 2);
    line.resize(comma);
  }
  out.defaulted = take(" DEFAULT");
  out.required = take(" NOT NULL");
  out.name = line.substr(0, line.find(' '));
  out.type = line.substr(std::min(out.name.size() + 1, line.size()));
  return out;
}

std::vector<sql::TableColumn> columns_of(const std::string& text) {
  std::vector<sql::TableColumn> out;
  for (const auto& line : std::views::split(text, '\n')) out.push_back(column_of({line.begin(), line.end()}));
  return out;
}

std::string parsed_table(const text_tests::Input& in) {
  const auto table = sql::parse_table(in.text());
  if (!table) return table.error().message;
  return (table->schema.empty() ? "" : "schema " + table->schema + ", ") + "table " + table->name;
}

std::string checked_columns(const text_tests::Input& in) {
  const std::string_view system[]{in.argument};
  const auto checked = sql::check_columns(columns_of(in.text()), std::span{system}.first(in.argument.empty() ? 0 : 1));
  return checked ? "fine" : checked.error().message;
}

std::string differences(const text_tests::Input& in) {
  const auto different = sql::compare("t", columns_of(in.blocks.at(0)), columns_of(in.blocks.at(1)));
  if (different.words.empty()) return different.alter;
  const std::string added = sql::add_columns("t", different.missing);
  return different.error("t").message + (added.empty() ? "" : "\nadd: " + added);
}

std::string pointed_to(const text_tests::Input& in) {
  return postgres::url_problem(in.text()).value_or(postgres::place(in.text()));
}

const bool table_tests = text_tests::add(
    "operators/sinks/timescale/table_test.txt",
    {{"table", parsed_table}, {"columns", checked_columns}, {"differences", differences}, {"place", pointed_to}});

}  // namespace
