#include <gtest/gtest.h>

#include <algorithm>

#include <weir/format.hpp>

#include "core/testing/cases.hpp"

namespace weir {
namespace {

class Silent final : public Source {
 public:
  explicit Silent(const Settings&) {}
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
};

class Discarding final : public Sink {
 public:
  explicit Discarding(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

/// A source that gives everything again, or only what was not acknowledged, or nothing.
Registry with_sources() {
  Registry out;
  register_all(out);
  const auto source = [](Claims claims) {
    return make_operator<Silent>(
        Spec::source("gives what it claims to").claims([=](const Settings&) { return claims; }));
  };
  out.add("sources", "replays", source({.replayable = true, .ordered = true}));
  out.add("sources", "redelivers", source({.acknowledges = true}));
  out.add("sources", "forgets", source({}));
  out.add("sources", "reminds", source({.reminds = true}));
  out.add("sources", "spoken",
          make_operator<Silent>(Spec::source("hears \"field of key\"").subjects([](const Settings&, Message& message) {
            const auto of = message.subject.find(" of ");
            message.field = message.subject.substr(0, of);
            message.key = message.subject.substr(of + 4);
          })));
  const auto sink = [](Claims claims) {
    return make_operator<Discarding>(Spec::sink("keeps").claims([=](const Settings&) { return claims; }));
  };
  out.add("sinks", "table", sink({.transactional = true}));
  out.add("sinks", "ids", sink({.idempotent = true}));
  out.add("sinks", "ids for 10s", sink({.idempotent = true, .window = 10 * second}));
  out.add("sinks", "list", sink({}));
  return out;
}

/// What a pipeline of this source and this sink has in the end, as "value value …": samples 1 and 2, a commit, 3,
/// `then`, and 4.
std::string values(const std::string& source, const std::string& sink, const std::string& then,
                   const std::string& end = "3s") {
  const Registry operators = with_sources();
  const std::string text = weir::format(
      R"({{ "pipeline": {{ "nodes": [ {{ "id": "in", "source": "{}", "encoding": "text" }}, {{ "id": "out", "sink": "{}", "from": "in" }} ] }},
            "tests": [ {{ "name": "t", "script": [
              {{ "at": "1s", "samples": ["key field value", "a b 1", "a b 2"] }}, {{ "commit": true }},
              {{ "at": "2s", "samples": ["key field value", "a b 3"] }}, {},
              {{ "at": "{}", "samples": ["key field value", "a b 4"] }} ],
            "expect": [ {{ "node": "out", "rows": "rows.txt" }} ] }} ] }})",
      source, sink, then, end);
  const ReadCases read = read_cases(text, "t.test.json", operators,
                                    {.text = [](const std::string&) { return std::optional{std::string{"value"}}; }});
  if (!read.file) return render(read.findings, Format::text);
  const CaseResult result = run_case(read.file->cases.at(0), operators);
  std::string out = result.updates.empty() ? render(result, "t") : result.updates.at(0).text;
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

TEST(CaseScript, ACrashIsAsSourceAndSinkPromise) {
  const std::string crash = R"({ "crash": true })";
  EXPECT_EQ(values("replays", "table", crash), "value 1 2 3 4 ") << "exactly once";
  EXPECT_EQ(values("replays", "ids", crash), "value 1 2 3 4 ") << "once, as the ids are the same";
  EXPECT_EQ(values("replays", "list", crash), "value 1 2 1 2 3 4 ") << "at least once: nothing told where to go on";
  EXPECT_EQ(values("redelivers", "list", crash), "value 1 2 3 4 ");
  EXPECT_EQ(values("forgets", "list", crash), "value 1 2 4 ") << "at most once";
  EXPECT_EQ(values("reminds", "table", crash), "value 1 2 3 4 ");
}

/// What is wrong with these rows of a window-join behind a source that can't replay, in a sink that keeps progress.
std::string without_replay(const char* source, const char* store, const std::string& script, const std::string& rows) {
  const Registry operators = with_sources();
  const std::string text = weir::format(
      R"({{ "pipeline": {{ "limits": {{ "keys": 10 }}, "state": {{ {} }}, "nodes": [
              {{ "id": "in", "source": "{}", "encoding": "text" }},
              {{ "id": "rows", "transform": "window-join", "from": "in", "every": "1s", "fields": ["speed"] }},
              {{ "id": "db", "sink": "table", "from": "rows" }},
              {{ "id": "log", "sink": "table", "from": "rows.sessions" }} ] }},
            "tests": [ {{ "name": "t", "script": [ {} ], "expect": [ {{ "node": "db", "rows": ["key tick", {}] }},
              {{ "node": "log", "rows": ["key event time", "1 start 0.5s"] }} ] }} ] }})",
      store, source, script, rows);
  const ReadCases read = read_cases(text, "t.test.json", operators, {});
  return read.file ? render(run_case(read.file->cases.at(0), operators), "t") : render(read.findings, Format::text);
}

