#include "core/config/variables.hpp"

#include <map>

#include <gtest/gtest.h>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

std::optional<std::string> environment(std::string_view name) {
  static const std::map<std::string_view, std::string> variables{{"HOST", "db.example"}, {"PORT", "5432"},
                                                                 {"EMPTY", ""},          {"LOOP", "${HOST}"},
                                                                 {"UMLAUT", "äö"},       {"LATIN", "\xe4"}};
  const auto found = variables.find(name);
  return found == variables.end() ? std::nullopt : std::optional{found->second};
}

struct Replaced {
  Document document;
  std::string findings;
};

Replaced replace(std::string_view text, Severity unset_required = Severity::error) {
  Replaced out{read_text(text, "t"), ""};
  EXPECT_TRUE(out.document.findings.empty()) << text;
  for (const Finding& f : replace_variables(out.document, environment, unset_required)) {
    out.findings += weir::format("{}:{}-{}: {}: {}{}{}\n", f.span.begin.line, f.span.begin.column, f.span.end.column,
                                 to_string(f.severity), f.message, f.suggestion.empty() ? "" : "; ", f.suggestion);
  }
  return out;
}

TEST(Variables, LeaveTextsFindable) {
  const Replaced out = replace(R"(["$${ ${HOST} x"])");
  const Value& value = out.document.root.items[0];
  ASSERT_EQ(value.text, "${ db.example x");
  const auto column = [&](std::size_t offset) { return place_inside(out.document.text, value, offset).column; };
  EXPECT_EQ(column(0), 3u);
  EXPECT_EQ(column(2), 6u);
  EXPECT_EQ(column(3), 7u);
  EXPECT_EQ(column(12), 7u);
  EXPECT_EQ(column(14), 15u);
}

TEST(Variables, WithoutAnEnvironmentThereAreNone) {
  Document document = read_text(R"(["${HOST:x}"])", "t");
  EXPECT_TRUE(replace_variables(document, nullptr, Severity::error).empty());
  EXPECT_EQ(document.root.items[0].text, "x");
}

/// Every value of a document that is no list or object, on a line of its own.
std::string leaves(const Value& value, const std::string& name = "") {
  std::string out;
  for (const Member& member : value.members) out += leaves(member.value, member.key + ": ");
  for (const Value& item : value.items) out += leaves(item);
  if (!value.members.empty() || !value.items.empty()) return out;
  const std::string_view kind = to_string(value.kind);
  return weir::format("{}{} {}{}\n", name, kind, weir::quoted(value.text), value.from_variable ? ", a variable" : "");
}

std::string replaced(const text_tests::Input& in) {
  const Replaced out = replace(in.text(), in.argument == "warn" ? Severity::warn : Severity::error);
  return out.findings + leaves(out.document.root);
}

std::string dotenv(const text_tests::Input& in) {
  std::vector<Finding> findings;
  std::string out;
  for (const auto& [name, value] : read_dotenv(text_tests::with_bytes(in.text()), "a.env", findings))
    out += name + "=" + weir::quoted(value) + "\n";
  return out + render(findings, Format::text);
}

std::string shown_without_secrets(const text_tests::Input& in) {
  Replaced out = replace(in.text());
  for (Member& member : out.document.root.members) member.value.secret = member.key == "secret";
  return shown(out.document.root);
}

const bool variables_tests =
    text_tests::add("engine/core/config/variables_test.txt",
                    {{"in_string",
                      [](const auto& in) {
                        const Replaced out = replace("[\"" + in.text() + "\"]");
                        return out.findings.empty() ? out.document.root.items[0].text : out.findings;
                      }},
                     {"replaced", replaced},
                     {"dotenv", dotenv},
                     {"shown", shown_without_secrets}});

}  // namespace
}  // namespace weir
