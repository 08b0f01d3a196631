#include "clients/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sinks/timescale/hypertable.hpp"

namespace {
using namespace weir;

TEST(Table, is_named_alone_or_with_its_schema) {
  EXPECT_EQ(sql::parse_table("rows")->name, "rows");
  EXPECT_EQ(sql::parse_table("rows")->schema, "");
  EXPECT_EQ(sql::parse_table("fleet.Rows")->schema, "fleet");
  EXPECT_EQ(sql::parse_table("fleet.Rows")->name, "Rows");
  for (const std::string& bad :
       {std::string{}, std::string{"a."}, std::string{".b"}, std::string{"a.b.c"}, std::string(64, 'x')}) {
    EXPECT_FALSE(sql::parse_table(bad).has_value()) << bad;
  }
  for (const std::string bad : {"weir_progress", "fleet.weir_dead_letters", "WEIR_Progress"}) {
    EXPECT_FALSE(sql::parse_table(bad).has_value()) << bad;
  }
  EXPECT_TRUE(sql::parse_table("weir_progress.rows").has_value());
  EXPECT_TRUE(sql::parse_table("weir_progress_2").has_value());
}

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

TEST(Table, refuses_names_that_clash_or_are_too_long) {
  EXPECT_FALSE(sql::check_columns({{"a", "text"}, {"a", "text"}}).has_value());
  EXPECT_FALSE(sql::check_columns({{std::string(64, 'x'), "text"}}).has_value());
  constexpr std::string_view system[]{"ctid"};
  EXPECT_FALSE(sql::check_columns({{"ctid", "text"}}, system).has_value());
  EXPECT_TRUE(sql::check_columns({{"ctid", "text"}}).has_value());
  EXPECT_FALSE(sql::check_columns({}).has_value());
  EXPECT_TRUE(sql::check_columns({{"a", "text"}, {"b", "text"}}).has_value());
}

TEST(Table, differences_are_all_named_with_one_statement_to_run) {
  const std::vector<sql::TableColumn> wanted{{"vehicle", "text", true},
                                             {"time", "timestamp with time zone", true},
                                             {"speed", "double precision"},
                                             {"charge", "double precision"}};
  const auto same = sql::compare("t", wanted, wanted);
  EXPECT_EQ(same.words + same.alter, "");
  const auto different = sql::compare("t", wanted,
                                      {{"vehicle", "text"},
                                       {"time", "timestamp with time zone", true},
                                       {"speed", "real", true},
                                       {"charge", "double precision", true, true},
                                       {"note", "text"},
                                       {"owner", "text", true, true},
                                       {"depot", "text", true}});
  EXPECT_EQ(
      different.words,
      R"(column "speed" is real, not double precision; column "charge" is NOT NULL, but a row may have NULL there; )"
      R"(column "depot" is NOT NULL without a default, and this pipeline does not write it)");
  EXPECT_EQ(different.alter,
            R"(ALTER TABLE t ALTER COLUMN "speed" TYPE double precision USING "speed"::double precision; )"
            R"(ALTER TABLE t ALTER COLUMN "charge" DROP NOT NULL; ALTER TABLE t ALTER COLUMN "depot" DROP NOT NULL;)");
  EXPECT_EQ(sql::compare("t", wanted, {}).alter.find(R"(ADD COLUMN "vehicle" text)"), 14u);
}

TEST(Table, adds_only_columns_that_touch_no_row) {
  const std::vector<sql::TableColumn> wanted{
      {"vehicle", "text", true}, {"speed", "double precision", false, false, "km/h"}, {"soc", "double precision"}};
  const auto lacks = sql::compare("t", wanted, {{"vehicle", "text", true}});
  EXPECT_EQ(sql::column_names(lacks.missing), R"("speed", "soc")");
  EXPECT_EQ(sql::add_columns("t", lacks.missing),
            R"(ALTER TABLE t ADD COLUMN IF NOT EXISTS "speed" double precision;)"
            R"(ALTER TABLE t ADD COLUMN IF NOT EXISTS "soc" double precision;COMMENT ON COLUMN t."speed" IS 'km/h';)");
  EXPECT_THAT(lacks.error("t").message, testing::HasSubstr(R"(set "schema": "add-columns", or run: ALTER TABLE)"));
  const auto differs = sql::compare("t", wanted, {{"speed", "real"}});
  EXPECT_EQ(sql::column_names(differs.missing), R"("soc")") << "a key can't be NULL";
  EXPECT_THAT(differs.error("t").message, testing::Not(testing::HasSubstr("add-columns")))
      << "which would not be enough";
}

TEST(Table, quotes_names) { EXPECT_EQ(sql::quoted(R"(a"b)"), R"("a""b")"); }

TEST(Postgres, quotes_texts_and_arrays) {
  EXPECT_EQ(sql::literal("it's"), "'it''s'");
  const std::vector<std::optional<std::string>> values{"1", std::nullopt, R"(a"\'b)"};
  EXPECT_EQ(postgres::quote_array(values), R"('{"1",NULL,"a\"\\''b"}')");
}

TEST(Postgres, says_where_an_address_points_and_keeps_the_password) {
  EXPECT_EQ(postgres::place("postgresql://u:secret@db.example:5433/fleet"), "db.example:5433/fleet");
  EXPECT_FALSE(postgres::url_problem("postgresql://u:secret@db.example/fleet").has_value());
  for (const char* bad : {"postgresql://u:secret@db:port:x/fleet?what=1", "secret"}) {
    const auto problem = postgres::url_problem(bad);
    ASSERT_TRUE(problem.has_value()) << bad;
    EXPECT_EQ(problem->find("secret"), std::string::npos);
  }
}

}  // namespace
