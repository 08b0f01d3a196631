#include <algorithm>
#include <ctime>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "core/config/findings.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/pipeline.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

using fakes::registry;
using testing::HasSubstr;

Checked check(std::string_view text, CheckOptions options = {}) {
  return check_pipeline(text, "p.json", registry(), options);
}

/// The findings as `weir lint` prints them, without the summary.
std::string lint(std::string_view text, CheckOptions options = {}) {
  std::string out;
  for (const Finding& finding : check(text, std::move(options)).findings) {
    const std::string all = render(std::vector{finding}, Format::text);
    out += all.substr(0, all.find('\n') + 1);
  }
  return out;
}

constexpr std::string_view good = R"({
  "name": "p", "limits": { "keys": 1000 },
  "nodes": [
    { "id": "signals", "source": "simulate", "vehicles": 3, "for": "10s" },
    { "id": "last", "transform": "keyed-last-value", "from": "signals" },
    { "id": "rows", "transform": "window-join", "from": "last", "every": "1s" },
    { "id": "db", "sink": "stdout", "from": "rows", "columns": { "speed": { "fill": "linear" }, "position": { "fill": "geo" } } }
  ]
})";

std::string with(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Check, AGoodPipelineIsBound) {
  ASSERT_EQ(lint(good), "");
  const auto pipeline = check(good).pipeline;
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->nodes.size(), 4u);
  EXPECT_EQ(pipeline->nodes[2].projection,
            (std::vector<ProjectedField>{{"speed", FieldKind::number}, {"position", FieldKind::point}}));
  EXPECT_EQ(pipeline->nodes[3].input->columns[2].name, "speed");
  EXPECT_EQ(pipeline->nodes[3].input->columns[3].name, "position_lat");
}

TEST(Check, AnEncodingThatNobodyNamesIsTheUsualOneOfTheSource) {
  const auto encoding = [](const std::string& source) {
    const auto pipeline =
        check(with(std::string{good}, R"("source": "simulate", "vehicles": 3, "for": "10s")", source)).pipeline;
    return pipeline ? pipeline->nodes[0].codec : "";
  };
  EXPECT_EQ(encoding(R"("source": "nats")"), "flatbuffers");
  EXPECT_EQ(encoding(R"("source": "jetstream-kv", "bucket": "b")"), "json") << "as the sink writes";
  EXPECT_EQ(encoding(R"("source": "jetstream-kv", "bucket": "b", "encoding": "text")"), "text");
}

TEST(Check, AHalfWrittenFileHasFindingsOnly) {
  for (std::size_t length = 0; length + 3 < good.size(); ++length)
    EXPECT_NE(lint(good.substr(0, length)), "") << good.substr(0, length);
  EXPECT_NE(lint(R"({"nodes":[{}]})"), "");
  EXPECT_NE(lint(R"({"nodes":[{"source":{}},{"from":""}]})"), "");
}

TEST(Check, AnUnsetVariableInTheStateIsReported) {
  const std::string text = with(std::string{good}, R"("name": "p",)",
                                R"("name": "p", "state": { "store": "jetstream-kv", "url": "${NOT_SET}" },)");
  EXPECT_TRUE(lint(text).contains("NOT_SET")) << lint(text);
}

TEST(Check, NodesMayStandInAnyOrder) {
  const auto pipeline = check(R"({ "name": "p", "nodes": [
    { "id": "out", "sink": "drop", "from": "signals" },
    { "id": "signals", "source": "simulate", "vehicles": 1, "for": "1s" } ] })")
                            .pipeline;
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->nodes[0].id, "signals");
}

TEST(Check, AMissingUnitIsShownWhereItIs) {
  EXPECT_EQ(lint(with(std::string{good}, R"("every": "1s")", R"("every": 1)")),
            "p.json:6:74: error: \"every\": 1 has no unit; write \"1s\" or \"1ms\"\n");
  EXPECT_EQ(lint(with(std::string{good}, R"("every": "1s")", R"("every": "1 s")")),
            "p.json:6:74: error: \"every\": \"1 s\": no space between number and unit; write \"1s\"\n");
}

TEST(Check, AnUnknownOperatorGetsASuggestion) {
  EXPECT_EQ(lint(with(std::string{good}, R"("sink": "stdout")", R"("sink": "stdoutt")")),
            "p.json:7:27: error: unknown sink \"stdoutt\"; did you mean \"stdout\"?\n");
  EXPECT_EQ(lint(with(std::string{good}, R"("sink": "stdout")", R"("sink": "simulate")")),
            "p.json:7:27: error: \"simulate\" is a source, not a sink; write \"source\": \"simulate\"\n");
}

