#include "core/config/text.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

using ValueKind = Value::Kind;

Value read(std::string_view text) {
  Document document = read_text(text, "t");
  EXPECT_EQ(render(document.findings, Format::text), "no findings\n") << text;
  return std::move(document.root);
}

/// Every finding as `line:column: message; suggestion`.
std::string mistakes(std::string_view text) {
  std::string lines;
  for (const Finding& f : read_text(text, "t").findings) {
    const std::string suggestion = f.suggestion.empty() ? "" : "; " + f.suggestion;
    lines += weir::format("{}:{}: {}{}\n", f.span.begin.line, f.span.begin.column, f.message, suggestion);
  }
  return lines;
}

std::string shown(Span span) {
  return weir::format("{}:{}-{}:{}", span.begin.line, span.begin.column, span.end.line, span.end.column);
}

/// Every value of a text on a line of its own: place, key, kind, value.
std::string values(const Value& value, const std::string& key = "") {
  std::string out = shown(value.span) + " " + key + std::string{to_string(value.kind)};
  switch (value.kind) {
    case ValueKind::boolean:
      out += value.boolean ? " true" : " false";
      break;
    case ValueKind::integer:
      out += weir::format(" {}", value.integer);
      break;
    case ValueKind::number:
      out += weir::format(" {}", value.number);
      break;
    case ValueKind::string:
      out += " " + weir::quoted(value.text);
      break;
    default:
      break;
  }
  out += "\n";
  for (const Member& member : value.members)
    out += values(member.value, shown(member.key_span) + " " + member.key + ": ");
  for (const Value& item : value.items) out += values(item);
  return out;
}

TEST(Text, ASyntaxErrorLeavesNoRoot) {
  const Document document = read_text(R"({"name": "fleet", "nodes": [ {"id": "a\d"}, x ], "x": y})", "t");
  EXPECT_EQ(document.root.kind, ValueKind::invalid);
  EXPECT_TRUE(document.root.members.empty());
  ASSERT_EQ(document.findings.size(), 2u);
  EXPECT_EQ(document.findings[0].rule, "bad-escape");
  EXPECT_EQ(document.findings[1].rule, "syntax");
}

TEST(Text, HasALimitOfDepth) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(mistakes(nested(depth_limit)), "");
  EXPECT_EQ(mistakes(nested(depth_limit + 1)), "1:65: more than 64 levels of arrays and objects; flatten it\n");
  EXPECT_EQ(mistakes(nested(1'000'000)), "1:65: more than 64 levels of arrays and objects; flatten it\n");
}

TEST(Text, GivesUpAfterManyMistakes) {
  std::string text = "[";
  for (int i = 0; i < 100'000; ++i) text += "1e999,\n";
  const Document document = read_text(text, "t");
  ASSERT_EQ(document.findings.size(), finding_limit);
  EXPECT_EQ(document.findings.back().message, "too many mistakes; stopped reading");
}

TEST(Text, FindsPlacesInsideStrings) {
  const std::string text = "{\n \"where\": \"aä\\n\\u00e4\\ud83d\\ude97€b\" }";
  const Value root = read(text);
  const Value& where = *root.find("where");
  ASSERT_EQ(where.text, "aä\nä🚗€b");
  const std::pair<std::size_t, std::uint32_t> columns[] = {{0, 12}, {1, 13},  {2, 13},  {3, 14},  {4, 16},
                                                           {6, 22}, {10, 34}, {13, 35}, {14, 36}, {99, 36}};
  for (const auto& [offset, column] : columns) {
    EXPECT_EQ(place_inside(text, where, offset).line, 2u);
    EXPECT_EQ(place_inside(text, where, offset).column, column) << offset;
  }
}

TEST(Text, FindsPlacesInsideStringsAcrossReplacedVariables) {
  const std::string text = R"(["a${X}b${Y}c"])";
  Value value = read(text).items[0];
  value.written = std::exchange(value.text, "a123bc");
  value.replaced = {{1, 3, 1, 4}, {5, 0, 6, 4}};
  const std::uint32_t columns[] = {3, 4, 4, 4, 8, 13};
  for (std::size_t i = 0; i < std::size(columns); ++i) EXPECT_EQ(place_inside(text, value, i).column, columns[i]) << i;
  EXPECT_EQ(place_as_written(text, value, 6).column, 9u);
}

TEST(Text, PlacesInsideSomethingElseAreItsBeginning) {
  const Value root = read("[12]");
  EXPECT_EQ(place_inside("[12]", root.items[0], 1), root.items[0].span.begin);
  const Value other = read(R"(["abc"])");
  EXPECT_EQ(place_inside("", other.items[0], 1), other.items[0].span.begin);
}

// What a formatter needs: prints the tree with one element per line and every comment where it belongs.

std::string print(const Value& value, const std::string& indent);

std::string print_comments(const std::vector<Comment>& comments, std::string_view before, std::string_view after) {
  std::string text;
  for (const Comment& comment : comments) text += weir::format("{}{}{}", before, comment.text, after);
  return text;
}

std::string print_element(const Value& value, std::string_view key, bool last, const std::string& indent) {
  return print_comments(value.comments.before, indent, "\n") + indent + std::string{key} + print(value, indent) +
         (last ? "" : ",") + print_comments(value.comments.after, " ", "") + "\n";
}

std::string print(const Value& value, const std::string& indent) {
  const std::string inner = indent + "  ";
  const auto bracketed = [&](std::string_view open, std::string_view close, std::string elements) {
    elements += print_comments(value.comments.inside, inner, "\n");
    return elements.empty() ? weir::format("{}{}", open, close)
                            : weir::format("{}\n{}{}{}", open, elements, indent, close);
  };
  std::string elements;
  if (value.is(ValueKind::array)) {
    for (const Value& item : value.items) elements += print_element(item, "", &item == &value.items.back(), inner);
    return bracketed("[", "]", elements);
  }
  if (value.is(ValueKind::object)) {
    for (const Member& member : value.members) {
      const std::string key = weir::quoted(member.key) + ": ";
      elements += print_element(member.value, key, &member == &value.members.back(), inner);
    }
    return bracketed("{", "}", elements);
  }
  if (value.is(ValueKind::string)) return weir::quoted(value.text);
  return value.is(ValueKind::boolean) ? (value.boolean ? "true" : "false") : std::to_string(value.integer);
}

std::string print(std::string_view text) {
  const Value root = read(text);
  return print_comments(root.comments.before, "", "\n") + print(root, "") +
         print_comments(root.comments.after, "\n", "") + "\n";
}

const bool text_tests_added = text_tests::add(
    "engine/core/config/text_test.txt",
    {{"mistakes", [](const auto& in) { return mistakes(text_tests::with_bytes(in.text())); }},
     {"values", [](const auto& in) { return values(read_text(text_tests::with_bytes(in.text()), "t").root); }},
     {"comments", [](const auto& in) { return shown(read(in.text()).comments.after.at(0).span); }},
     {"print", [](const auto& in) { return print(text_tests::with_bytes(in.text())); }}});

}  // namespace
}  // namespace weir