TEST(CaseScript, ASourceThatGivesNothingAgainLeadsToNoRowTwice) {
  const char* const durable = R"("store": "jetstream-kv", "bucket": "b")";
  for (const char* source : {"forgets", "reminds"}) {
    // The state is of before the tick that was committed.
    EXPECT_EQ(without_replay(source, durable, R"(
                { "at": "0.5s", "samples": ["key field time value", "1 speed 0.5s 10"] },
                { "at": "1.5s", "samples": ["key field time value", "1 speed 1.5s 20"] },
                { "snapshot": true }, { "commit": true }, { "at": "5s" }, { "commit": true }, { "crash": true },
                { "at": "8.5s", "samples": ["key field time value", "1 speed 8.5s 90"] }, { "at": "20s" })",
                             R"("1 1s", "1 2s..8s/1s")"),
              "")
        << source;
    // So it is, of ticks that are ahead of the clock.
    EXPECT_EQ(without_replay(source, durable, R"(
                { "at": "0.5s", "samples": ["key field time value", "1 speed 0.5s 10"] },
                { "at": "1s" }, { "snapshot": true }, { "commit": true },
                { "at": "2s", "samples": ["key field time value", "1 speed 4.5s 20"] },
                { "at": "4.4s" }, { "commit": true }, { "crash": true },
                { "at": "5s", "samples": ["key field time value", "1 speed 5.5s 90"] }, { "at": "20s" })",
                             R"("1 1s..5s/1s")"),
              "")
        << source;
  }
  // There is no state; a sample of before the written ticks comes late.
  EXPECT_EQ(without_replay("forgets", R"("store": "memory")", R"(
              { "at": "0.5s", "samples": ["key field time value", "1 speed 0.5s 10"] },
              { "at": "2.5s", "samples": ["key field time value", "1 speed 2.5s 20"] },
              { "at": "6s" }, { "commit": true }, { "crash": true },
              { "at": "6.1s", "samples": ["key field time value", "1 speed 1.7s 30"] },
              { "at": "6.2s", "samples": ["key field time value", "1 speed 3.5s 40"] }, { "at": "20s" })",
                           R"("1 1s..3s/1s")"),
            "");
}

TEST(CaseScript, ACommitFailsOrItsAnswerIsLost) {
  const std::string fails = R"({ "fail": "out", "times": 3 }, { "commit": true }, { "crash": true })";
  const std::string lost = R"({ "fail": "out", "answer": "lost" }, { "commit": true }, { "crash": true })";
  EXPECT_EQ(values("replays", "table", fails), "value 1 2 3 4 ");
  EXPECT_EQ(values("replays", "table", lost), "value 1 2 3 4 ");
  EXPECT_EQ(values("redelivers", "list", fails), "value 1 2 3 4 ");
  EXPECT_EQ(values("redelivers", "list", lost), "value 1 2 3 3 4 ") << "at least once";
}