TEST(Check, EveryMistakeIsReportedAtOnce) {
  const std::string text = with(
      with(with(std::string{good}, R"("every": "1s")", R"("evry": "1s")"), R"("vehicles": 3)", R"("vehicles": "many")"),
      R"("from": "rows")", R"("from": "row")");
  const std::string found = lint(text);
  EXPECT_NE(found.find("p.json:4:58: error: \"vehicles\" must be a whole number, not string"), std::string::npos)
      << found;
  EXPECT_NE(found.find("window-join\" needs \"every\""), std::string::npos) << found;
  EXPECT_NE(found.find("has no setting \"evry\"; did you mean \"every\"?"), std::string::npos) << found;
  EXPECT_NE(found.find("there is no node \"row\"; did you mean \"rows\"?"), std::string::npos) << found;
  EXPECT_EQ(std::ranges::count(found, '\n'), 4) << found;
}

TEST(Check, AMistakeOfTheTextIsNotReportedTwice) {
  EXPECT_EQ(lint(with(std::string{good}, R"("every": "1s")", R"("every": 1s)")),
            "p.json:6:74: error: expected a value but found \"1s\"; strings take double quotes\n");
  EXPECT_EQ(
      lint(with(std::string{good}, R"("vehicles": 3)", R"("vehicles": "${N}")")),
      "p.json:4:59: error: variable N is not set; set it, or write ${N:default}, or ${N:?why} if only a run needs it\n");
}

TEST(Check, AnOverrideHelpsWhereAVariableIsUnsetAndIsLeftAloneWhereTheTextIsBroken) {
  CheckOptions options;
  options.overrides = {{"signals.vehicles", "5"}};
  EXPECT_EQ(lint(with(std::string{good}, R"("vehicles": 3)", R"("vehicles": "${N}")"), options), "");
  EXPECT_EQ(lint(std::string{good}.substr(0, good.size() - 2), options),
            "p.json:8:4: error: expected \",\" or \"}\" but found the end; close the \"{\" of 1:1\n");
}

TEST(Check, EdgesMustFit) {
  EXPECT_NE(lint(with(std::string{good}, R"("from": "last")", R"("from": "db")"))
                .find("\"db\" is a sink; nothing comes out of it"),
            std::string::npos);
  EXPECT_NE(lint(with(std::string{good}, R"("from": "rows")", R"("from": "rows.lat")"))
                .find("\"rows\" has no port \"lat\"; did you mean \"late\"?"),
            std::string::npos);
  EXPECT_NE(lint(with(std::string{good}, R"("from": "signals")", R"("from": "rows")")).find("reads itself, by way of"),
            std::string::npos);
  EXPECT_NE(lint(with(std::string{good}, R"("id": "last")", R"("id": "rows")")).find("two nodes have the id \"rows\""),
            std::string::npos);
  EXPECT_NE(
      lint(with(std::string{good}, R"("columns": { "speed": { "fill": "linear" }, "position": { "fill": "geo" } })",
                R"("format": "json")"))
          .find("no sink behind this window-join names columns"),
      std::string::npos);
}

TEST(Check, StateNeedsABound) {
  EXPECT_NE(lint(with(std::string{good}, R"("limits": { "keys": 1000 },)", ""))
                .find("keeps state for every key, without a bound"),
            std::string::npos);
}

TEST(Check, AWindowBehindASharedQueueIsRefused) {
  const std::string shared =
      with(std::string{good}, R"("source": "simulate", "vehicles": 3, "for": "10s")",
           R"("source": "nats", "subject": "vehicle.{key}.{field}", "stream": "S", "mode": "shared", "durable": "d")");
  EXPECT_NE(lint(shared).find("is a queue that workers share"), std::string::npos) << lint(shared);
}

TEST(Check, WhatOneWorkerHoldsDoesNotStandBehindASharedQueue) {
  const auto behind_a_queue = [](const std::string& state, const std::string& sink) {
    return lint(R"({ "name": "p",)" + state + R"( "nodes": [
      { "id": "in", "source": "nats", "subject": "v.{key}.{field}", "stream": "S", "mode": "shared", "durable": "d" },
      { "id": "out", "from": "in", )" +
                sink + " } ] }");
  };
  const std::string kept = R"( "state": { "store": "jetstream-kv", "bucket": "s" },)";
  EXPECT_NE(behind_a_queue(kept, R"("sink": "drop")").find("error: \"in\" is a queue that workers share"),
            std::string::npos);
  EXPECT_NE(behind_a_queue("", R"("sink": "duckdb", "path": "x.duckdb")").find("warn: \"out\" keeps progress"),
            std::string::npos);
  EXPECT_EQ(behind_a_queue("", R"("sink": "drop")").find("queue"), std::string::npos);
}

