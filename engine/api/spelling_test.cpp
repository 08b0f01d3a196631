#include <weir/spelling.hpp>

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace weir {
namespace {

TEST(Nearest, IsWhatWasMeant) {
  const std::vector<std::string> words{"timescale", "window-join", "filter",  "from",
                                       "every",     "max_gap",     "max_age", "id"};
  const std::vector<std::pair<std::string, std::optional<std::string>>> cases = {
      {"timescal", "timescale"},
      {"tiemscale", "timescale"},
      {"TimeScale", "timescale"},
      {"window_join", "window-join"},
      {"windowjoin", "window-join"},
      {"fliter", "filter"},
      {"form", "from"},
      {"evry", "every"},
      {"maxage", "max_age"},
      {"max_gpa", "max_gap"},
      {"ID", "id"},
      {"postgres", std::nullopt},
      {"x", std::nullopt},
      {"", std::nullopt},
      {"zz", std::nullopt},
      {"filtration", std::nullopt},
  };
  for (const auto& [word, meant] : cases) EXPECT_EQ(nearest(word, words), meant) << word;
}

TEST(Nearest, IsBoundedForPastedText) {
  const std::vector<std::string> words{"timescale", "duckdb"};
  EXPECT_EQ(nearest(std::string(1'000'000, 'a'), words), std::nullopt);
  EXPECT_EQ(did_you_mean("postgres", words), "");
}

TEST(Suggest, NamesTheNearestOrAllIfTheyAreFew) {
  std::vector<std::string> words{"timescale", "duckdb"};
  EXPECT_EQ(suggest("timescal", words), R"(did you mean "timescale"?)");
  EXPECT_EQ(suggest("postgres", words), R"(there are "timescale", "duckdb")");
  EXPECT_EQ(suggest("postgres", std::vector<std::string>{"drop"}), R"(there is only "drop")");
  EXPECT_EQ(suggest("postgres", {}), "");
  words.resize(13, "sink");
  EXPECT_EQ(suggest("postgres", words), "");
}

TEST(Quoted, EscapesAndCuts) {
  EXPECT_EQ(weir::quoted("a\"b\\c\n\t\x01"), R"("a\"b\\c\n\t\u0001")");
  std::string umlauts;
  for (int i = 0; i < 61; ++i) umlauts += "ä";
  EXPECT_EQ(weir::quoted(umlauts), "\"" + umlauts.substr(0, 120) + "…\"");
  EXPECT_EQ(weir::quoted(umlauts.substr(2)), "\"" + umlauts.substr(2) + "\"");
}

TEST(Printable, LeavesNothingThatMovesTheTerminal) {
  EXPECT_EQ(printable("speed ä €"), "speed ä €");
  EXPECT_EQ(printable("\x1b]0;title\x07"), "\uFFFD]0;title\uFFFD");
  EXPECT_EQ(printable("a\nb\x7f"), "a\uFFFDb\uFFFD");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J\x9b"
                      "2J"),
            "\uFFFD2J\uFFFD2J");
  EXPECT_EQ(printable({"\0x", 2}), "\uFFFDx");
}

}  // namespace
}  // namespace weir
