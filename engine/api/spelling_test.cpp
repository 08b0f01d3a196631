#include <weir/spelling.hpp>

#include <gtest/gtest.h>

#include <ranges>
#include <span>
#include <vector>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

TEST(Nearest, IsBoundedForPastedText) {
  const std::vector<std::string> words{"timescale", "duckdb"};
  EXPECT_EQ(nearest(std::string(1'000'000, 'a'), words), std::nullopt);
  EXPECT_EQ(did_you_mean("postgres", words), "");
}

std::string nearest_word(const text_tests::Input& in) {
  static const std::vector<std::string> words{"timescale", "window-join", "filter",  "from",
                                              "every",     "max_gap",     "max_age", "id"};
  return nearest(in.text(), words).value_or("");
}

std::string suggested(const text_tests::Input& in) {
  std::vector<std::string> words;
  for (const auto& word : std::views::split(in.text(), std::string_view{", "}))
    words.emplace_back(word.begin(), word.end());
  return suggest(words.at(0), std::span{words}.subspan(1));
}

const bool spelling_tests =
    text_tests::add("engine/api/spelling_test.txt",
                    {{"nearest", nearest_word},
                     {"suggest", suggested},
                     {"quoted", [](const auto& in) { return weir::quoted(text_tests::with_bytes(in.text())); }},
                     {"printable", [](const auto& in) { return printable(text_tests::with_bytes(in.text())); }}});

}  // namespace
}  // namespace weir
