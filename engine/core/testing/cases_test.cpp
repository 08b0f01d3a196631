#include "core/testing/cases.hpp"

#include <gtest/gtest.h>

#include <weir/format.hpp>

namespace weir {
namespace {

/// Passes samples on; how it may go wrong is a setting.
class Pass final : public Transform {
 public:
  Pass(const Settings& settings, Context& context)
      : settings_{settings}, fault_{settings.text("fault")}, passed_{context.counter("passed")} {
    if (fault_ == "is made in vain") (void)settings.number("bye");
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    return fault_ == "binds nothing" ? Schemas{} : Schemas{inputs[0]};
  }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    ++batches_;
    samples_ += in->rows;
    out.count(passed_, in->rows);
    if (fault_ == "refuses" && in->rows != 0) out.refuse(*in, 0, {"too_hot", "99"});
    if (fault_ == "asks in vain") (void)settings_.number("bye");
    if (fault_ == "throws") throw std::runtime_error{"stoi"};
    if (fault_ == "emits elsewhere") out.emit(in, 1);
    if (fault_ == "counts nothing") out.count(99'999'999, 1);
    if (fault_ == "refuses nobody") out.refuse(*in, in->rows, "late");
    if (fault_ == "emits nothing") out.emit(nullptr);
    if (fault_ == "emits too little") {
      auto batch = std::make_shared<Batch>();
      batch->schema = in->schema;
      out.emit(std::move(batch));
    }
    if (fault_ == "stops") return fail(Error::Kind::internal, "nothing works");
    if (fault_ == "counts batches" && batches_ == 2) return {};
    if (fault_ == "forgets" && samples_ == 4) return {};
    out.emit(in);
    return {};
  }
  Result<void> load(StateReader&) override {
    if (fault_ == "can't load") throw std::runtime_error{"no room"};
    loaded_ = true;
    return {};
  }
  Size size() const override { return {.keys = fault_ == "keeps more" && loaded_ ? 1u : 0u}; }
  std::optional<Timestamp> due() const override {
    if (fault_ == "is late") return 0;
    if (fault_ == "waits") return 12 * second;
    if (fault_ == "waits long") return 100 * second;
    return {};
  }

 private:
  Settings settings_;
  std::string fault_;
  std::size_t passed_;
  std::size_t batches_ = 0, samples_ = 0;
  bool loaded_ = false;
};

class Nothing final : public Source {
 public:
  explicit Nothing(const Settings&) {}
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
};

class Away final : public Sink {
 public:
  explicit Away(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

Registry few_operators() {
  Registry out;
  register_all(out);
  out.add("sources", "nothing", make_operator<Nothing>(Spec::source("gives nothing")));
  out.add("sources", "spoken",
          make_operator<Nothing>(Spec::source("hears \"field of key\"").subjects([](const Settings&, Message& message) {
            const auto of = message.subject.find(" of ");
            message.field = message.subject.substr(0, of);
            message.key = message.subject.substr(of + 4);
          })));
  out.add("sinks", "away", make_operator<Away>(Spec::sink("keeps nothing")));
  out.add("transforms", "pass",
          make_operator<Pass>(Spec::transform("passes on")
                                  .field("fault", kind::text(), "what goes wrong", "")
                                  .counter("passed", "samples")));
  return out;
}

std::string case_file(const std::string& fault, const std::string& expect) {
  return weir::format(R"({{
  "pipeline": {{ "limits": {{ "keys": 10 }}, "nodes": [
    {{ "id": "in", "source": "nothing", "encoding": "text" }},
    {{ "id": "pass", "transform": "pass", "from": "in", "fault": "{}" }},
    {{ "id": "out", "sink": "away", "from": "pass" }} ] }},
  "tests": [
    {{ "name": "all pass", "script": [ {{ "at": "1s", "samples": ["key field time value", "a speed 1s..4s/1s 1..4", "a place 5s 52.5/13.4", "a mode - on"] }},
                                      {{ "advance": "10s" }} ],
      "expect": [
        {} ] }} ] }})",
                      fault, expect);
}