TEST(Check, PayloadsThatCanNotTellATimeAreNoted) {
  const auto encoded = [](const std::string& encoding) {
    return lint(R"({ "name": "p", "nodes": [
      { "id": "in", "source": "nats", "subject": "v.{key}.{field}", "mode": "core", "encoding": ")" +
                encoding + R"(" },
      { "id": "out", "from": "in", "sink": "drop" } ] })");
  };
  EXPECT_NE(encoded("text").find("info: \"in\" reads payloads without a time"), std::string::npos) << encoded("text");
  EXPECT_EQ(encoded("json").find("without a time"), std::string::npos);
}

TEST(Check, VariablesAreReplacedAndMissed) {
  const std::string text = with(std::string{good}, R"("vehicles": 3)", R"("vehicles": "${N}")");
  CheckOptions options;
  EXPECT_EQ(lint(text).substr(0, 46), "p.json:4:59: error: variable N is not set; set");
  options.variable = [](std::string_view name) { return name == "N" ? std::optional<std::string>{"7"} : std::nullopt; };
  const auto pipeline = check(text, options).pipeline;
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->nodes[0].settings.integer("vehicles"), 7);
}

TEST(Check, ARequiredVariableIsAWarningForLintAndAnErrorForRun) {
  const std::string text = with(std::string{good}, R"("for": "10s")", R"("for": "${T:?how long}")");
  CheckOptions options;
  EXPECT_NE(lint(text, options).find("warn: variable T is not set: how long"), std::string::npos);
  options.to_run = true;
  EXPECT_NE(lint(text, options).find("error: variable T is not set: how long"), std::string::npos);
}

TEST(Check, OverridesReplaceSettings) {
  CheckOptions options;
  options.overrides = {{"rows.every", "2s"}, {"limits.keys", "5"}};
  const auto pipeline = check(good, options).pipeline;
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->nodes[2].settings.duration("every"), 2 * second);
  EXPECT_EQ(pipeline->key_limit, 5u);
  options.overrides = {{"rows.evry", "2s"}};
  EXPECT_NE(lint(good, options).find("has no setting \"evry\""), std::string::npos);
  options.overrides = {{"rows.every", "2"}};
  EXPECT_NE(lint(good, options).find(R"("2" has no unit; write "2s")"), std::string::npos) << lint(good, options);
}

TEST(Check, AnOverrideOfNullRemovesASetting) {
  CheckOptions options;
  options.overrides = {{"rows.every", "null"}};
  EXPECT_NE(lint(good, options).find("window-join\" needs \"every\""), std::string::npos) << lint(good, options);
  options.overrides = {{"rows.every", "null"}, {"rows.every", "3s"}, {"db.columns.position", "null"}};
  const auto pipeline = check(good, options).pipeline;
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->nodes[2].settings.duration("every"), 3 * second);
  ASSERT_EQ(pipeline->nodes[3].settings.columns("columns").size(), 1u);
  EXPECT_EQ(pipeline->nodes[3].settings.columns("columns")[0].field, "speed");
  options.overrides = {{"rows.evry", "null"}};
  EXPECT_EQ(lint(good, options),
            "p.json: error: -s rows.evry: there is no \"evry\" to remove; did you mean \"every\"?\n");
  options.overrides = {{"limits.keys", "null"}};
  EXPECT_NE(lint(good, options).find("keeps state for every key, without a bound"), std::string::npos);
}

TEST(Check, AMistakeInAnOverrideNamesTheOption) {
  const auto with_option = [](const char* path, const char* value) {
    CheckOptions options;
    options.overrides = {{path, value}};
    return lint(good, options);
  };
  EXPECT_EQ(with_option("rows.every", "2 s"),
            "p.json: error: -s rows.every: \"every\": \"2 s\": no space between number and unit; write \"2s\"\n");
  EXPECT_EQ(with_option("row.every", "2s"),
            "p.json: error: -s row.every: there is no node \"row\"; did you mean \"rows\"?\n");
  EXPECT_TRUE(with_option("rows.evry", "2s").starts_with("p.json: error: -s rows.evry: "))
      << with_option("rows.evry", "2s");
  EXPECT_TRUE(with_option("limits.keys", "many").starts_with("p.json: error: -s limits.keys: "));
}