TEST(CaseScript, AnExpectationInTheScriptSeesWhatIsThereThen) {
  const auto asked = [](const std::string& expect) {
    return values("replays", "table", weir::format(R"({{ "expect": [ {} ] }})", expect));
  };
  const std::string end = "value 1 2 3 4 ";
  EXPECT_EQ(asked(R"({ "node": "out", "rows": ["value", "1", "2"] }, { "acknowledged": 2 })"), end);
  EXPECT_EQ(asked(R"({ "node": "in", "rows": ["value", "1", "2", "3"] })"), end);
  EXPECT_EQ(asked(R"({ "node": "out", "contains": ["value", "2"] })"), end);
}

TEST(CaseScript, WhatIsNotThereYetFails) {
  const Registry operators = with_sources();
  const auto failures = [&](const std::string& expect) {
    const std::string text = weir::format(
        R"({{ "pipeline": {{ "nodes": [ {{ "id": "in", "source": "replays", "encoding": "text" }}, {{ "id": "out", "sink": "table", "from": "in" }} ] }},
              "tests": [ {{ "name": "t", "script": [ {{ "at": "1s", "samples": ["key field value", "a b 1", "a b 2"] }}, {{ "expect": [ {} ] }} ] }} ] }})",
        expect);
    const ReadCases read = read_cases(text, "t.test.json", operators);
    if (!read.file) return render(read.findings, Format::text);
    return render(run_case(read.file->cases.at(0), operators), "t");
  };
  EXPECT_TRUE(failures(R"({ "node": "out", "rows": ["value", "1", "2"] })").contains("rows of out differ"));
  EXPECT_TRUE(failures(R"({ "acknowledged": 2 })").contains("0 samples and messages are acknowledged, expected 2"));
  EXPECT_TRUE(failures(R"({ "node": "in", "contains": ["value", "2", "1", "7"] })")
                  .contains("2 of 3 rows are not among the 2 of in, in this order\n      value\n    - 1\n    - 7\n"))
      << failures(R"({ "node": "in", "contains": ["value", "2", "1", "7"] })");
  EXPECT_TRUE(failures(R"({ "state": "out", "keys": 1 })").contains("\"out\" keeps no state"));
}

TEST(CaseScript, SettingsAndVariablesAreTheFilesOrATests) {
  const Registry operators = with_sources();
  const auto run_with = [&](const std::string& of_file, const std::string& of_test) {
    const std::string text = weir::format(
        R"({{ {} "pipeline": {{ "limits": {{ "keys": "${{KEYS:1}}" }}, "nodes": [ {{ "id": "in", "source": "forgets", "encoding": "text" }}, {{ "id": "p", "transform": "filter", "from": "in", "where": "x < 5" }}, {{ "id": "out", "sink": "list", "from": "p" }} ] }},
              "tests": [ {{ "name": "t", {} "script": [ {{ "at": "1s", "samples": ["key field value", "a b 1", "c d 2"] }} ], "expect": [ {{ "node": "out", "rows": ["value", "1", "2"] }} ] }} ] }})",
        of_file, of_test);
    const ReadCases read = read_cases(text, "t.test.json", operators);
    if (!read.file) return render(read.findings, Format::text);
    return render(run_case(read.file->cases.at(0), operators), "t");
  };
  EXPECT_TRUE(run_with("", "").contains("the bound on keys"));
  EXPECT_EQ(run_with(R"("variables": { "KEYS": "2" },)", ""), "");
  EXPECT_EQ(run_with("", R"("variables": { "KEYS": "2" },)"), "");
  EXPECT_EQ(run_with(R"("set": { "limits.keys": 2 },)", ""), "");
  EXPECT_TRUE(
      run_with(R"("set": { "limits.keys": 2 },)", R"("set": { "limits.keys": 1 },)").contains("the bound on keys"));
  EXPECT_TRUE(run_with(R"("set": { "limits.keys": 2 },)", R"("set": { "p.where": "x > 1" },)").contains("- 1"));
  const std::string wrong = run_with("", R"("set": { "p.were": "x" },)");
  EXPECT_TRUE(
      wrong.starts_with("t.test.json:2:50: error: \"set\": transform \"filter\" has no setting \"were\"; did "
                        "you mean \"where\"?"))
      << wrong;
  const std::string of_file = run_with(R"("set": { "q.where": "x" },)", R"("set": { "p.where": "x > 1" },)");
  EXPECT_TRUE(of_file.starts_with("t.test.json:1:12: error: \"set\": there is no node \"q\"")) << of_file;
}