constexpr auto all_rows =
    R"({ "node": "out", "rows": ["key field time value arrival", "a speed 1s..4s/1s 1..4 1s", "a place 5s 52.5/13.4 1s", "a mode 1s on 1s"] })";

/// The findings, or the failures of the only case; "passed" if there is nothing to say.
std::string run(const std::string& text) {
  const Registry operators = few_operators();
  const ReadCases read = read_cases(text, "some.test.json", operators);
  if (!read.file) return render(read.findings, Format::text);
  const std::string out = render(run_case(read.file->cases.at(0), operators), "some.test.json");
  return out.empty() ? "passed" : out;
}

TEST(Cases, ScriptGoesInAndRowsComeOut) {
  EXPECT_EQ(run(case_file("", all_rows)), "passed");
  EXPECT_EQ(run(case_file("", R"({ "node": "pass", "rows": ["value", "1,2,3,4", "52.5/13.4", "on"] })")).substr(0, 7),
            "some.te")
      << "a list needs a range";
  EXPECT_EQ(run(case_file("", R"({ "counter": "pass.passed", "is": 6 })")), "passed");
}

TEST(Cases, ARowThatDiffersIsShown) {
  const std::string got =
      run(case_file("", R"({ "node": "out", "rows": ["time value", "1s..4s/1s 1,2,5,4", "5s 52.5/13.4", "1s on"] })"));
  EXPECT_EQ(got,
            "some.test.json:7:5: failed: all pass\n"
            "  some.test.json:10:9: rows of out differ (- expected, + got)\n"
            "      time  value\n"
            "      1s    1\n"
            "      2s    2\n"
            "    - 3s    5\n"
            "    + 3s    3\n"
            "      4s    4\n"
            "      5s    52.5/13.4\n"
            "      … 1 equal row\n");
}

TEST(Cases, AScriptThatEndsTooEarlyIsNamedWhereRowsAreMissing) {
  const std::string more = R"({ "node": "out", "rows": ["time", "1s..4s/1s", "5s", "1s", "6s"] })";
  const std::string fewer = R"({ "node": "out", "rows": ["time", "1s..4s/1s", "5s"] })";
  EXPECT_TRUE(run(case_file("waits", more))
                  .ends_with("    the script ends at 11s, and what is due at 12s is not done: nothing closes a tick "
                             "after the end; add { \"advance\": \"60s\" }\n"))
      << run(case_file("waits", more));
  for (const std::string& other :
       {run(case_file("waits", fewer)), run(case_file("waits long", more)), run(case_file("", more))}) {
    EXPECT_TRUE(other.contains("rows of out differ")) << other;
    EXPECT_FALSE(other.contains("the script ends")) << other;
  }
}

TEST(Cases, ACounterThatDiffersIsShown) {
  EXPECT_NE(run(case_file("", R"({ "counter": "pass.passed", "is": 7 })")).find("pass.passed is 6, expected 7"),
            std::string::npos);
}

TEST(Cases, DeadLettersMustBeExpected) {
  EXPECT_NE(run(case_file("refuses", all_rows)).find("dead letters differ"), std::string::npos);
  const auto expected =
      std::string{all_rows} + R"(, { "dead_letters": ["node reason payload", "pass too_hot 1", "pass too_hot 2"] })";
  EXPECT_NE(run(case_file("refuses", expected)).find("- pass  too_hot  2"), std::string::npos);
}

TEST(Cases, AnErrorThatStopsTheLaneIsAFailure) {
  EXPECT_NE(run(case_file("stops", all_rows)).find("pass: nothing works"), std::string::npos);
  EXPECT_NE(run(case_file("is late", all_rows)).find("something due at 0s was not done"), std::string::npos);
}

