/// Rows in DuckDB files, saved and compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "fakes/temporary_directory.hpp"
#include "sinks/duckdb/rows.hpp"

namespace weir::duck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class KeptTables : public testing::Test {
 protected:
  static constexpr std::uint64_t memory = 256u << 20;

  /// A file with such a table of rows.
  std::string made(const std::string& name, const std::string& rows) {
    const std::string path = directory_.file(name);
    auto file = File::open(path, memory);
    const auto done = file->run("CREATE TABLE r (vehicle VARCHAR, time TIMESTAMP, speed DOUBLE, gear VARCHAR); " +
                                (rows.empty() ? "" : "INSERT INTO r VALUES " + rows));
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return path;
  }
  static KeptTable table(const std::string& path) {
    return KeptTable{*File::open(path, memory), "main", "r", {"time", "vehicle"}};
  }
  Comparison compared(const std::string& got, const std::string& expected, std::size_t most = 10) {
    auto out = table(got).compare(expected, most);
    EXPECT_TRUE(out.has_value()) << out.error().message;
    return out.value_or(Comparison{});
  }
  Comparison compared_rows(const std::string& got, const std::string& expected) {
    const std::string number = std::to_string(++pairs_);
    return compared(made("got" + number, got), made("expected" + number + ".duckdb", expected));
  }

  fakes::TemporaryDirectory directory_;
  int pairs_ = 0;
};

TEST_F(KeptTables, what_was_saved_is_equal_whatever_the_kind_of_file) {
  const std::string path = made("rows.duckdb",
                                "('v', '2026-01-01 00:00:01', 0.1, NULL), ('v', '2026-01-01 00:00:01', 0.1, NULL),"
                                "('w', '2026-01-01 00:00:02.123456', 1e-308, ''), ('w', '1969-12-31 23:59:59.5', "
                                "123456789.12345678, 'a,\"b\"'), ('x', '2026-01-01', 'inf'::DOUBLE, 'NULL')");
  for (const char* name : {"rows.parquet", "rows.csv", "rows.jsonl"}) {
    const std::string file = directory_.file(name);
    const auto saved = table(path).save(file);
    ASSERT_TRUE(saved.has_value()) << saved.error().message;
    EXPECT_EQ(*saved, 5u);
    EXPECT_TRUE(compared(path, file).equal()) << name;
  }
}

TEST_F(KeptTables, saved_texts_say_that_times_are_utc_and_older_ones_that_do_not_are_equal) {
  const std::string path = made("rows.duckdb", "('v', '2026-01-01 00:00:01.5', 1, NULL)");
  for (const char* name : {"rows.csv", "rows.jsonl"}) {
    const std::string file = directory_.file(name);
    ASSERT_TRUE(table(path).save(file));
    std::stringstream text;
    text << std::ifstream{file}.rdbuf();
    EXPECT_THAT(text.str(), HasSubstr("2026-01-01T00:00:01.5Z"));
  }
  const std::string old = directory_.write("old.csv", "time,vehicle,speed,gear\n2026-01-01 00:00:01.5,v,1.0,\n");
  EXPECT_TRUE(compared(path, old).equal());
}

TEST_F(KeptTables, the_last_bit_of_a_number_is_told_and_so_is_a_rows_second_copy) {
  const Comparison bit =
      compared_rows("('v', '2026-01-01', 0.30000000000000004, 'a')", "('v', '2026-01-01', 0.3, 'a')");
  EXPECT_EQ(bit.changed, 1u);
  ASSERT_EQ(bit.first.size(), 1u);
  EXPECT_EQ(bit.first[0].at, "2026-01-01T00:00:00Z  v");
  ASSERT_EQ(bit.first[0].cells.size(), 1u) << "only what differs";
  EXPECT_EQ(bit.first[0].cells[0].column, "speed");
  EXPECT_EQ(bit.first[0].cells[0].expected, "0.3");
  EXPECT_EQ(bit.first[0].cells[0].got, "0.30000000000000004");
  const Comparison twice =
      compared_rows("('v', '2026-01-01', 1, 'a'), ('v', '2026-01-01', 1, 'a')", "('v', '2026-01-01', 1, 'a')");
  EXPECT_EQ(twice.unexpected, 1u);
  EXPECT_EQ(twice.changed + twice.missing, 0u);
  EXPECT_FALSE(twice.equal());
}

