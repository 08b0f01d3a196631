#include "core/testing/case_table.hpp"

#include <array>

#include <gtest/gtest.h>

namespace weir {
namespace {

std::string cells_of(const Table& table) {
  std::string out;
  for (const TableRow& row : table.rows) {
    for (const TableCell& cell : row.cells) out += (cell.null ? "NULL" : cell.text) + "|";
    out += "\n";
  }
  return out;
}

std::string read(const std::vector<std::string>& lines) {
  const auto table = read_table(lines);
  return table ? cells_of(*table)
               : std::to_string(table.error().line) + ":" + std::to_string(table.error().offset) + ": " +
                     table.error().message;
}

TEST(CaseTable, InstantsAreLengthsSince1970OrDates) {
  EXPECT_EQ(parse_instant("1.5s"), 1'500'000'000);
  EXPECT_EQ(parse_instant("-1m30s"), -90 * second);
  EXPECT_EQ(parse_instant("00.5s"), 500 * millisecond);
  EXPECT_EQ(parse_instant("0"), 0);
  EXPECT_EQ(parse_instant("1970-01-01T00:00:01Z"), second);
  EXPECT_EQ(parse_instant("10"), std::nullopt);
  for (const Timestamp time :
       {Timestamp{0}, 5 * millisecond, -3 * second, 61 * second + 1, Timestamp{1'790'000'000'000'000'000}}) {
    EXPECT_EQ(parse_instant(format_instant(time)), time);
  }
}

TEST(CaseTable, ARangeMakesARowPerStepAndTheOthersFollow) {
  EXPECT_EQ(read({"key time value", "145 1.5s..3.5s/1s 1..2"}), "145|1.5s|1|\n145|2.5s|1.5|\n145|3.5s|2|\n");
  EXPECT_EQ(read({"key time value", "145 1s..3s/1s 1,-,9"}), "145|1s|1|\n145|2s|NULL|\n145|3s|9|\n");
  EXPECT_EQ(read({"a b", "1..0/-0.5 x"}), "1|x|\n0.5|x|\n0|x|\n");
  EXPECT_EQ(read({"key tick", "145 2s..2s/1s"}), "145|2s|\n");
}

TEST(CaseTable, QuotesHoldATextTogether) {
  EXPECT_EQ(read({"a b c", "'it''s here' '-' -"}), "it's here|-|NULL|\n");
  EXPECT_EQ(read({"a", "'1s..3s/1s'"}), "1s..3s/1s|\n");
}

TEST(CaseTable, WhatIsWrongIsSaidWithItsPlace) {
  EXPECT_EQ(read({"a b", "1 2", "1"}), "2:0: 1 cells for 2 columns");
  EXPECT_EQ(read({"a b", "1s..2s/300ms 2"}), "1:0: 1s..2s is not a whole number of steps of 300ms");
  EXPECT_EQ(read({"a b", "1s..2s/1s 1..4/1"}), "1:10: 4 rows here, 2 in a range before");
  EXPECT_EQ(read({"a b", "1s..2s/1s 1,2,3"}), "1:10: 3 values for 2 rows");
  EXPECT_EQ(read({"a b", "1 'x"}), "1:2: a quote that is not closed");
  EXPECT_EQ(read({"a a"}), "0:2: column \"a\" twice");
  EXPECT_EQ(read({"", ""}), "0:0: the first line names no column");
  EXPECT_EQ(read({"a b", "0..1/0.0000000001 2"}), "1:0: a range of more than a million rows");
}

TEST(CaseTable, ADiffShowsWhatIsMissingAndWhatIsThereInstead) {
  const std::array types{Type::dictionary, Type::timestamp, Type::float64};
  const auto want = read_table(std::vector<std::string>{"key tick speed", "a 1s..9s/1s 1..9"});
  const auto got = read_table(
      std::vector<std::string>{"key tick speed", "a 1s..4s/1s 1..4", "a 5s -", "a 7s..9s/1s 7..9", "b 1s 1"});
  EXPECT_EQ(diff_tables(*want, *got, types),
            "  key  tick  speed\n"
            "  … 2 equal rows\n"
            "  a    3s    3\n"
            "  a    4s    4\n"
            "- a    5s    5\n"
            "- a    6s    6\n"
            "+ a    5s    -\n"
            "  a    7s    7\n"
            "  a    8s    8\n"
            "  a    9s    9\n"
            "+ b    1s    1\n");
  EXPECT_EQ(diff_tables(*want, *want, types), "");
}

TEST(CaseTable, ARangeIsBounded) {
  for (const char* range : {"1s..1000000h/1ns", "-2000000h..2000000h/1ns", "1..1e300/1"}) {
    const auto read = read_table(std::vector<std::string>{"time", range});
    ASSERT_FALSE(read) << range;
    EXPECT_EQ(read.error().message, "a range of more than a million rows");
  }
}

TEST(CaseTable, WhatNobodyReadsIsCounted) {
  const std::array types{Type::dictionary, Type::timestamp};
  const auto want = read_table(std::vector<std::string>{"key tick", "b 1s..9s/1s"});
  const auto got = read_table(std::vector<std::string>{"key tick", "a 1s..100s/1s", "b 1s..9s/1s"});
  const std::string diff = diff_tables(*want, *got, types);
  EXPECT_TRUE(diff.contains("+ a    1m\n  … 40 more different rows\n")) << diff;
  EXPECT_FALSE(diff.contains("1m1s")) << diff;
}

TEST(CaseTable, NumbersMayDifferByTheirLastDigits) {
  const auto matches = [](const char* a, const char* b, Type type) { return cell_matches({a}, {b}, type); };
  EXPECT_TRUE(matches("0.3", "0.30000000000000004", Type::float64));
  EXPECT_TRUE(matches("52.5/13", "52.5/13.0000000000001", Type::float64));
  EXPECT_FALSE(matches("52.5/13", "52.5/13/0", Type::float64));
  EXPECT_FALSE(matches("0.3", "0.300001", Type::float64));
  EXPECT_FALSE(matches("0", "9e-10", Type::float64));
  EXPECT_FALSE(matches("1767225600000", "1767225600001", Type::int64));
  EXPECT_FALSE(matches("a", "b", Type::string));
  EXPECT_FALSE(matches("1s", "1s1ns", Type::timestamp));
  EXPECT_TRUE(matches("1000ms", "1s", Type::timestamp));
  EXPECT_FALSE(cell_matches({"-", true}, {"-"}, Type::string));
}

}  // namespace
}  // namespace weir
