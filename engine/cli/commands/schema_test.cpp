#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <regex>

#include "cli/command.hpp"
#include "core/config/text.hpp"
#include "fakes/registry.hpp"

namespace weir::cli {
namespace {

using Kind = Value::Kind;

/// As much of a JSON Schema validator as the schema of pipelines needs.
class Validator {
 public:
  explicit Validator(std::string schema) : document_{read_text(schema, "schema.json")} {
    EXPECT_TRUE(document_.findings.empty()) << render(document_.findings, Format::text);
  }

  /// The path of the first value that does not fit, and the keyword; empty if all fits.
  std::string problem(const std::string& text) const {
    const Document pipeline = read_text(text, "p.json");
    EXPECT_TRUE(pipeline.findings.empty()) << render(pipeline.findings, Format::text);
    return check(document_.root, pipeline.root, "");
  }

 private:
  std::string check(const Value& schema, const Value& value, const std::string& path) const {
    for (const Member& rule : schema.members) {
      if (auto wrong = check(schema, rule.key, rule.value, value, path); !wrong.empty()) return wrong;
    }
    return "";
  }

  bool fits(const Value& schema, const Value& value) const { return check(schema, value, "").empty(); }

  std::string check(const Value& schema, const std::string& keyword, const Value& rule, const Value& value,
                    const std::string& path) const {
    const std::string wrong = path + " " + keyword;
    if (keyword == "$ref") return check(referred(rule.text), value, path);
    const bool is_object = value.is(Kind::object);
    if (keyword == "type") return is_of(rule, value) ? "" : wrong;
    if (keyword == "const") return value.text == rule.text ? "" : wrong;
    if (keyword == "enum") return std::ranges::contains(rule.items, value.text, &Value::text) ? "" : wrong;
    if (keyword == "pattern")
      return !value.is(Kind::string) || std::regex_search(value.text, std::regex{rule.text}) ? "" : wrong;
    if (keyword == "minimum") return value.is(Kind::string) || value.number >= rule.number ? "" : wrong;
    if (keyword == "maximum") return value.is(Kind::string) || value.number <= rule.number ? "" : wrong;
    if (keyword == "required" && is_object) {
      const bool all = std::ranges::all_of(rule.items, [&](const Value& name) { return value.find(name.text); });
      return all ? "" : wrong;
    }
    if (keyword == "properties" && is_object) return each_known(rule, value, path);
    if (keyword == "additionalProperties" && is_object) return each_other(schema, rule, value, path);
    if (keyword == "items" && value.is(Kind::array)) {
      for (const Value& item : value.items) {
        if (auto inside = check(rule, item, path + "[]"); !inside.empty()) return inside;
      }
    }
    if (keyword == "allOf") {
      for (const Value& one : rule.items) {
        if (auto inside = check(one, value, path); !inside.empty()) return inside;
      }
    }
    const auto of = [&] {
      return std::ranges::count_if(rule.items, [&](const Value& one) { return fits(one, value); });
    };
    if (keyword == "anyOf") return of() > 0 ? "" : wrong;
    if (keyword == "oneOf") return of() == 1 ? "" : wrong;
    if (keyword == "if") {
      const Value* branch = schema.find(fits(rule, value) ? "then" : "else");
      return branch == nullptr ? "" : check(*branch, value, path);
    }
    return "";
  }

  std::string each_known(const Value& rule, const Value& value, const std::string& path) const {
    for (const Member& member : value.members) {
      const Value* known = rule.find(member.key);
      if (known == nullptr) continue;
      if (auto inside = check(*known, member.value, path + "/" + member.key); !inside.empty()) return inside;
    }
    return "";
  }

  std::string each_other(const Value& schema, const Value& rule, const Value& value, const std::string& path) const {
    const Value* properties = schema.find("properties");
    for (const Member& member : value.members) {
      if (properties != nullptr && properties->find(member.key) != nullptr) continue;
      const std::string at = path + "/" + member.key;
      if (rule.is(Kind::boolean)) return at + " additionalProperties";
      if (auto inside = check(rule, member.value, at); !inside.empty()) return inside;
    }
    return "";
  }

  static bool is_of(const Value& type, const Value& value) {
    if (type.is(Kind::array))
      return std::ranges::any_of(type.items, [&](const Value& one) { return is_of(one, value); });
    return type.text == to_string(value.kind) || (type.text == "number" && value.is(Kind::integer)) ||
           (type.text == "integer" && value.is(Kind::integer)) || (type.text == "boolean" && value.is(Kind::boolean));
  }

