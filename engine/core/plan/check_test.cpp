#include <algorithm>
#include <ctime>
#include <map>
#include <ranges>
#include <regex>

#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "core/config/findings.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/pipeline.hpp"
#include "fakes/registry.hpp"
#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

Checked check(std::string_view text, std::string_view file = "p.json", const CheckOptions& options = {}) {
  return check_pipeline(text, file, fakes::registry(), options);
}

/// The findings as `weir lint` prints them, without the summary.
std::string lines_of(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) {
    const std::string all = render(std::vector{finding}, Format::text);
    out += all.substr(0, all.find('\n') + 1);
  }
  return out;
}

std::string lint(std::string_view text) { return lines_of(check(text).findings); }

/// Checks the text with the options behind the command, which the data file explains.
Checked check_input(const text_tests::Input& in) {
  static const std::regex option{" ?-([svfr])(?: ([^=]*?)(?:=(.*?))?)?(?= -[svfr]|$)"};
  CheckOptions options;
  std::map<std::string, std::string, std::less<>> variables;
  std::string file = "p.json";
  for (std::sregex_iterator at{in.argument.begin(), in.argument.end(), option}, end; at != end; ++at) {
    const std::string name = (*at)[2], value = (*at)[3];
    switch (*(*at)[1].first) {
      case 's':
        options.overrides.emplace_back(name, value);
        break;
      case 'v':
        variables[name] = value;
        break;
      case 'f':
        file = name;
        break;
      default:
        options.to_run = true;
    }
  }
  options.variable = [&](std::string_view name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional{found->second};
  };
  options.read_file = [](const std::string&) { return "hunter2"; };
  return check(in.text(), file, options);
}

/// What a text becomes, or its findings if it becomes nothing.
template <typename Show>
std::string of_pipeline(const text_tests::Input& in, Show show) {
  const Checked checked = check_input(in);
  return checked.pipeline ? show(*checked.pipeline) : lines_of(checked.findings);
}

/// A line for each node: what its sinks name of it, and the columns of what a sink gets.
std::string nodes_of(const Pipeline& pipeline) {
  std::string out;
  for (const Node& node : pipeline.nodes) {
    out += node.id + (node.codec.empty() ? "" : ", encoding " + node.codec);
    for (const ProjectedField& field : node.projection)
      out += weir::format(", {} {}", field.name, field.kind == FieldKind::point ? "point" : "number");
    for (const ColumnType& column : node.input ? node.input->columns : std::vector<ColumnType>{})
      out += ", column " + column.name;
    out += "\n";
  }
  return out;
}

/// A setting that is a whole number or a duration, named as in an override.
std::string integer_of(const Pipeline& pipeline, const std::string& path) {
  const std::string node = path.substr(0, path.find('.')), setting = path.substr(node.size() + 1);
  if (path == "limits.keys") return std::to_string(pipeline.key_limit);
  return std::to_string(std::ranges::find(pipeline.nodes, node, &Node::id)->settings.integer(setting));
}

std::string beginnings_without_findings(const std::string& text) {
  std::string out;
  for (std::size_t length = 0; length + 3 < text.size(); ++length) {
    if (lint(text.substr(0, length)).empty()) out += text.substr(0, length) + "\n";
  }
  return out;
}

std::string changes_between(const text_tests::Input& in) {
  std::string out;
  const auto before = check(in.blocks.at(0)).pipeline, now = check(in.blocks.at(1)).pipeline;
  for (const Change& change : changes(before->fingerprint, now->fingerprint))
    out += (change.counts ? "! " : "") + change.words + "\n";
  return out;
}

const text_tests::Commands check_commands{
    {"lint", [](const auto& in) { return lines_of(check_input(in).findings); }},
    {"bound", [](const auto& in) { return of_pipeline(in, nodes_of); }},
    {"shown", [](const auto& in) { return of_pipeline(in, [](const Pipeline& all) { return all.shown; }); }},
    {"integer",
     [](const auto& in) {
       const std::string path = in.argument.substr(0, in.argument.find(' '));
       return of_pipeline(in, [&](const Pipeline& pipeline) { return integer_of(pipeline, path); });
     }},
    {"beginnings_without_findings", [](const auto& in) { return beginnings_without_findings(in.text()); }},
    {"fingerprints",
     [](const auto& in) {
       const auto of = [](const std::string& text) { return check(text).pipeline->fingerprint; };
       return of(in.blocks.at(0)) == of(in.blocks.at(1)) ? "equal" : "different";
     }},
    {"changes", changes_between},
};
const bool check_tests = text_tests::add("engine/core/plan/check_test.txt", check_commands);

TEST(Check, AChainTwiceAsLongTakesTwiceAsLong) {
  const auto seconds = [](int last) {
    std::string text =
        R"({ "name": "p", "nodes": [ { "id": "n0", "source": "nats", "stream": "S", "subject": "v.{key}" })";
    for (int i = 1; i <= last; ++i)
      text += weir::format(R"(, {{ "id": "n{}", "transform": "filter", "from": "n{}", "where": "x > 1" }})", i, i - 1);
    text += weir::format(R"(, {{ "id": "out", "sink": "stdout", "from": "n{}" }} ] }})", last);
    const std::clock_t begun = std::clock();  // of this process: others may be at work
    EXPECT_FALSE(lint(text).contains("error"));
    return static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  };
  double ratio = 4;  // of what asks all nodes at each
  for (int i = 0; i < 5 && ratio > 3; ++i) ratio = std::min(ratio, seconds(20'000) / seconds(10'000));
  EXPECT_LE(ratio, 3);
}

TEST(Check, MoreFieldsThanALaneHoldsAreRefused) {
  std::string columns;
  for (int i = 0; i < 4097; ++i) columns += weir::format(R"({}"f{}": {{}})", i == 0 ? "" : ", ", i);
  const std::string text = weir::format(R"({{ "name": "p", "limits": {{ "keys": 10 }}, "nodes": [
{{ "id": "in", "source": "nats", "stream": "S", "subject": "v.{{key}}" }},
{{ "id": "rows", "transform": "window-join", "from": "in", "every": "1s" }},
{{ "id": "db", "sink": "stdout", "from": "rows", "columns": {{ {} }} }} ] }})",
                                        columns);
  EXPECT_TRUE(
      lint(text).contains(":4:1: error: with the columns of \"db\" the nodes name 4097 fields; a lane holds 4096"))
      << lint(text);
}

}  // namespace
}  // namespace weir
