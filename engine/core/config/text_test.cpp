#include "core/config/text.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include <weir/format.hpp>

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

struct Mistake {
  std::string_view text;
  std::string_view found;
};

void expect_mistakes(std::initializer_list<Mistake> cases) {
  for (const auto& [text, found] : cases) EXPECT_EQ(mistakes(text), found) << text;
}

TEST(Text, HasEveryKindOfValue) {
  const Value root = read(R"([null, true, false, 7, -7, 1.5, 1e3, "a", [], {}])");
  std::string kinds;
  for (const Value& item : root.items) kinds += std::string{to_string(item.kind)} + " ";
  EXPECT_EQ(kinds, "null boolean boolean integer integer number number string array object ");
  EXPECT_TRUE(root.items[1].boolean);
  EXPECT_FALSE(root.items[2].boolean);
  EXPECT_EQ(root.items[4].integer, -7);
  EXPECT_EQ(root.items[4].number, -7.0);
  EXPECT_EQ(root.items[6].number, 1000.0);
}

TEST(Text, KeepsIntegersWhileTheyAreExact) {
  const Value root = read("[9223372036854775807, -9223372036854775808, 9223372036854775808, -0, 1.0]");
  EXPECT_EQ(root.items[0].integer, INT64_MAX);
  EXPECT_EQ(root.items[1].integer, INT64_MIN);
  EXPECT_EQ(root.items[2].kind, ValueKind::number);
  EXPECT_EQ(root.items[2].number, 9223372036854775808.0);
  EXPECT_TRUE(std::signbit(root.items[3].number));
  EXPECT_EQ(root.items[4].kind, ValueKind::number);
}

TEST(Text, HasAPlaceForEveryKeyAndValue) {
  const std::string_view text = "{\n  \"nodes\": [ { \"id\": \"ä\", \"n\": 12 },\n    true ]\n}\n";
  const Value root = read(text);
  EXPECT_EQ(shown(root.span), "1:1-4:2");
  const Member& nodes = root.members[0];
  EXPECT_EQ(shown(nodes.key_span), "2:3-2:10");
  EXPECT_EQ(shown(nodes.value.span), "2:12-3:11");
  const Value& node = nodes.value.items[0];
  EXPECT_EQ(shown(node.members[0].value.span), "2:22-2:25");
  EXPECT_EQ(shown(node.members[1].key_span), "2:27-2:30");
  EXPECT_EQ(shown(node.find("n")->span), "2:32-2:34");
  const Span n = node.find("n")->span;
  EXPECT_EQ(text.substr(n.begin.offset, n.end.offset - n.begin.offset), "12");
  EXPECT_EQ(shown(nodes.value.items[1].span), "3:5-3:9");
  EXPECT_EQ(root.find("edges"), nullptr);
}

TEST(Text, CountsColumnsInCodePoints) {
  EXPECT_EQ(shown(read(R"(["äöü€🚗", 1])").items[1].span), "1:11-1:12");
  EXPECT_EQ(shown(read("\xef\xbb\xbf[1]").items[0].span), "1:2-1:3");
  EXPECT_EQ(shown(read("[\r\n1,\r\n2]").items[1].span), "3:1-3:2");
}

TEST(Text, DecodesEscapes) {
  EXPECT_EQ(read(R"(["\"\\\/\b\f\n\r\t\u00e4\u20AC\ud83d\ude97"])").items[0].text, "\"\\/\b\f\n\r\tä€🚗");
}

TEST(Text, StopsAtTheFirstMistakeInTheGrammar) {
  expect_mistakes({
      {"{\"a\":1\n \"b\" 2}", "2:2: expected \",\" or \"}\" but found \"b\"; write \",\" at 1:7\n"},
      {"[1 2]", "1:4: expected \",\" or \"]\" but found \"2\"; the \"[\" of 1:1 is open\n"},
      {R"({"a":[1,2})", "1:10: expected \",\" or \"]\" but found \"}\"; the \"[\" of 1:6 is open\n"},
      {R"({"a":1,})", "1:8: expected a key in double quotes but found \"}\"; remove the \",\" at 1:7\n"},
      {"[1,2,\n]", "2:1: expected a value but found \"]\"; remove the \",\" at 1:5\n"},
      {"[,1]", "1:2: expected a value but found \",\"\n"},
      {R"({"a" = "b"})", "1:6: expected \":\" but found \"=\"\n"},
      {R"({"a":, "b":2})", "1:6: expected a value but found \",\"\n"},
      {R"({name: 1})", "1:2: expected a key in double quotes but found \"name\"\n"},
      {R"({"every": 10s })", "1:11: expected a value but found \"10s\"; strings take double quotes\n"},
      {"['a', True]", "1:2: expected a value but found \"'a'\"; strings take double quotes\n"},
      {"[007]", "1:2: expected a value but found \"007\"; strings take double quotes\n"},
      {"[1e]", "1:2: expected a value but found \"1e\"; strings take double quotes\n"},
      {"# a\n[1]", "1:1: expected a value but found \"#\"; strings take double quotes\n"},
      {"[1] /* a", "1:5: comment is not closed; write */ at its end\n"},
      {"[\"a\",\n\"b]\n", "2:1: string is not closed on its line; write \" at its end\n"},
      {"{\"n\":[\n{\"a\":\"]\" // ]\n", "3:1: expected \",\" or \"}\" but found the end; close the \"{\" of 2:1\n"},
      {"{} {}", "1:4: expected the end but found \"{\"; the object ends at 1:3\n"},
      {"}", "1:1: expected a value but found \"}\"\n"},
      {"// only\n", "2:1: no value in this file; write { \"name\": …, \"nodes\": [ … ] }\n"},
  });
}