TEST_F(KeptTables, of_rows_of_one_key_and_time_those_that_are_equal_are_paired) {
  const Comparison out =
      compared_rows("('v', '2026-01-01', 2, 'b')", "('v', '2026-01-01', 1, 'a'), ('v', '2026-01-01', 2, 'b')");
  EXPECT_EQ(out.missing, 1u);
  EXPECT_EQ(out.changed, 0u);
}

TEST_F(KeptTables, null_is_no_empty_text_and_no_rows_are_rows_too) {
  const Comparison out = compared_rows("('v', '2026-01-01', NULL, NULL)", "('v', '2026-01-01', NULL, '')");
  EXPECT_EQ(out.changed, 1u);
  const Comparison none = compared_rows("", "('v', '2026-01-01', NULL, 'a'), ('w', '2026-01-01', 1, 'a')");
  EXPECT_EQ(none.missing, 2u);
  ASSERT_EQ(none.first.size(), 2u);
  EXPECT_EQ(none.first[0].cells.size(), 1u) << "what is NULL is not shown";
}

TEST_F(KeptTables, columns_that_only_one_has_are_told_and_the_rest_is_compared) {
  const std::string csv = directory_.write("e.csv", "time,vehicle,speed,torque\n2026-01-01T01:00:00+01:00,v,1.0,5\n");
  const Comparison out = compared(made("got.duckdb", "('v', '2026-01-01', 1, 'a')"), csv);
  EXPECT_THAT(out.columns_missing, ElementsAre("torque"));
  EXPECT_THAT(out.columns_unexpected, ElementsAre("gear"));
  EXPECT_THAT(out.first, IsEmpty());
  EXPECT_FALSE(out.equal());
}

TEST_F(KeptTables, rows_that_were_printed_can_be_compared_with) {
  const std::string printed =
      directory_.write("e.jsonl", R"({"key":"v","tick":"2026-01-01T00:00:00Z","speed":0.30000000000000004,"gear":null})"
                                  "\n");
  EXPECT_TRUE(compared(made("got.duckdb", "('v', '2026-01-01', 0.30000000000000004, NULL)"), printed).equal());
}

TEST_F(KeptTables, no_more_rows_than_asked_for_are_shown_and_all_are_counted) {
  const std::string rows = made("got.duckdb", "('v', '2026-01-01', 1, 'a'), ('v', '2026-01-02', 1, 'a')");
  const Comparison out = compared(rows, made("none.duckdb", ""), 1);
  EXPECT_EQ(out.unexpected, 2u);
  ASSERT_EQ(out.first.size(), 1u);
  EXPECT_EQ(out.first[0].at, "2026-01-01T00:00:00Z  v") << "by time";
}

TEST_F(KeptTables, what_can_not_be_compared_is_said) {
  const std::string got = made("got.duckdb", "");
  const auto other = table(got).compare(directory_.write("e.csv", "a,b\n1,2\n"), 1);
  ASSERT_FALSE(other.has_value());
  EXPECT_THAT(other.error().message, HasSubstr("has no column time"));
  const auto bad = table(got).compare(directory_.write("f.csv", "time,vehicle,speed,gear\n2026-01-01,v,fast,a\n"), 1);
  ASSERT_FALSE(bad.has_value());
  EXPECT_THAT(bad.error().message, HasSubstr("fast"));
  EXPECT_THAT(bad.error().message, HasSubstr("f.csv"));
  const auto none = table(got).compare(directory_.file("none.parquet"), 1);
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("none.parquet"));
}

}  // namespace
}  // namespace weir::duck
