#include "core/plan/explain_change.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/plan/fingerprint.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

const std::string simulated = R"("source": "simulate", "for": "1s")";
const std::string into_file = R"("sink": "duckdb", "path": "x.duckdb")";
const std::string durable = R"("state": { "store": "jetstream-kv", "bucket": "b" }, )";

const std::string second_sink = R"(, { "id": "more", "from": "in", )" + into_file + " }";
const std::string all_of_second_sink = R"(, { "id": "more", "from": "in", "start": "stream", )" + into_file + " }";

struct Text {
  std::string name = "p";
  std::string root = "";
  std::string source = simulated;
  std::string every = "1s";
  std::string id = "db";
  std::string sink = into_file;
  std::string columns = R"("speed": {})";
  std::string more = "";
};

Pipeline pipeline(const Text& text) {
  const std::string all = R"({ "name": ")" + text.name + R"(", )" + text.root +
                          R"("limits": { "keys": 9 }, "nodes": [ { "id": "in", )" + text.source +
                          R"( }, { "id": "rows", "transform": "window-join", "from": "in", "every": ")" + text.every +
                          R"(" }, { "id": ")" + text.id + R"(", "from": "rows", )" + text.sink + R"(, "columns": { )" +
                          text.columns + " } }" + text.more + " ] }";
  auto checked = check_pipeline(all, "p.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return std::move(*checked.pipeline);
}

/// A line for each promise: `about what: why`, the reason cut at its first comma, colon or semicolon.
std::string said(const Text& before, const Text& now) {
  std::string out;
  for (const Promise& promise : explain_change(pipeline(before), pipeline(now), fakes::registry()))
    out += promise.about + " " + promise.what + ": " + promise.why.substr(0, promise.why.find_first_of(",:;")) + "\n";
  return out;
}

TEST(ExplainChange, WhatStateDoesNotDependOnGoesOn) {
  const std::string goes_on = "state goes on: nothing that it depends on was changed\n";
  EXPECT_EQ(said({}, {}), goes_on);
  EXPECT_EQ(said({}, {.columns = R"("speed": { "fill": "step" })"}), "changed freely: \"db\" was edited\n" + goes_on);
  EXPECT_EQ(said({}, {.root = durable}), goes_on);
  EXPECT_EQ(said({}, {.more = second_sink}), goes_on + "more is new: begins where the furthest of the others stands\n");
  EXPECT_EQ(said({}, {.more = all_of_second_sink}),
            goes_on + "more is new: gets all rows and dead letters from the stream's first message on\n");
  EXPECT_EQ(said({}, {.more = R"(, { "id": "heard", "from": "in", "sink": "stdout" })"}),
            goes_on + "heard is new: begins where the furthest of the others stands\n");
}

TEST(ExplainChange, AColumnOfAFieldThatTheWindowNamesIsFree) {
  // A number that `fields` names waits at each tick already, with a column or without.
  const std::string fields = R"(1s", "fields": ["speed", "charge"], "wait": "2s)";
  const std::string two = R"("speed": {}, "charge": {})";
  EXPECT_EQ(said({.every = fields}, {.every = fields, .columns = two}),
            "changed freely: \"db\" was edited\nstate goes on: nothing that it depends on was changed\n");
  const auto promises = explain_change(pipeline({}), pipeline({.columns = two}), fakes::registry());
  EXPECT_TRUE(std::ranges::any_of(promises, [](const Promise& promise) {
    return promise.verdict == Verdict::refused && promise.why.contains(fields_advice);
  })) << "the cheap way must be said";
}

/// The first line that is said of a change.
std::string first_reason(const Text& before, const Text& now) {
  return explain_change(pipeline(before), pipeline(now), fakes::registry()).front().why;
}

TEST(ExplainChange, SaysWhatBecomesOfTheRowsOfASinkThatWasEdited) {
  EXPECT_EQ(first_reason({}, {.columns = R"("speed": { "max_gap": "3s" })"}),
            "\"db\" was edited: columns.speed; its rows so far stay as they are");
  EXPECT_EQ(
      first_reason({}, {.sink = into_file + R"(, "table": "other")"}),
      "\"db\" was edited: table is new; its rows so far stay in the old place; in another database or file (\"url\", \"path\") "
      "it is refused where another sink or a snapshot knows its progress, else it gets all rows");
  const std::string nats = R"("source": "nats", "stream": "A", "url": )";
  EXPECT_EQ(first_reason({.source = nats + R"("nats://a:4222")"}, {.source = nats + R"("nats://b:4222")"}),
            "\"in\" was edited: url");
  EXPECT_EQ(said({}, {.sink = R"("description": "a comment", )" + into_file}),
            "state goes on: nothing that it depends on was changed\n");
  EXPECT_EQ(
      said({}, {.sink = into_file + R"(, "table": "other")", .columns = R"("speed": {}, "charge": {})"}),
      "changed for the state: db.columns now asks rows for \"charge\"\nstate is refused: once rows are committed\n");
}

TEST(ExplainChange, WithoutAStoreWhatStateDependsOnIsRefused) {
  EXPECT_EQ(said({}, {.every = "2s"}),
            "changed for the state: \"rows\" was edited\nstate is refused: once rows are committed\n");
  EXPECT_EQ(
      said({}, {.columns = R"("speed": {}, "charge": {})"}),
      "changed for the state: db.columns now asks rows for \"charge\"\nstate is refused: once rows are committed\n");
}

TEST(ExplainChange, WithAStoreItGoesOnAfterADrain) {
  EXPECT_EQ(said({.root = durable}, {.root = durable, .every = "2s"}),
            "changed for the state: \"rows\" was edited\nstate goes on: after a drain (reload\n");
  const std::string moved = "state is refused: it lies in the old file's store or bucket\n";
  EXPECT_EQ(said({.root = durable}, {}), moved);
  EXPECT_EQ(said({.root = durable}, {.root = R"("state": { "store": "jetstream-kv", "bucket": "c" }, )"}), moved);
  EXPECT_EQ(
      said({.root = durable}, {.root = R"("state": { "store": "jetstream-kv", "bucket": "b", "lease": "5s" }, )"}),
      "state goes on: nothing that it depends on was changed\n");
  EXPECT_EQ(said({.root = durable}, {.root = durable, .every = "2s", .more = second_sink}),
            "changed for the state: \"rows\" was edited\nstate goes on: after a drain (reload\n"
            "more is new: begins where the furthest of the others stands\n");
  EXPECT_EQ(said({.root = durable}, {.root = durable, .every = "2s", .more = all_of_second_sink}),
            "changed for the state: \"rows\" was edited\nstate is refused: once rows are committed\n"
            "more is new: gets all rows and dead letters from the stream's first message on\n");
}

TEST(ExplainChange, PositionsAreOfOneStream) {
  const std::string reads = R"("source": "nats", "stream": )";
  EXPECT_EQ(said({.root = durable, .source = reads + "\"A\""}, {.root = durable, .source = reads + "\"B\""}),
            "changed for the state: \"in\" was edited\nstate is refused: once rows are committed\n");
}

TEST(ExplainChange, ARenamedSinkIsRefusedUnlessItSaysSo) {
  const std::string refused = first_reason({}, {.id = "out"});
  EXPECT_TRUE(refused.contains(R"(write "renamed_from": "db" there)")) << refused;
  EXPECT_TRUE(said({}, {.id = "out"}).starts_with("out is refused: "));
  const Text renamed{.id = "out", .sink = R"("renamed_from": "db", )" + into_file};
  EXPECT_EQ(said({}, renamed),
            "out is renamed: goes on with what \"db\" keeps\n"
            "state goes on: nothing that it depends on was changed\n");
  EXPECT_EQ(said(renamed, {}),
            "db is renamed: goes on with what \"out\" keeps\n"
            "state goes on: nothing that it depends on was changed\n")
      << "and back";
  EXPECT_EQ(
      said({}, {.id = "out", .sink = into_file + R"(, "table": "other")"}),
      "state starts empty: no sink has progress under its id\n"
      "out is new: gets all rows and dead letters from the stream's first message on\ndb is gone: its rows stay\n");
}

TEST(ExplainChange, ARenamedTransformIsRefusedUnlessItSaysSo) {
  const std::string more =
      R"(, { "id": "more", "transform": "window-join", "from": "in", "every": "1s", "fields": ["speed"] },
    { "id": "else", "from": "more", "columns": { "speed": {} }, "table": "else", )" +
      into_file + " }";
  std::string other = more;
  for (std::size_t at; (at = other.find("\"more\"")) != std::string::npos;) other.replace(at, 6, "\"much\"");
  EXPECT_TRUE(said({.root = durable, .more = more}, {.root = durable, .more = other}).starts_with("much is refused: "));
  other.replace(other.find("\"transform\""), 0, R"("renamed_from": "more", )");
  EXPECT_TRUE(said({.root = durable, .more = more}, {.root = durable, .more = other})
                  .ends_with("state goes on: nothing that it depends on was changed\n"))
      << said({.root = durable, .more = more}, {.root = durable, .more = other});
}

TEST(ExplainChange, WhatIsNotReplayedIsNotRefused) {
  const std::string paced = R"("source": "simulate", "speed": "1x")";
  EXPECT_EQ(said({.source = paced},
                 {.source = paced, .every = "2s", .id = "out", .sink = into_file + R"(, "table": "other")"}),
            "changed for the state: \"rows\" was edited\nstate begins empty: as at every start\n"
            "out is new: gets the rows from here on\ndb is gone: its rows stay\n");
  EXPECT_EQ(said({.sink = R"("sink": "stdout")"}, {.every = "2s", .sink = R"("sink": "stdout")"}),
            "changed for the state: \"rows\" was edited\nstate is rebuilt: as at every start\n");
}

TEST(ExplainChange, WhereSnapshotsAloneTellThePlaceItSaysWhatComesAgain) {
  const std::string printed = R"("sink": "stdout")";
  const Text before{.root = durable, .sink = printed};
  const std::string again = "state goes on: from the newest snapshot\n";
  EXPECT_EQ(said(before, before), again);
  EXPECT_TRUE(first_reason(before, before).ends_with("what was written behind it is written again"));
  EXPECT_EQ(said(before, {.root = durable, .every = "2s", .sink = printed}),
            "changed for the state: \"rows\" was edited\n" + again);
  EXPECT_EQ(said(before,
                 {.root = durable, .sink = printed, .more = R"(, { "id": "heard", "from": "in", "sink": "stdout" })"}),
            again + "heard is new: begins at the newest snapshot\n");
  EXPECT_EQ(said(before, {.sink = printed}), "state is refused: it lies in the old file's store or bucket\n");
  const std::string moves = "progress moves: between the store and the sinks\n",
                    both = R"(, { "id": "heard", "from": "in", "sink": "stdout" })";
  EXPECT_EQ(said({.root = durable, .sink = printed, .more = both}, {.root = durable, .id = "kept", .more = both}),
            again + "kept is new: begins at the newest snapshot\n" + moves);
  EXPECT_EQ(said({.root = durable, .id = "kept", .more = both}, {.root = durable, .sink = printed, .more = both}),
            again + "db is new: begins at the newest snapshot\nkept is gone: its rows stay\n" + moves);
  const Text other{.name = "q", .root = durable, .sink = printed};
  EXPECT_EQ(said(before, other), "name is refused: \"p\" has state in the same store\n");
  EXPECT_TRUE(first_reason(before, other).contains(R"(write "renamed_from": "p" beside "name")"));
  EXPECT_EQ(said(before, {.name = "q", .root = R"("renamed_from": "p", )" + durable, .sink = printed}), again);
  EXPECT_TRUE(said(before, {.name = "q", .root = durable, .every = "2s", .sink = printed})
                  .starts_with("name another pipeline"));
}

TEST(ExplainChange, AnotherNameIsAnotherPipeline) {
  EXPECT_EQ(said({}, {.name = "q", .sink = into_file + R"(, "table": "other")"}),
            "name another pipeline: \"q\" begins as if nothing had run\n");
  EXPECT_TRUE(said({}, {.name = "q"}).starts_with("name is refused: "));
  EXPECT_TRUE(
      said({}, {.name = "q", .sink = R"("start": "stream", )" + into_file}).starts_with("name another pipeline"));
  EXPECT_EQ(said({}, {.name = "q", .root = R"("renamed_from": "p", )"}),
            "state goes on: nothing that it depends on was changed\n");
}

}  // namespace
}  // namespace weir