TEST(Text, ASyntaxErrorLeavesNoRoot) {
  const Document document = read_text(R"({"name": "fleet", "nodes": [ {"id": "a\d"}, x ], "x": y})", "t");
  EXPECT_EQ(document.root.kind, ValueKind::invalid);
  EXPECT_TRUE(document.root.members.empty());
  ASSERT_EQ(document.findings.size(), 2u);
  EXPECT_EQ(document.findings[0].rule, "bad-escape");
  EXPECT_EQ(document.findings[1].rule, "syntax");
}

TEST(Text, ReportsNumbersOutOfRange) {
  expect_mistakes({{"[1e999, -1e999]",
                    "1:2: number is out of range; numbers go from -1.8e308 to 1.8e308\n"
                    "1:9: number is out of range; numbers go from -1.8e308 to 1.8e308\n"}});
}

TEST(Text, ReportsBadStrings) {
  expect_mistakes({
      {R"(["C:\dir"])", "1:5: \\d is no escape; write \\\\d\n"},
      {R"(["\u12"])", "1:3: \\u12 is no escape; write \\u and four hexadecimal digits\n"},
      {R"(["\ud800"])", "1:3: \\ud800 is no escape; write both halves of the pair, or the character itself\n"},
      {R"(["\ude97"])", "1:3: \\ude97 is no escape; write both halves of the pair, or the character itself\n"},
      {"[\"a\tb\"]", "1:4: control character U+0009 in a string; write \\t\n"},
      {"[\"a\x01\"]", "1:4: control character U+0001 in a string; write \\u0001\n"},
  });
}

TEST(Text, RefusesDuplicateKeys) {
  expect_mistakes({
      {"{\"a\":1,\n\"b\":2, \"a\":3}", "2:8: \"a\" is given twice; the first is at 1:2\n"},
      {R"({"a":1, "\u0061":3})", "1:9: \"a\" is given twice; the first is at 1:2\n"},
      {R"({"a":{"a":1}, "b":{"a":1}})", ""},
  });
  const Document document = read_text(R"({"a":1, "a":2})", "t");
  ASSERT_EQ(document.root.members.size(), 1u);
  EXPECT_EQ(document.root.find("a")->integer, 1);
}

TEST(Text, RefusesWhatIsNoUtf8) {
  expect_mistakes({
      {"[\"\xff\xfe\", \"\xc3\"]",
       "1:3: byte 0xff is no UTF-8; save the file as UTF-8\n"
       "1:9: byte 0xc3 is no UTF-8; save the file as UTF-8\n"},
      {"// \x80\n[]", "1:4: byte 0x80 is no UTF-8; save the file as UTF-8\n"},
      {"\xff",
       "1:1: byte 0xff is no UTF-8; save the file as UTF-8\n"
       "1:1: expected a value but found \"\xef\xbf\xbd\"; strings take double quotes\n"},
  });
  EXPECT_EQ(read_text("[\"a\xff\"]", "t").root.items[0].text, "a\xef\xbf\xbd");
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

TEST(Text, ReportsEveryMistakeThatLeavesTheGrammarIntact) {
  EXPECT_EQ(mistakes("{ \"a\": 1e999,\n \"b\\d\": 1,\n \"a\": \"\t\",\n \"c\": \"\xff\" }"),
            "1:8: number is out of range; numbers go from -1.8e308 to 1.8e308\n"
            "2:4: \\d is no escape; write \\\\d\n"
            "3:2: \"a\" is given twice; the first is at 1:3\n"
            "3:8: control character U+0009 in a string; write \\t\n"
            "4:8: byte 0xff is no UTF-8; save the file as UTF-8\n");
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

TEST(Text, KeepsCommentsForPrinting) {
  const std::string formatted = R"(// the fleet
/* two
   lines */
{
  // its name
  "name": "fleet", // short
  "nodes": [
    // a source
    {
      "id": "signals" // of all vehicles
      // more to come
    },
    1, /* one */ // or so
    [
      // nothing yet
    ],
    {
      /* nor here */
    }
    // the end
  ], // nodes
  "last": true // really
}
// behind
)";
  EXPECT_EQ(print(formatted), formatted);
}

TEST(Text, GivesEachCommentToItsNeighbour) {
  const std::string_view text =
      "[ // first\n 1 /* one */, /* two */ 2, // behind\n 3\n // late comma\n , 4 /* four */ ]";
  EXPECT_EQ(print(text),
            "[\n  // first\n  1, /* one */\n  /* two */\n  2, // behind\n  3,\n  // late comma\n  4 /* four */\n]\n");
  EXPECT_EQ(print("{ /*a*/ \"k\" /*b*/ : /*c*/ 1 /*d*/ } /*e*/"),
            "{\n  /*a*/\n  /*b*/\n  /*c*/\n  \"k\": 1 /*d*/\n}\n/*e*/\n");
  EXPECT_EQ(shown(read("[1] // ä").comments.after[0].span), "1:5-1:9");
  EXPECT_EQ(print("[1, // a\r\n2]\r\n"), "[\n  1, // a\n  2\n]\n");
}

}  // namespace
}  // namespace weir