TEST(Cases, AnOperatorThatBreaksItsContractStopsItsLane) {
  const auto said = [](const std::string& fault) { return run(case_file(fault, all_rows)); };
  EXPECT_TRUE(said("throws").contains("pass: stoi")) << said("throws");
  const std::string undeclared = "transform \"pass\" asks for its setting \"bye\" as a number, but there is none";
  EXPECT_TRUE(said("asks in vain").contains("pass: " + undeclared)) << said("asks in vain");
  EXPECT_TRUE(said("is made in vain").contains("\"pass\": it threw: " + undeclared)) << said("is made in vain");
  EXPECT_TRUE(said("emits elsewhere").contains("pass: it emits to port 1, which its Spec does not declare"));
  EXPECT_TRUE(said("counts nothing").contains("pass: it counts by a number that no counter has"));
  EXPECT_TRUE(said("refuses nobody").contains("pass: it refuses row 6 of 6")) << said("refuses nobody");
  EXPECT_TRUE(said("binds nothing").contains("\"pass\": it binds 0 schemas, but has 1 ports"));
  EXPECT_TRUE(said("emits nothing").contains("pass: it emits no batch, or one without a schema"));
  EXPECT_TRUE(said("emits too little").contains("pass: it emits 0 columns, but its schema has 7"))
      << said("emits too little");
  EXPECT_TRUE(said("can't load").contains("an operator threw: no room")) << said("can't load");
  EXPECT_TRUE(said("keeps more").contains("pass holds 1 keys, not 0")) << said("keeps more");
}

TEST(Cases, TheCutOfBatchesMustNotShow) {
  const std::string got = run(case_file("counts batches", R"({ "counter": "pass.passed", "is": 6 })"));
  EXPECT_NE(got.find("in batches of 1 gives something else"), std::string::npos) << got;
}

TEST(Cases, StateThatIsNotSavedShows) {
  const std::string lost = run(case_file("forgets", R"({ "counter": "pass.passed", "is": 6 })"));
  EXPECT_NE(lost.find("gives something else"), std::string::npos) << lost;
}

TEST(Cases, MistakesInTheFileAreShownWhereTheyAre) {
  const auto has = [](const std::string& expect, const std::string& finding) {
    const std::string got = run(case_file("", expect));
    EXPECT_NE(got.find(finding), std::string::npos) << got;
  };
  has(R"({ "node": "outt", "rows": ["key"] })",
      R"(:10:19: error: the pipeline has no node "outt"; did you mean "out"?)");
  has(R"({ "node": "out", "rows": ["kee"] })", R"(unknown column "kee"; did you mean "key"?)");
  has(R"({ "node": "pass.late", "rows": ["key"] })", R"("pass" has no port "late")");
  has(R"({ "counter": "pass.pased", "is": 1 })", R"(did you mean "passed"?)");
  has(R"({ "counter": "pass.passed", "is": -1 })", "never negative");
  has(R"({ "node": "out", "rows": ["key time", "a 1s..2s/3s"] })",
      ":10:50: error: 1s..2s is not a whole number of steps of 3s");
  has("", "a test that expects nothing can't fail");
  has(R"({ "nodes": "out" })", R"(unknown field "nodes"; did you mean "node"?)");
}

std::string message_case(const std::string& source, const std::string& step) {
  return weir::format(R"({{
  "pipeline": {{ "nodes": [ {{ "id": "in", "source": "{}", "encoding": "text" }}, {{ "id": "out", "sink": "away", "from": "in" }} ] }},
  "tests": [ {{ "name": "one",
    "script": [ {{ "at": "1s", {} }} ],
    "expect": [ {{ "node": "out", "rows": ["key field time value", "v-7 speed 1s 7.5"] }} ] }} ] }})",
                      source, step);
}

TEST(Cases, MessagesPassSubjectAndEncodingOfTheSource) {
  const std::string subject = R"("messages": [ { "subject": "speed of v-7", )";
  EXPECT_EQ(run(message_case("spoken", subject + R"("payload": 7.5 } ])")), "passed");
  EXPECT_EQ(run(message_case("spoken", subject + R"("payload": "7.5" } ])")), "passed");
  EXPECT_EQ(run(message_case("spoken", subject + R"("hex": "37 2e35" } ])")), "passed");
  const std::string refused = run(message_case("spoken", subject + R"("payload": "fast" } ])"));
  EXPECT_NE(refused.find("+ in    not_a_number"), std::string::npos) << refused;
}

