#include "core/plan/schema_binding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include <weir/format.hpp>

#include "fakes/registry.hpp"

namespace weir {
namespace {

using testing::HasSubstr;

/// A source, window-join "rows", and these nodes behind it.
Checked check(const std::string& nodes) {
  const std::string text = R"({ "name": "p", "limits": { "keys": 9 }, "nodes": [
    { "id": "in", "source": "simulate", "vehicles": 3, "for": "10s" },
    { "id": "last", "transform": "keyed-last-value", "from": "in" },
    { "id": "rows", "transform": "window-join", "from": "last", "every": "1s" }, )" +
                           nodes + " ] }";
  return check_pipeline(text, "p.json", fakes::registry(), {});
}

/// The findings, without the summary.
std::string lint(const std::string& nodes) {
  std::string out;
  for (const Finding& finding : check(nodes).findings) {
    const std::string all = render(std::vector{finding}, Format::text);
    out += all.substr(0, all.find('\n') + 1);
  }
  return out;
}

/// A fill of these columns, and a sink behind it.
std::string filled(const std::string& columns, const std::string& sink = R"("sink": "duckdb", "path": "x")",
                   const std::string& from = "rows") {
  return weir::format(
      R"({{ "id": "seconds", "transform": "fill", "from": "{}", {} }}, {{ "id": "db", "from": "seconds", {} }})", from,
      columns, sink);
}

TEST(SchemaBinding, ColumnsOfATransformAreWantedAsThoseOfASinkAre) {
  const std::string columns =
      R"("columns": { "speed": { "unit": "km/h", "quality": true }, "position": { "fill": "geo" } })";
  ASSERT_EQ(lint(filled(columns)), "");
  const auto behind = check(filled(columns)).pipeline;
  const auto beside =
      check(R"({ "id": "db", "sink": "duckdb", "path": "x", "from": "rows", )" + columns + " }").pipeline;
  ASSERT_TRUE(behind && beside);
  for (const std::size_t number : {0, 1, 2})
    EXPECT_EQ(behind->nodes[number].projection, beside->nodes[number].projection) << number;
  EXPECT_EQ(*behind->nodes[4].input, *beside->nodes[3].input) << "the same table";
  EXPECT_FALSE(behind->nodes[3].keeps_state);
}

TEST(SchemaBinding, RowsOfTwoTransformsAreOneStreamIfTheirColumnsAre) {
  const auto two = [](const std::string& column) {
    return lint(R"({ "id": "a", "transform": "fill", "from": "rows", "columns": { "speed": { "unit": "km/h" } } },
      { "id": "b", "transform": "fill", "from": "rows", "columns": { )" +
                column + R"( } }, { "id": "db", "sink": "stdout", "from": ["a", "b"] })");
  };
  EXPECT_EQ(two(R"("speed": { "unit": "mph", "max_gap": "1s" })"), "");
  EXPECT_THAT(two(R"("charge": {})"), HasSubstr("\"b\" gives other rows than \"a\""));
}

TEST(SchemaBinding, RowsAreCompletedOnce) {
  const std::string speed = R"("columns": { "speed": {} })";
  EXPECT_THAT(lint(filled(speed, R"("sink": "stdout", )" + speed)),
              HasSubstr("the input is rows already; leave \"columns\" out"));
  EXPECT_THAT(lint(filled(speed, R"("sink": "stdout")", "last")),
              HasSubstr("takes brackets, but \"last\" gives samples; put a window-join in between"));
  EXPECT_THAT(lint(filled(R"("write_empty": true)")), HasSubstr("transform \"fill\" needs \"columns\""));
  EXPECT_THAT(lint(filled(R"("columns": { "state": { "type": "text", "fill": "linear" } })")),
              HasSubstr("texts can't be interpolated"));
}

TEST(SchemaBinding, ATransformThatCanNotBeReadMayAskForAnything) {
  const std::string found = lint(filled(R"("columns": { "speed": { "max_gap": 1 } })", R"("sink": "stdout")"));
  EXPECT_EQ(std::ranges::count(found, '\n'), 1) << found;
}

}  // namespace
}  // namespace weir
