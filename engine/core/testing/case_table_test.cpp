#include "core/testing/case_table.hpp"

#include <array>
#include <map>
#include <ranges>
#include <span>
#include <sstream>

#include <gtest/gtest.h>

#include "text_tests/text_tests.hpp"

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

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& line : std::views::split(text, '\n')) out.emplace_back(line.begin(), line.end());
  if (out.empty()) out.emplace_back();
  return out;
}

/// The second table against the first; a column "tick" has instants, others have numbers but for the first.
std::string differences(const text_tests::Input& in) {
  const std::array types{Type::dictionary, Type::timestamp, Type::float64};
  const auto want = read_table(lines_of(in.blocks.at(0))), got = read_table(lines_of(in.blocks.at(1)));
  return diff_tables(*want, *got, std::span{types}.first(want->columns.size()));
}

std::string is_matched(const text_tests::Input& in) {
  std::istringstream words{in.argument};
  std::string type, want, got;
  words >> type >> want >> got;
  static const std::map<std::string, Type> types{
      {"number", Type::float64}, {"integer", Type::int64}, {"text", Type::string}, {"instant", Type::timestamp}};
  const bool null = want == "NULL";
  return cell_matches({null ? "-" : want, null}, {got}, types.at(type)) ? "yes" : "no";
}

const bool case_table_tests = text_tests::add("engine/core/testing/case_table_test.txt",
                                              {{"cells", [](const auto& in) { return read(lines_of(in.text())); }},
                                               {"diff", differences},
                                               {"matches", is_matched}});

}  // namespace
}  // namespace weir