TEST(Check, ASecretOnTheCommandLineIsWarnedOf) {
  const auto with_url = [](const char* url) {
    CheckOptions options;
    options.overrides = {{"db.sink", "timescale"}, {"db.table", "t"}, {"db.url", url}};
    options.variable = [](std::string_view) { return std::optional<std::string>{"postgresql://u:geheim@h/d"}; };
    return lint(good, options);
  };
  EXPECT_EQ(with_url("postgresql://u:geheim@h/d"),
            "p.json: warn: -s db.url: \"url\": every user of this machine can read the command line; write '${NAME}' "
            "or file:PATH\n");
  EXPECT_EQ(with_url("postgresql://u@h/d"), "") << "there is nothing secret in it";
  EXPECT_EQ(with_url("${PG_URL}"), "");
}

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
      lint(text).contains(":4:1: error: with the columns of \"db\" the sinks name 4097 fields; a lane holds 4096"))
      << lint(text);
}

TEST(Check, ACycleIsReportedOnceWithItsNodes) {
  const auto cycle = [](const char* a, const char* b, const char* c) {
    const std::string text = std::string{R"({ "name": "p", "nodes": [
{ "id": "in", "source": "simulate", "vehicles": 1 },
{ "id": "a", "transform": "filter", "where": "x > 1", "from": ")"} +
                             a + R"(" },
{ "id": "b", "transform": "filter", "where": "x > 1", "from": ")" +
                             b + R"(" },
{ "id": "c", "transform": "filter", "where": "x > 1", "from": ")" +
                             c + R"(" },
{ "id": "out", "sink": "drop", "from": "c" } ] })";
    const std::string found = lint(text);
    return found.substr(found.find("error: "));
  };
  EXPECT_EQ(cycle("b", "a", "in"), "error: \"a\" reads itself, by way of \"b\"\n");
  EXPECT_EQ(cycle("b", "a", "b"), "error: \"a\" reads itself, by way of \"b\"\n");
  EXPECT_EQ(cycle("c", "a", "b"), "error: \"a\" reads itself, by way of \"c\", \"b\"\n");
  EXPECT_EQ(cycle("a", "in", "in"), "error: \"a\" reads itself\n");
}

TEST(Check, ATransformBehindWindowJoinIsToldToStandBeforeIt) {
  const auto behind_join = [](const std::string& transform) {
    const std::string node = R"({ "id": "extra", "from": "rows", )" + transform + R"( },
    { "id": "db", "sink": "stdout", "from": "extra")";
    return lint(with(std::string{good}, R"({ "id": "db", "sink": "stdout", "from": "rows")", node));
  };
  for (const char* transform :
       {R"("transform": "filter", "where": "speed > 3")", R"("transform": "map", "set": { "kmh": "speed * 3.6" })"}) {
    const std::string found = behind_join(transform);
    EXPECT_TRUE(found.contains("\"rows\" gives brackets (key, tick, ")) << found;
    EXPECT_TRUE(found.contains("put \"extra\" before \"rows\"")) << found;
  }
}

TEST(Check, AMistakeHidesNoOtherOfItsNodeOrBehindIt) {
  const std::string found = lint(R"({ "name": "p", "limits": { "keys": 5 }, "nodes": [
    { "id": "in", "source": "nats", "stream": "S.x", "bogus": 1, "start": "time" },
    { "id": "fast", "transform": "filter", "from": "in", "where": "speed > 130" },
    { "id": "db", "sink": "duckdb", "from": "fast", "path": "", "key_column": "", "nope": 1 },
    { "id": "out", "sink": "kafka", "from": "in" } ] })");
  for (const char* one :
       {"2:47: error: \"in\": a stream's name", "2:54: error: source \"nats\" has no setting \"bogus\"",
        "2:75: error: \"in\": \"start\": \"time\" needs \"since\"", "3:67: error: \"fast\": unknown name",
        "4:61: error: \"db\": a file needs a name", "4:79: error: \"db\": a column needs a name",
        "4:83: error: sink \"duckdb\" has no setting \"nope\"", "5:28: error: unknown sink"}) {
    EXPECT_TRUE(found.contains(one)) << one << "\n" << found;
  }
  EXPECT_EQ(std::ranges::count(found, '\n'), 8) << found;
}

TEST(Check, AMistakeInOneBranchHidesNoneInAnother) {
  const auto both = [](const std::string& elsewhere, const std::string& one, const std::string& other) {
    const std::string found = lint(R"({ "name": "p", "nodes": [
    { "id": "in", "source": "nats", "stream": "S", "subject": "v.{key}" },
    { "id": "fast", "transform": "filter", "from": "in", "where": "spead > 3" },
    { "id": "out", "sink": "drop", "from": "fast" }, )" +
                                   elsewhere + " ] }");
    EXPECT_TRUE(found.contains(one)) << found;
    EXPECT_TRUE(found.contains(other)) << found;
    EXPECT_EQ(std::ranges::count(found, '\n'), 2) << found;
  };
  const std::string name = R"("fast": unknown name "spead")";
  both(R"({ "id": "db", "sink": "drop", "from": "rows" })", name, R"(there is no node "rows")");
  both(R"({ "id": "db", "sink": "kafka", "from": "fast" })", name, "unknown sink");
  both(R"({ "id": "a", "transform": "filter", "where": "x > 1", "from": "a" },
    { "id": "db", "sink": "drop", "from": "a" })",
       name, R"("a" reads itself)");
}