TEST(CaseScript, ARecordingsMessagesComeWhenTheyArrived) {
  const Registry operators = with_sources();
  const std::string text =
      R"({ "pipeline": { "nodes": [ { "id": "in", "source": "spoken", "encoding": "text" }, { "id": "out", "sink": "list", "from": "in" } ] },
           "tests": [ { "name": "t", "script": [ { "at": "1s" }, { "replay": "day.weir", "from": "2s" } ], "expect": [ { "node": "out", "rows": ["key field value arrival", "a b 7 2s"] } ] } ] })";
  CaseSurroundings around;
  around.messages = [](const std::string& path, Timestamp from, Timestamp) -> Result<std::vector<CaseMessage>> {
    if (path != "folder/day.weir") return fail(Error::Kind::refused, path + ": no such file");
    return std::vector<CaseMessage>{{.subject = "b of a", .payload = "7", .at = from},
                                    {.subject = "", .payload = "", .at = 9 * second, .marker = true}};
  };
  const ReadCases read = read_cases(text, "folder/t.test.json", operators, around);
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_EQ(render(run_case(read.file->cases.at(0), operators), "t"), "");
  const ReadCases not_there = read_cases(text, "t.test.json", operators, around);
  EXPECT_TRUE(render(not_there.findings, Format::text).contains("t.test.json:2:78: error: day.weir: no such file"))
      << render(not_there.findings, Format::text);
}

TEST(CaseScript, ARecordedMessageHasTheKeyThatItsSourceGaveIt) {
  const Registry operators = with_sources();
  const std::string text =
      R"({ "pipeline": { "nodes": [ { "id": "in", "source": "replays", "encoding": "text" }, { "id": "out", "sink": "table", "from": "in" } ] },
           "tests": [ { "name": "t", "script": [ { "replay": "day.weir" } ], "expect": [ { "node": "out", "rows": ["key field value", "a b 7"] } ] } ] })";
  CaseSurroundings around;
  around.messages = [](const std::string&, Timestamp, Timestamp) -> Result<std::vector<CaseMessage>> {
    return std::vector<CaseMessage>{{.subject = "s", .payload = "7", .at = second, .key = "a", .field = "b"}};
  };
  const ReadCases read = read_cases(text, "t.test.json", operators, around);
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_EQ(render(run_case(read.file->cases.at(0), operators), "t"), "");
}

TEST(CaseScript, DeadLettersThatWereExpectedOnceAreNotForEver) {
  const Registry operators = with_sources();
  const std::string text =
      R"({ "pipeline": { "nodes": [ { "id": "in", "source": "spoken", "encoding": "text" }, { "id": "out", "sink": "table", "from": "in" } ] },
           "tests": [ { "name": "t", "script": [ { "expect": [ { "dead_letters": ["reason"] } ] }, { "at": "1s", "messages": [ { "subject": "b of a", "payload": "x" } ] } ],
                        "expect": [ { "node": "out", "rows": ["value"] } ] } ] })";
  const ReadCases read = read_cases(text, "t.test.json", operators);
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_TRUE(render(run_case(read.file->cases.at(0), operators), "t").contains("dead letters differ"));
}

TEST(CaseScript, ADeadLetterThatWasKeptOutlivesACrash) {
  const Registry operators = with_sources();
  const auto failures = [&](const std::string& sink) {
    const std::string text = weir::format(
        R"({{ "pipeline": {{ "nodes": [ {{ "id": "in", "source": "spoken", "encoding": "text" }}, {{ "id": "out", "sink": "{}", "from": "in" }} ] }},
              "tests": [ {{ "name": "t", "script": [ {{ "at": "1s", "messages": [ {{ "subject": "b of a", "payload": "x" }} ] }}, {{ "commit": true }}, {{ "crash": true }} ],
                           "expect": [ {{ "dead_letters": ["reason", "'not_a_number'"] }} ] }} ] }})",
        sink);
    const ReadCases read = read_cases(text, "t.test.json", operators);
    if (!read.file) return render(read.findings, Format::text);
    return render(run_case(read.file->cases.at(0), operators), "t");
  };
  EXPECT_EQ(failures("table"), "");
  EXPECT_EQ(failures("list"), "") << "in the file";
}

