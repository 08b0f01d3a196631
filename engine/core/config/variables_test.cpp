#include "core/config/variables.hpp"

#include <map>

#include <gtest/gtest.h>

#include <weir/format.hpp>

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

TEST(Variables, AreReplacedInStrings) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"${HOST}", "db.example"},
      {"pg://${HOST}:${PORT}/x", "pg://db.example:5432/x"},
      {"${MISSING:nats://localhost:4222}", "nats://localhost:4222"},
      {"${MISSING:}", ""},
      {"${HOST:other}", "db.example"},
      {"${HOST:?set HOST}", "db.example"},
      {"${EMPTY}|", "|"},
      {"${EMPTY:full}", "full"},
      {"${MISSING:vehicle.{key}.{field}}.x", "vehicle.{key}.{field}.x"},
      {"$${HOST} $HOST {HOST} $", "${HOST} $HOST {HOST} $"},
      {"${LOOP}", "${HOST}"},
      {"ä${UMLAUT}€", "ääö€"},
  };
  for (const auto& [written, text] : cases) {
    const Replaced out = replace(weir::format("[\"{}\"]", written));
    EXPECT_EQ(out.findings, "") << written;
    EXPECT_EQ(out.document.root.items[0].text, text) << written;
  }
}

TEST(Variables, ReachEveryDepthButNoKey) {
  const Replaced out = replace(R"({"a": [{"b": "${PORT}"}], "${HOST}": 1})");
  EXPECT_EQ(out.document.root.find("a")->items[0].find("b")->text, "5432");
  EXPECT_NE(out.document.root.find("${HOST}"), nullptr);
  EXPECT_EQ(out.findings, "1:27-36: warn: variables are replaced in values, not in keys\n");
}

TEST(Variables, AloneInAStringMayStandForANumber) {
  const Replaced out = replace(R"(["${PORT}", "${MISSING:7}", " ${PORT}", "${PORT}${PORT}", "5432", "$${PORT}"])");
  const auto& items = out.document.root.items;
  EXPECT_TRUE(items[0].from_variable);
  EXPECT_TRUE(items[1].from_variable);
  for (std::size_t i = 2; i < items.size(); ++i) EXPECT_FALSE(items[i].from_variable) << i;
}

TEST(Variables, UnsetOnesAreFindingsAtTheirPlace) {
  const std::string_view text =
      "{\n  \"a\": \"x\\u00e4${NONE}\",\n  \"b\": \"${PG_URL:?set PG_URL}\", \"c\": \"${X:?}\"\n}";
  EXPECT_EQ(
      replace(text).findings,
      "2:16-23: error: variable NONE is not set; set it, or write ${NONE:default}, or ${NONE:?why} if only a run needs it\n"
      "3:9-30: error: variable PG_URL is not set: set PG_URL\n"
      "3:39-45: error: variable X is not set: it is required\n");
  const Replaced linted = replace(text, Severity::warn);
  EXPECT_TRUE(linted.findings.contains("3:9-30: warn: variable PG_URL is not set: set PG_URL\n"));
  EXPECT_TRUE(linted.findings.contains("2:16-23: error:"));
  EXPECT_EQ(linted.document.root.find("a")->kind, Value::Kind::invalid);
  EXPECT_EQ(linted.document.root.find("b")->kind, Value::Kind::string);
  EXPECT_EQ(linted.document.root.find("b")->text, "");
}

TEST(Variables, EveryMistakeOfAStringIsReported) {
  EXPECT_EQ(
      replace(R"(["${A} ${B}"])").findings,
      "1:3-7: error: variable A is not set; set it, or write ${A:default}, or ${A:?why} if only a run needs it\n"
      "1:8-12: error: variable B is not set; set it, or write ${B:default}, or ${B:?why} if only a run needs it\n");
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a${HOST", "1:4-10: error: \"${\" has no \"}\"; write $${ for a literal ${\n"},
      {"${}",
       "1:3-6: error: \"\" is no name of a variable; names are letters, digits and _; write $${ for a literal ${\n"},
      {"${1A}",
       "1:3-8: error: \"1A\" is no name of a variable; names are letters, digits and _; write $${ for a literal ${\n"},
      {"${A B:x}",
       "1:3-11: error: \"A B\" is no name of a variable; names are letters, digits and _; write $${ for a literal "
       "${\n"},
      {"${HOST:-x}", "1:3-13: error: ${HOST:-x} is a shell's syntax; write ${HOST:x}\n"},
      {"${A:=x}", "1:3-10: error: ${A:=x} is a shell's syntax; write ${A:x}\n"},
      {"${A:${HOST}}", "1:3-15: error: a variable's default can't hold a variable; give it a value of its own\n"},
      {"${LATIN}", "1:3-11: error: variable LATIN is no UTF-8; set it to text\n"},
  };
  for (const auto& [written, findings] : cases)
    EXPECT_EQ(replace(weir::format("[\"{}\"]", written)).findings, findings);
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