TEST(Check, AMistakeElsewhereHidesNoLostStart) {
  const std::string found = lint(R"({ "name": "p", "nodes": [
    { "id": "in", "source": "nats", "stream": "S", "subject": "v.{key}", "start": "new" },
    { "id": "last", "transform": "keyed-last-value", "from": "in" },
    { "id": "out", "sink": "stdout", "from": "last" } ] })");
  EXPECT_TRUE(found.contains("without a bound")) << found;
  EXPECT_TRUE(found.contains("would not find this place in the stream again")) << found;
}

TEST(Check, TwoSinksThatReadTheSameDoNotShareATable) {
  const auto with_another = [](const std::string& from, const std::string& table) {
    return lint(R"({ "name": "p", "nodes": [ { "id": "in", "source": "simulate", "for": "1s" },
      { "id": "hot", "transform": "filter", "from": "in", "where": "x > 90" },
      { "id": "a", "sink": "duckdb", "from": "in", "path": "p.duckdb", "table": "rows" },
      { "id": "cold", "sink": "drop", "from": "hot" },
      { "id": "b", "sink": "duckdb", "from": ")" +
                from + R"(", "path": "p.duckdb", "table": ")" + table + "\" } ] }");
  };
  EXPECT_THAT(with_another("in", "rows"),
              HasSubstr(R"("b" writes the same rows to the same table as "a"; give it a table of its own)"));
  EXPECT_EQ(with_another("in", "others"), "");
  EXPECT_EQ(with_another("hot", "rows"), "");
}

TEST(Check, ColumnsOfAnObjectHaveNamesOfTheirOwn) {
  for (const char* sink : {R"("sink": "stdout")", R"("sink": "nats", "stream": "S", "subject": "s.{key}")"}) {
    const auto columns = [&](const std::string& names) {
      return lint(
          R"({ "name": "p", "limits": { "keys": 9 }, "nodes": [ { "id": "in", "source": "simulate", "for": "1s" },
        { "id": "rows", "transform": "window-join", "from": "in", "every": "1s" },
        { "id": "out", )" +
          std::string{sink} + R"(, "from": "rows", "columns": { )" + names + " } } ] }");
    };
    EXPECT_EQ(columns(R"("speed": {}, "position": { "fill": "geo" })"), "");
    EXPECT_THAT(columns(R"("speed": {}, "key": {})"), HasSubstr(R"(two columns are called "key"; rename a field)"));
    EXPECT_THAT(columns(R"("position_lat": {}, "position": { "fill": "geo" })"),
                HasSubstr(R"(two columns are called "position_lat")"));
  }
}

TEST(Check, AMistakeHasNoFollowers) {
  const auto followed = [](std::string_view from, std::string_view to) {
    return lint(with(std::string{good}, from, to));
  };
  const auto one = [&](std::string_view from, std::string_view to, const std::string& finding) {
    const std::string found = followed(from, to);
    EXPECT_TRUE(found.contains(finding)) << found;
    EXPECT_EQ(std::ranges::count(found, '\n'), 1) << found;
  };
  one(R"("keys": 1000)", R"("keys": "abc")", R"("keys" must be a whole number)");
  one(R"("keys": 1000)", R"("keys": 1e3)", R"("keys" must be a whole number, not number; write 1000)");
  one(R"("keys": 1000)", R"("keys": 1.5)", R"("keys" must be a whole number, not number)");
  one(R"({ "keys": 1000 })", "[]", R"("limits" must be an object)");
  one(R"("sink": "stdout")", R"("sink": "kafka")",
      R"(there are "drop", "duckdb", "jetstream-kv", "nats", "nats-messages", "recording", "stdout", "timescale")");
  one(R"("source": "simulate", "vehicles": 3, "for": "10s")", R"("source": "kafka")",
      R"(there are "jetstream-kv", "nats", "recording", "simulate")");
  one(R"("transform": "keyed-last-value")", R"("transform": "smooth")",
      R"(unknown transform "smooth"; there are "filter")");
  one(R"("from": "rows")", R"("from": "joined")", R"(there are "signals", "last", "rows")");
  one(R"("from": "rows")", R"("from": "rows.later")", R"(did you mean "late"?)");
  one(R"("fill": "linear")", R"("fill": "cubic")", R"(choose one of "linear", "angle", "geo", "step")");
  one(R"("every": "1s")", R"("every": "1 fortnight")", "units are d, h, m, s, ms, us, ns");
  one(R"({ "id": "last",)", R"("last", { "id": "last",)", "a node must be an object");
  one(R"("id": "db")", R"("id": "the db")", R"("id" must be made of letters)");
  one(R"("id": "db", "sink": "stdout")", R"("id": "db")", "the node names no operator");
  one(R"("id": "db", "sink": "stdout")", R"("sink": "stdout")", "the node has no \"id\"");
}

TEST(Check, SettingsThatMeanNothingWithoutColumnsAreMistakes) {
  const auto sink = [](const std::string& settings) {
    return lint(R"({ "name": "p", "nodes": [ { "id": "in", "source": "simulate", "vehicles": 1, "for": "1s" },
    { "id": "db", "sink": "duckdb", "path": "x", "from": "in", )" +
                settings + " } ] }");
  };
  EXPECT_TRUE(sink(R"("write_empty": true)").contains("\"write_empty\" is about rows"));
  EXPECT_EQ(sink(R"("key_column": "car")"), "");
}

TEST(Check, AFieldIsNoColumnOfSamples) {
  const std::string found = lint(R"({ "name": "p", "nodes": [ { "id": "in", "source": "simulate", "vehicles": 1 },
    { "id": "fast", "transform": "filter", "from": "in", "where": "speed > 0" },
    { "id": "out", "sink": "drop", "from": "fast" } ] })");
  EXPECT_TRUE(found.contains(R"(a sample is one value of one field: field = 'speed' and x > 0)")) << found;
}