TEST(Cases, MistakesInMessagesAreShownWhereTheyAre) {
  const auto has = [](const std::string& step, const std::string& finding, const std::string& source = "spoken") {
    const std::string got = run(message_case(source, step));
    EXPECT_NE(got.find(finding), std::string::npos) << got;
  };
  has(R"("messages": [ { "subject": "a", "payload": 1, "hex": "31" } ])", R"(either "payload" or "hex")");
  has(R"("messages": [ { "subject": "a" } ])", R"(either "payload" or "hex")");
  has(R"("messages": [ { "payload": 1 } ])", R"("subject" is missing)");
  has(R"("messages": [ { "subject": "a", "hex": "3" } ])", ":4:70: error: \"hex\" must be pairs");
  has(R"("messages": [ { "subject": "a", "hex": "3g" } ])", "pairs of hexadecimal digits");
  has(R"("messages": [], "samples": [])", "samples or messages, not both");
  has(R"("messages": [ { "subject": "a", "payload": 1 } ])",
      R"(nobody sends messages to source "nothing", it makes them itself; write "samples")", "nothing");
}

TEST(Cases, ThePipelinesMistakesAreShownInTheFileOfTheCases) {
  std::string text = case_file("", all_rows);
  text.replace(text.find("\"pass\", \"from\""), 6, "\"pas\"");
  EXPECT_NE(run(text).find("some.test.json:4:34: error: unknown transform \"pas\""), std::string::npos) << run(text);
}

TEST(Cases, APipelineMayBeAFileBesideTheCases) {
  const Registry operators = few_operators();
  const std::string pipeline =
      R"({ "name": "p", "limits": { "keys": 1 }, "nodes": [ { "id": "in", "source": "nothing", "encoding": "text" }, { "id": "out", "sink": "away", "from": "in" } ] })";
  const std::string text =
      R"({ "pipeline": "p.json", "tests": [ { "name": "one", "script": [ { "at": "1s", "samples": ["key field value", "a b 1"] } ], "expect": [ { "node": "out", "rows": ["key time", "a 1s"] } ] } ] })";
  const ReadCases read = read_cases(text, "folder/p.test.json", operators, {.text = [&](const std::string& path) {
                                      return path == "folder/p.json" ? std::optional{pipeline} : std::nullopt;
                                    }});
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_TRUE(run_case(read.file->cases[0], operators).failures.empty());
  EXPECT_FALSE(read_cases(text, "p.test.json", operators).file);
}

TEST(Cases, ThePipelineSeesTheEnvironment) {
  const Registry operators = few_operators();
  const std::string text =
      R"({ "pipeline": { "limits": { "keys": "${KEYS}" }, "nodes": [ { "id": "in", "source": "nothing", "encoding": "text" }, { "id": "out", "sink": "away", "from": "in" } ] }, "tests": [ { "name": "one", "script": [ { "at": "1s" } ], "expect": [ { "dead_letters": [] } ] } ] })";
  const auto three = [](std::string_view name) {
    return name == "KEYS" ? std::optional<std::string>{"3"} : std::nullopt;
  };
  const ReadCases read = read_cases(text, "p.test.json", operators, {.environment = three});
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_EQ(read.file->cases[0].pipeline->key_limit, 3u);
  EXPECT_FALSE(read_cases(text, "p.test.json", operators).file);
}

TEST(Cases, APipelineIsNotAFileOfTests) {
  const auto read = read_cases(R"({ "name": "p", "nodes": [] })", "p.json", few_operators());
  EXPECT_FALSE(read.file);
  ASSERT_EQ(read.findings.size(), 1u);
  EXPECT_TRUE(read.findings[0].message.contains("is a pipeline, not a file of tests"));
}

}  // namespace
}  // namespace weir
