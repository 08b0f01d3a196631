#include "faults/lines.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace weir::faults {
namespace {

Line line(std::string key, Timestamp time, std::uint64_t transaction = 0, std::vector<double> cells = {1, 2, 3}) {
  return {.key = std::move(key), .time = time, .word = "", .cells = std::move(cells), .transaction = transaction};
}

/// As lost, duplicated, changed, foreign, misordered; with a difference for each.
std::vector<std::uint64_t> compared(std::vector<Line> wanted, std::vector<Line> found) {
  std::vector<std::string> differences;
  const Comparison comparison = compare("rows", std::move(wanted), std::move(found), differences);
  const std::vector<std::uint64_t> out{comparison.lost, comparison.duplicated, comparison.changed, comparison.foreign,
                                       comparison.misordered};
  std::uint64_t sum = 0;
  for (const std::uint64_t count : out) sum += count;
  EXPECT_EQ(differences.size(), sum);
  EXPECT_EQ(comparison.fine(), sum == 0);
  return out;
}

using Counts = std::vector<std::uint64_t>;

TEST(Compare, FindsNothingInEqualLinesOfAnyOrder) {
  EXPECT_EQ(compared({line("a", 1), line("a", 2), line("b", 1)}, {line("b", 1, 7), line("a", 2, 9), line("a", 1, 8)}),
            (Counts{0, 0, 0, 0, 0}));
}

TEST(Compare, FindsWhatIsLostAtAnyPlace) {
  EXPECT_EQ(compared({line("a", 1), line("a", 2), line("b", 1)}, {line("a", 2)}), (Counts{2, 0, 0, 0, 0}));
  EXPECT_EQ(compared({line("a", 1)}, {}), (Counts{1, 0, 0, 0, 0}));
}

TEST(Compare, FindsEachRepetition) {
  EXPECT_EQ(compared({line("a", 1)}, {line("a", 1), line("a", 1), line("a", 1)}), (Counts{0, 2, 0, 0, 0}));
}

TEST(Compare, FindsWhatNobodyWants) {
  EXPECT_EQ(compared({line("b", 1)}, {line("a", 1), line("b", 1), line("c", 1)}), (Counts{0, 0, 0, 2, 0}));
}

TEST(Compare, TellsNullFromNumbersAndTakesPlacesAsNearlyEqual) {
  constexpr double null = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(compared({line("a", 1, 0, {1, 2, null})}, {line("a", 1, 0, {1 + 1e-12, 2, null})}),
            (Counts{0, 0, 0, 0, 0}));
  EXPECT_EQ(compared({line("a", 1, 0, {1, 2, null})}, {line("a", 1, 0, {1, 2, 0})}), (Counts{0, 0, 1, 0, 0}));
  EXPECT_EQ(compared({line("a", 1, 0, {1, 2, 3})}, {line("a", 1, 0, {1, 2, 3 + 1e-12})}), (Counts{0, 0, 1, 0, 0}));
}

TEST(Compare, TellsTexts) {
  Line wanted = line("a", 1), found = wanted;
  wanted.text = "off";
  found.text = "timeout";
  EXPECT_EQ(compared({wanted}, {found}), (Counts{0, 0, 1, 0, 0}));
}

TEST(Compare, FindsALineCommittedBehindALaterOneOfItsKeyAlone) {
  const std::vector<Line> wanted{line("a", 1), line("a", 2), line("b", 1)};
  EXPECT_EQ(compared(wanted, {line("a", 1, 9), line("a", 2, 8), line("b", 1, 1)}), (Counts{0, 0, 0, 0, 1}));
  EXPECT_EQ(compared(wanted, {line("a", 1, 8), line("a", 2, 9), line("b", 1, 1)}), (Counts{0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace weir::faults