TEST(Check, AnotherNotationIsNamed) {
  const auto is_yaml = [](std::string_view text, std::string_view file) {
    const auto findings = check_pipeline(text, file, registry(), {}).findings;
    return findings.size() == 1 && findings[0].message == "this is YAML, and pipelines are JSON";
  };
  EXPECT_TRUE(is_yaml("name: fleet\nnodes:\n  - id: a\n", "p.json"));
  EXPECT_TRUE(is_yaml("# ours\n\n---\nname: fleet\n", "p.json"));
  EXPECT_TRUE(is_yaml("- 1\n", "p.yaml"));
  EXPECT_FALSE(is_yaml("", "p.json"));
  EXPECT_FALSE(is_yaml("#", "p.json"));
  EXPECT_FALSE(is_yaml("nodes", "p.json"));
  EXPECT_FALSE(is_yaml("{ name: 1 }", "p.yaml"));
  EXPECT_EQ(check_pipeline(good, "p.yaml", registry(), {}).findings.size(), 0u) << "JSON is YAML";
}

TEST(Check, TheFingerprintIsOfWhatStateMeans) {
  const auto of = [](const std::string& text) { return check(text).pipeline->fingerprint; };
  const std::string before = of(std::string{good});
  EXPECT_EQ(before, of(with(std::string{good}, R"("sink": "stdout")", R"("description": "x", "sink": "stdout")")));
  EXPECT_NE(before, of(with(std::string{good}, R"("every": "1s")", R"("every": "2s")")));
}

TEST(Check, AChangeIsNamedWhereItWasMade) {
  const auto said = [](const std::string& from, const std::string& to) {
    std::string out;
    for (const Change& change : changes(check(from).pipeline->fingerprint, check(to).pipeline->fingerprint))
      out += (change.counts ? "! " : "") + change.words + "\n";
    return out;
  };
  const std::string text{good};
  EXPECT_EQ(said(text, with(text, R"("speed": {)", R"("charge": {}, "speed": {)")),
            "! db.columns now asks rows for \"charge\"\n")
      << "and of nothing upstream, which does not mind";
  EXPECT_EQ(said(text, with(text, R"("speed": { "fill": "linear" }, )", "")),
            "! db.columns no longer asks rows for \"speed\"\n");
  EXPECT_EQ(said(text, with(text, R"("fill": "linear")", R"("fill": "step")")), "");
  EXPECT_EQ(said(text, with(text, R"("vehicles": 3)", R"("vehicles": 4)")), "! \"signals\" was edited\n");
  EXPECT_EQ(said(text, with(text, R"("id": "db")", R"("id": "out")")), "");
  EXPECT_EQ(said(text, with(text, R"("keys": 1000)", R"("keys": 1001)")), "limits.keys was raised from 1000 to 1001\n");
  const std::string fixed =
      with(text, R"("every": "1s")", R"("every": "1s", "fields": ["speed", "position", "charge"])");
  EXPECT_EQ(said(fixed, with(fixed, R"("speed": {)", R"("charge": {}, "speed": {)")), "")
      << "it kept \"charge\" anyway";
  const std::string seen =
      with(text, R"("from": "rows", "columns": { "speed": { "fill": "linear" }, "position": { "fill": "geo" } } })",
           R"("from": "seen" }, { "id": "seen", "transform": "filter", "from": "last", "where": "x > 1" })");
  const std::string no_join =
      with(seen, R"({ "id": "rows", "transform": "window-join", "from": "last", "every": "1s" },)", "");
  EXPECT_EQ(said(no_join, with(no_join, "x > 1", "x > 2")), "\"seen\" was edited\n") << "no state depends on it";
  EXPECT_EQ(said(no_join, with(no_join, R"("vehicles": 3)", R"("vehicles": 4)")), "! \"signals\" was edited\n")
      << "positions are the source's";
}

