#include "core/config/findings.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace weir {
namespace {

const std::vector<std::string> sinks{"timescale", "duckdb", "stdout", "nats", "drop"};

Finding finding(Severity severity, std::string file, TextPosition begin, std::uint32_t length, std::string rule,
                std::string message, std::string suggestion = "") {
  const TextPosition end{begin.line, begin.column + length, begin.offset + length};
  return {severity, std::move(file), {begin, end}, std::move(rule), std::move(message), std::move(suggestion)};
}

std::vector<Finding> sketch() {
  const std::string file = "pipelines/fleet.json";
  return {
      finding(Severity::error, file, {9, 43, 500}, 1, "unit", R"("every": 1 has no unit)", R"(write "1s" or "1ms")"),
      finding(Severity::error, file, {10, 20, 620}, 10, "unknown-operator", R"(unknown sink "timescal")",
              did_you_mean("timescal", sinks)),
      finding(Severity::warn, file, {15, 62, 900}, 4, "max-gap", "charge will be carried, not interpolated"),
  };
}

TEST(Findings, AreALineEachAndASummary) {
  EXPECT_EQ(render(sketch(), Format::text),
            "pipelines/fleet.json:9:43: error: \"every\": 1 has no unit; write \"1s\" or \"1ms\"\n"
            "pipelines/fleet.json:10:20: error: unknown sink \"timescal\"; did you mean \"timescale\"?\n"
            "pipelines/fleet.json:15:62: warn: charge will be carried, not interpolated\n"
            "3 findings (2 errors)\n");
}

TEST(Findings, WithoutAPlaceNameTheFileOnly) {
  Finding f{Severity::error, "fleet.json", {}, "unreadable", "no such file", ""};
  EXPECT_EQ(render({&f, 1}, Format::text), "fleet.json: error: no such file\n1 finding (1 error)\n");
  f.file.clear();
  EXPECT_EQ(render({&f, 1}, Format::text), "error: no such file\n1 finding (1 error)\n");
}

TEST(Findings, StayOnOneLineWhateverTheyQuote) {
  const Finding f = finding(Severity::info, "a.json", {1, 1, 0}, 1, "x", "two\nlines\x1b[31m");
  EXPECT_EQ(render({&f, 1}, Format::text), "a.json:1:1: info: two\\nlines\\x1b[31m\n1 finding\n");
  EXPECT_EQ(render({&f, 1}, Format::github),
            "::notice file=a.json,line=1,endLine=1,col=1,endColumn=2,title=x::two%0Alines\x1b[31m\n");
}

TEST(Findings, AreSummedUp) {
  const std::vector<Finding> all = sketch();
  EXPECT_EQ(summary({}), "no findings");
  EXPECT_EQ(summary(std::span{all}.subspan(2)), "1 finding");
  EXPECT_EQ(summary(std::span{all}.first(1)), "1 finding (1 error)");
  EXPECT_EQ(summary(std::span{all}.subspan(1)), "2 findings (1 error)");
  EXPECT_TRUE(has_errors(all));
  EXPECT_FALSE(has_errors(std::span{all}.subspan(2)));
}

TEST(Findings, AreSortedByFileAndPlace) {
  std::vector<Finding> all = {
      finding(Severity::error, "b", {1, 1, 0}, 1, "", "4"), finding(Severity::error, "a", {10, 1, 90}, 1, "", "3"),
      finding(Severity::warn, "a", {9, 12, 80}, 1, "", "1"), finding(Severity::error, "a", {9, 12, 80}, 1, "", "2"),
      finding(Severity::error, "a", {9, 2, 70}, 1, "", "0")};
  sort_by_place(all);
  std::string order;
  for (const Finding& f : all) order += f.message;
  EXPECT_EQ(order, "01234");
}

TEST(Findings, AreJson) {
  rapidjson::Document json;
  ASSERT_FALSE(json.Parse(render(sketch(), Format::json).c_str()).HasParseError());
  EXPECT_EQ(json["errors"].GetInt(), 2);
  EXPECT_EQ(json["warnings"].GetInt(), 1);
  ASSERT_EQ(json["findings"].Size(), 3u);
  const auto& f = json["findings"][1];
  EXPECT_STREQ(f["severity"].GetString(), "error");
  EXPECT_STREQ(f["rule"].GetString(), "unknown-operator");
  EXPECT_STREQ(f["file"].GetString(), "pipelines/fleet.json");
  EXPECT_EQ(f["line"].GetInt(), 10);
  EXPECT_EQ(f["column"].GetInt(), 20);
  EXPECT_EQ(f["end_line"].GetInt(), 10);
  EXPECT_EQ(f["end_column"].GetInt(), 30);
  EXPECT_STREQ(f["message"].GetString(), R"(unknown sink "timescal")");
  EXPECT_STREQ(f["suggestion"].GetString(), R"(did you mean "timescale"?)");
}

TEST(Findings, AreSarif) {
  auto findings = sketch();
  findings[2].rule = findings[0].rule;
  findings[2].file = "my pipelines/fläche.json";
  rapidjson::Document json;
  ASSERT_FALSE(json.Parse(render(findings, Format::sarif).c_str()).HasParseError());
  EXPECT_STREQ(json["version"].GetString(), "2.1.0");
  const auto& run = json["runs"][0];
  EXPECT_STREQ(run["columnKind"].GetString(), "unicodeCodePoints");
  const auto& rules = run["tool"]["driver"]["rules"];
  ASSERT_EQ(rules.Size(), 2u);
  EXPECT_STREQ(rules[1]["id"].GetString(), "unknown-operator");
  ASSERT_EQ(run["results"].Size(), 3u);
  const auto& last = run["results"][2];
  EXPECT_STREQ(last["ruleId"].GetString(), "unit");
  EXPECT_EQ(last["ruleIndex"].GetInt(), 0);
  EXPECT_STREQ(last["level"].GetString(), "warning");
  EXPECT_STREQ(run["results"][0]["message"]["text"].GetString(), R"("every": 1 has no unit; write "1s" or "1ms")");
  const auto& where = last["locations"][0]["physicalLocation"];
  EXPECT_STREQ(where["artifactLocation"]["uri"].GetString(), "my%20pipelines/fl%C3%A4che.json");
  EXPECT_EQ(where["region"]["startLine"].GetInt(), 15);
  EXPECT_EQ(where["region"]["startColumn"].GetInt(), 62);
  EXPECT_EQ(where["region"]["endColumn"].GetInt(), 66);
  EXPECT_EQ(where["region"]["byteOffset"].GetInt(), 900);
  EXPECT_EQ(where["region"]["byteLength"].GetInt(), 4);
}

TEST(Findings, AreGithubAnnotations) {
  auto findings = sketch();
  findings[1].file = "a,b:c.json";
  findings[1].message = "100 % wrong";
  EXPECT_EQ(render(findings, Format::github),
            "::error file=pipelines/fleet.json,line=9,endLine=9,col=43,endColumn=44,title=unit::"
            "\"every\": 1 has no unit; write \"1s\" or \"1ms\"\n"
            "::error file=a%2Cb%3Ac.json,line=10,endLine=10,col=20,endColumn=30,title=unknown-operator::"
            "100 %25 wrong; did you mean \"timescale\"?\n"
            "::warning file=pipelines/fleet.json,line=15,endLine=15,col=62,endColumn=66,title=max-gap::"
            "charge will be carried, not interpolated\n");
  findings[0].span.end.line = 11;
  EXPECT_EQ(render(std::span{findings}.first(1), Format::github).find("endColumn"), std::string::npos);
}

TEST(Format, IsNamed) {
  EXPECT_EQ(format_named("sarif"), Format::sarif);
  EXPECT_EQ(format_named("text"), Format::text);
  EXPECT_EQ(format_named("json"), Format::json);
  EXPECT_EQ(format_named("github"), Format::github);
  EXPECT_EQ(format_named("xml"), std::nullopt);
}

}  // namespace
}  // namespace weir