TEST(CaseScript, WhatASnapshotCoversIsAcknowledgedAfterACrash) {
  const std::string script = R"({ "snapshot": true }, { "fail": "out", "answer": "lost" }, { "commit": true },
                                { "expect": [ { "acknowledged": 2 } ] }, { "crash": true }, { "expect": [ { "acknowledged": 3 } ] })";
  EXPECT_EQ(values("replays", "table", script), "value 1 2 3 4 ");
}

TEST(CaseScript, IdsAreKnownForAsLongAsTheSinkClaims) {
  const std::string lost = R"({ "fail": "out", "answer": "lost" }, { "commit": true })";
  const std::string crash = R"({ "at": "13s" }, { "crash": true })";
  EXPECT_EQ(values("replays", "ids for 10s", lost + ", { \"crash\": true }"), "value 1 2 3 4 ");
  EXPECT_EQ(values("replays", "ids for 10s", lost + ", " + crash, "14s"), "value 1 2 3 1 2 3 4 ");
}

TEST(CaseScript, MistakesInStepsAreShown) {
  const auto said = [](const std::string& step) { return values("replays", "table", step); };
  EXPECT_TRUE(said(R"({ "crash": false })").contains("\"crash\" must be true"));
  EXPECT_TRUE(said(R"({ "crash": true, "when": "1s" })").contains("unknown field \"when\""));
  EXPECT_TRUE(said(R"({ "crash": true, "at": "1s" })")
                  .contains("a step does one thing, and this has \"crash\" and \"at\"; write a step for each"));
  EXPECT_TRUE(said(R"({ "crash": true, "commit": true })").contains("this has \"crash\" and \"commit\""));
  EXPECT_TRUE(said(R"({ "at": "3s", "samples": ["key"], "expect": [] })").contains("this has \"at\" and \"expect\""));
  EXPECT_TRUE(said(R"({ "comit": true })").contains("unknown field \"comit\"; did you mean \"commit\"?"));
  EXPECT_TRUE(said(R"({ "fail": "out", "times": 0 })").contains("\"times\" is at least 1"));
  EXPECT_TRUE(said(R"({ "at": "2s", "samples": ["key field time value", "a b 0.5 1"] })")
                  .contains("\"0.5\" is no instant; write for example \"1.5s\""));
  EXPECT_TRUE(said(R"({ "fail": "in" })").contains("\"in\" is no sink"));
  EXPECT_TRUE(said(R"({ "fail": "ut" })").contains("did you mean \"out\"?"));
  EXPECT_TRUE(said(R"({ "fail": "out", "times": 101 })").contains("at most 100"));
  EXPECT_TRUE(said(R"({ "fail": "out", "answer": "late" })").contains("can only be \"lost\""));
  EXPECT_TRUE(said(R"({ "expect": [ { "node": "out", "contains": ["value"] } ] })").contains("but none are named"));
  EXPECT_TRUE(said(R"({ "expect": [ { "node": "out", "contains": "rows.txt" } ] })").contains("a table must be"));
  EXPECT_TRUE(said(R"({ "expect": [ { "counter": "out.invalid", "is": 0 } ] })").contains("has no counter"));
  EXPECT_EQ(said(R"({ "expect": [ { "counter": "out.rows", "is": 2 } ] })"), "value 1 2 3 4 ");
  EXPECT_TRUE(said(R"({ "expect": [] })").contains("expects nothing"));
  EXPECT_TRUE(said(R"({ "samples": [] })").contains("a step needs either"));
  EXPECT_TRUE(said(R"({ "wait": "1s" })").contains("unknown field \"wait\""));
}

}  // namespace
}  // namespace weir