TEST(Check, HowAStreamIsReachedIsNotWhatItSays) {
  const auto of = [](const std::string& access) {
    return check(R"({ "name": "p", "nodes": [ { "id": "in", "source": "nats", "stream": "S")" + access + R"( },
                      { "id": "out", "sink": "stdout", "from": "in" } ] })")
        .pipeline->fingerprint;
  };
  EXPECT_EQ(of(""), of(R"(, "url": "nats://other", "user": "u", "password": "p", "tls": {})"));
  EXPECT_EQ(of(""), of(R"(, "credentials": "other.creds")"));
  EXPECT_EQ(of(""), of(R"(, "max_age": "7d", "max_bytes": "1GB", "replicas": 3, "storage": "file", "create": false)"))
      << "an administrator may have changed the stream, and the file must follow";
  EXPECT_NE(of(""), of(R"(, "subject": "v.{key}")"));
}

TEST(Check, WhatIsNoPipelineAtAllSaysSo) {
  EXPECT_NE(lint("[]").find("a pipeline is an object"), std::string::npos);
  EXPECT_NE(lint("").find("error"), std::string::npos);
  EXPECT_NE(lint("{}").find("no \"nodes\""), std::string::npos);
  EXPECT_NE(
      lint(R"({"pipeline": "p.json", "tests": []})").find("file of tests, not a pipeline; run it with `weir test`"),
      std::string::npos);
  EXPECT_NE(lint(R"({"name": "p", "nodes": []})").find("the pipeline has no nodes"), std::string::npos);
}

TEST(Check, WhatAStoreOrAnEncodingSaysOfItsSettingsIsReportedInThem) {
  EXPECT_EQ(lint(with(std::string{good}, R"("name": "p",)",
                      R"("name": "p", "state": { "store": "jetstream-kv", "bucket": "no.dots" },)")),
            "p.json:2:62: error: a bucket's name has letters, digits, \"_\" and \"-\" only\n");
  const std::string bad = lint(with(std::string{good}, R"("vehicles": 3,)",
                                    R"("vehicles": 3, "encoding": { "codec": "json", "fields": { "speed": "" } },)"));
  EXPECT_TRUE(bad.starts_with("p.json:4:113: error: write the path of the value")) << bad;
}

TEST(Check, WhatIsShownHasNoSecrets) {
  CheckOptions options;
  options.variable = [](std::string_view) { return "hunter2"; };
  options.read_file = [](const std::string&) { return "hunter2"; };
  const auto checked = check(R"({ "name": "p", "nodes": [
    { "id": "in", "source": "nats", "stream": "S", "url": "nats://u:hunter2@host:4222", "user": "u", "password": "hunter2" },
    { "id": "out", "sink": "nats", "from": "in", "url": "${NATS_URL:nats://me:hunter2@host}", "token": "file:/run/token" },
    { "id": "db", "sink": "timescale", "from": "in", "url": "host=db password=hunter2", "table": "t" } ],
    "state": { "store": "jetstream-kv", "bucket": "b", "user": "${USER}", "password": "${WORD:hunter2}" } })",
                             options);
  ASSERT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  const std::string& shown = checked.pipeline->shown;
  EXPECT_EQ(shown.find("hunter2"), std::string::npos) << shown;
  EXPECT_NE(shown.find(R"("url": "nats://u:***@host:4222", "user": "u", "password": "<redacted>")"), std::string::npos)
      << shown;
  EXPECT_NE(shown.find(R"("table": "t")"), std::string::npos);
  EXPECT_NE(shown.find(R"("user": "${USER}", "password": "<redacted>")"), std::string::npos) << shown;
}

TEST(Check, ASinkBeginsAtTheFirstMessageOnlyWhereThatCanBeRead) {
  const auto begins = [](std::string_view source, std::string_view sink) {
    return lint(R"({ "name": "p", "nodes": [
    { "id": "in", )" +
                std::string{source} + R"( },
    { "id": "out", "from": "in", "start": "stream", )" +
                std::string{sink} + " } ] }");
  };
  const std::string_view file = R"("sink": "duckdb", "path": "x.duckdb")";
  EXPECT_FALSE(begins(R"("source": "simulate")", file).contains("error"));
  const std::string_view wrong =
      R"(p.json:3:43: error: "start": "stream" needs a source that can be read again, and a sink that keeps progress)";
  EXPECT_TRUE(begins(R"("source": "simulate")", R"("sink": "stdout")").contains(wrong));
  EXPECT_TRUE(begins(R"("source": "simulate", "speed": "1x")", file).contains(wrong));
}

TEST(Check, AStartThatNobodyFindsAgainIsAMistake) {
  const auto start = [](std::string_view begin, std::string_view sink, std::string_view state = "") {
    return lint(R"({ "name": "p",)" + std::string{state} + R"( "nodes": [
    { "id": "in", "source": "nats", "stream": "S", "start": )" +
                std::string{begin} + R"( },
    { "id": "out", "from": "in", "sink": )" +
                std::string{sink} + " } ] }");
  };
  const std::string_view since = R"("time", "since": "2026-01-31T00:00:00Z")";
  const std::string_view file = R"("duckdb", "path": "x.duckdb")";
  const std::string_view durable = R"("state": { "store": "jetstream-kv", "bucket": "b" },)";
  const std::string wrong = R"(p.json:2:61: error: a restarted worker would not find this place in the stream again; )"
                            R"(have it kept by a durable store, see `weir list stores` and "state", )"
                            R"(or write "start": "first")"
                            "\n";
  EXPECT_EQ(start(R"("new")", R"("stdout")"), wrong);
  EXPECT_EQ(start(since, R"("stdout")"), wrong);
  EXPECT_EQ(start(R"("new")", file), wrong) << "the position alone does not bring the state back";
  EXPECT_EQ(start(R"("new")", file, R"("state": { "store": "memory" },)"), wrong);
  EXPECT_FALSE(start(R"("first")", R"("stdout")").contains("error"));
  EXPECT_FALSE(start(since, file).contains("error")) << "an instant is found again";
  EXPECT_EQ(start(R"("new")", R"("drop")"), "");
  EXPECT_EQ(start(R"("new")", R"("stdout")", durable), "");
  EXPECT_EQ(start(R"("new", "mode": "shared", "durable": "d")", R"("stdout")"), "") << "the durable keeps its place";
}

TEST(Check, WhatIsReadAgainAtEveryStartIsNoted) {
  const auto said = [](std::string_view source, std::string_view sink, std::string_view state = "") {
    return lint(R"({ "name": "p",)" + std::string{state} + R"( "nodes": [ { "id": "in", "source": )" +
                std::string{source} + R"( }, { "id": "out", "from": "in", "sink": )" + std::string{sink} + " } ] }");
  };
  const auto notes = [&](std::string_view source, std::string_view sink, std::string_view state = "") {
    return said(source, sink, state).contains("info: nothing keeps state, so each start reads the stream again");
  };
  const std::string_view stream = R"("nats", "stream": "S")", file = R"("duckdb", "path": "x.duckdb")";
  EXPECT_TRUE(notes(stream, file));
  EXPECT_FALSE(notes(stream, file, R"("state": { "store": "jetstream-kv", "bucket": "b" },)"));
  EXPECT_FALSE(notes(stream, R"("stdout")"));
  const std::string given_out = "info: nothing keeps the place in the stream, so each start gives out all of it again";
  EXPECT_TRUE(said(stream, R"("stdout")", "").contains(given_out));
  EXPECT_EQ(said(stream, R"("drop")", ""), "");
  EXPECT_FALSE(notes(R"("simulate", "for": "1s")", file)) << "a seed loses nothing";
}

TEST(Check, AMistakeInASecretDoesNotShowIt) {
  const auto findings = [](std::string_view url) {
    return lint(R"({ "name": "p", "nodes": [
    { "id": "in", "source": "simulate", "vehicles": 1 },
    { "id": "db", "sink": "timescale", "from": "in", "url": ")" +
                std::string{url} + R"(", "table": "t" } ] })");
  };
  for (const char* url : {"postgresql://u:hunter2@db:port:x/fleet?what=1", "hunter2", "host=db password='hunter2"}) {
    const std::string said = findings(url);
    EXPECT_FALSE(said.empty()) << url;
    EXPECT_EQ(said.find("hunter2"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace weir