  /// "#/$defs/step"
  const Value& referred(std::string_view path) const {
    const Value* at = &document_.root;
    for (const auto part : path | std::views::drop(2) | std::views::split('/')) at = at->find(std::string_view{part});
    return *at;
  }

  Document document_;
};

const Validator& validator() {
  static const Validator made{pipeline_schema(fakes::registry())};
  return made;
}

/// What is wrong with a pipeline of these members and a simulated source with this setting.
std::string problem(const std::string& members, const std::string& setting) {
  return validator().problem("{ \"name\": \"p\"" + members + R"(, "nodes": [ { "id": "in", "source": "simulate")" +
                             setting + R"( }, { "id": "out", "sink": "drop", "from": "in" } ] })");
}

TEST(Schema, TheReadyPipelinesFit) {
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator{WEIR_SOURCE_DIR "/pipelines"}) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".json") || path.ends_with(".test.json")) continue;
    ++seen;
    EXPECT_EQ(validator().problem(read_file(path).value_or("")), "") << path;
  }
  EXPECT_GE(seen, 5u);
}

TEST(Schema, AVariableMayStandForAnyValue) {
  EXPECT_EQ(problem("", R"(, "vehicles": "${N:5}", "for": "${FOR}s")"), "");
  EXPECT_EQ(problem(R"(, "limits": { "keys": "${KEYS}" })", R"(, "for": "10s")"), "");
  EXPECT_EQ(problem("", R"(, "vehicles": "five")"), "/nodes[]/vehicles pattern");
}

TEST(Schema, AMistakeIsNamedByTheOperatorThatHasIt) {
  EXPECT_EQ(problem("", R"(, "vehicle": 5)"), "/nodes[]/vehicle additionalProperties");
  EXPECT_EQ(problem("", R"(, "for": "10s and more")"), "/nodes[]/for pattern");
  EXPECT_EQ(problem(R"(, "limits": { "key": 5 })", ""), "/limits/key additionalProperties");
  EXPECT_EQ(problem(R"(, "commit": { "rows": 5, "evry": "1s" })", ""), "/commit/evry additionalProperties");
  EXPECT_EQ(problem(R"(, "shutdown_timeout": "1s?")", ""), "/shutdown_timeout pattern");
  EXPECT_EQ(problem(R"(, "state": { "store": "jetstream-kv", "bucket": "b" })", ""), "");
  EXPECT_EQ(problem(R"(, "state": { "store": "jetstream" })", ""), "/state/store enum");
  EXPECT_EQ(problem("", R"(, "encoding": { "codec": "json", "time": 5 })"), "/nodes[]/encoding/time type");
}

std::vector<std::string> case_files() {
  std::vector<std::string> out;
  for (const char* folder : {"/pipelines", "/operators"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{WEIR_SOURCE_DIR + std::string{folder}}) {
      if (entry.path().string().ends_with(".test.json")) out.push_back(entry.path().string());
    }
  }
  return out;
}

TEST(Schema, TheCasesFitTheirs) {
  const Validator cases{std::string{case_schema()}};
  for (const std::string& file : case_files()) EXPECT_EQ(cases.problem(read_file(file).value_or("")), "") << file;
  EXPECT_GE(case_files().size(), 12u);
}

TEST(Schema, AMistakeInACaseIsSeen) {
  const Validator cases{std::string{case_schema()}};
  const auto of_step = [&](const std::string& step) {
    return cases.problem(R"({ "pipeline": "p.json", "tests": [ { "name": "t", "script": [ )" + step + " ] } ] }");
  };
  EXPECT_EQ(of_step(R"({ "at": "1s", "samples": ["key"] }, { "crash": true }, { "fail": "db", "times": 2 })"), "");
  EXPECT_EQ(of_step(R"({ "at": "1s", "sample": ["key"] })"), "/tests[]/script[] anyOf");
  EXPECT_EQ(of_step(R"({ "fail": "db", "time": 2 })"), "/tests[]/script[] anyOf");
  EXPECT_EQ(of_step(R"({ "fail": "db", "times": 0 })"), "/tests[]/script[] anyOf");
  EXPECT_EQ(of_step(R"({ "expect": [ { "node": "db", "row": [] } ] })"), "/tests[]/script[] anyOf");
}

}  // namespace
}  // namespace weir::cli