TEST(Dotenv, IsLinesOfNamesAndValues) {
  std::vector<Finding> findings;
  const auto variables = read_dotenv(
      "# servers\r\n\nNATS_URL=nats://h:4222 # here\nexport PG_URL = 'p # $x\\n'\r\nA=\"tab\\t\\\"\\$ \\d\" # "
      "x\nEMPTY=\nB=a#b\nC=x=y",
      ".env", findings);
  EXPECT_EQ(render(findings, Format::text), "no findings\n");
  const std::vector<std::pair<std::string, std::string>> expected{{"NATS_URL", "nats://h:4222"},
                                                                  {"PG_URL", "p # $x\\n"},
                                                                  {"A", "tab\t\"$ \\d"},
                                                                  {"EMPTY", ""},
                                                                  {"B", "a#b"},
                                                                  {"C", "x=y"}};
  EXPECT_EQ(variables, expected);
}

TEST(Dotenv, SaysWhichLineIsWrong) {
  std::vector<Finding> findings;
  const auto variables = read_dotenv("A=1\n  what\n1B=2\nC='x\nD=\"x\" y\nE=5", "a.env", findings);
  EXPECT_EQ(variables.size(), 2u);
  EXPECT_EQ(render(findings, Format::text),
            "a.env:2:3: error: not a line of the form NAME=value; write NAME=value; names are letters, digits and _\n"
            "a.env:3:1: error: not a line of the form NAME=value; write NAME=value; names are letters, digits and _\n"
            "a.env:4:1: error: the quotes around the value of C don't close at its end; close them\n"
            "a.env:5:1: error: the quotes around the value of D don't close at its end; close them\n"
            "4 findings (4 errors)\n");
}

TEST(Shown, IsAsWrittenAndWithoutSecrets) {
  Replaced out = replace(R"({"a": "${HOST}", "n": [1, 0.1, true, null, {}], "s": "hunter2",
    "u": "nats://me:hunter2@a:1,nats://you:p@ss@b:2/x:y@z", "p": "host=h password=hunter2 user=u", "d": "${U:pg://a:b@c}",
    "plain": "postgresql://user@host:5432/db?x=@", "q": "password='a b' x", "e": "a\"\\\n"})");
  out.document.root.find("s")->secret = true;
  EXPECT_EQ(
      shown(out.document.root),
      R"({"a": "${HOST}", "n": [1, 0.1, true, null, {}], "s": "<redacted>", )"
      R"("u": "nats://me:***@a:1,nats://you:***@b:2/x:y@z", "p": "host=h password=*** user=u", "d": "${U:pg://a:***@c}", )"
      R"("plain": "postgresql://user@host:5432/db?x=@", "q": "password=*** x", "e": "a\"\\\u000a"})");
  Document sloppy = read_text(R"(["pg://u:p/w?@h/db", "nats://h:4222/a@b", "token: u:p@h"])", "t");
  EXPECT_EQ(shown(sloppy.root), R"(["pg://u:***@h/db", "nats://h:4222/a@b", "token: u:p@h"])");
  Document tokens = read_text(R"(["nats://s3cr3t@host:4222", "nats://a:1,tls://s3cr3t@b", "ws://s3/cr3t@c"])", "t");
  EXPECT_EQ(shown(tokens.root), R"(["nats://***@host:4222", "nats://a:1,tls://***@b", "ws://***@c"])");
  const std::string longer(200, 'x');
  const Document document = read_text(weir::format("[\"{}\"]", longer), "t");
  EXPECT_EQ(shown(document.root), weir::format("[\"{}\"]", longer));
}

}  // namespace
}  // namespace weir
