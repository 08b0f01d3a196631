#include "core/plan/explain.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fakes/registry.hpp"

namespace weir {
namespace {

/// The promises of a pipeline with this source and sink, and what comes between.
std::vector<Promise> explained(const std::string& source, const std::string& sink, const std::string& between = "") {
  const std::string text = R"({ "name": "p", "limits": { "keys": 9 }, "nodes": [ { "id": "in", )" + source + " }, " +
                           between + R"({ "id": "out", "from": ")" + (between.empty() ? "in" : "last") + "\", " + sink +
                           " } ] }";
  const auto checked = check_pipeline(text, "p.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return explain(*checked.pipeline, fakes::registry());
}

/// The promises as `about: what`.
std::vector<std::string> promises(const std::string& source, const std::string& sink) {
  std::vector<std::string> out;
  for (const Promise& promise : explained(source, sink)) out.push_back(promise.about + ": " + promise.what);
  return out;
}

bool promised(const std::vector<std::string>& all, const std::string& one) { return std::ranges::contains(all, one); }

const std::string simulated_source = R"("source": "simulate", "for": "1s")";
const std::string file_sink = R"("sink": "duckdb", "path": "x.duckdb")";

TEST(Explain, RowsAndPositionInOneTransactionAreExactlyOnce) {
  const auto all = promises(simulated_source, file_sink);
  EXPECT_TRUE(promised(all, "out: exactly once"));
  EXPECT_TRUE(promised(all, "replay: byte-identical"));
  EXPECT_TRUE(promised(all, "order: per vehicle"));
}

TEST(Explain, ASharedQueueHasNoOrderAndRedelivers) {
  const auto all = promises(
      R"("source": "nats", "subject": "v.{key}.{field}", "stream": "S", "mode": "shared", "durable": "d")", file_sink);
  EXPECT_TRUE(promised(all, "out: at least once"));
  EXPECT_TRUE(promised(all, "order: none"));
  EXPECT_TRUE(promised(all, "replay: not promised"));
}

TEST(Explain, ACoreSubscriptionIsAtMostOnceEvenIntoATransaction) {
  EXPECT_TRUE(promised(promises(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")", file_sink),
                       "out: at most once"));
}

/// Nothing tells then how far beyond the snapshot its rows went.
TEST(Explain, AStateThatIsOlderThanWhatWasWrittenIsNoPromiseOfASinkWithoutProgress) {
  const std::string core = R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")";
  const std::string state = R"("limits": { "keys": 9 }, "state": { "store": "jetstream-kv", "bucket": "b" })";
  const auto said = [&](const std::string& sink) {
    const auto checked = check_pipeline("{ \"name\": \"p\", " + state + ", \"nodes\": [ { \"id\": \"in\", " + core +
                                            " }, { \"id\": \"out\", \"from\": \"in\", " + sink + " } ] }",
                                        "p.json", fakes::registry(), {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    return explain(*checked.pipeline, fakes::registry());
  };
  EXPECT_TRUE(std::ranges::contains(said(R"("sink": "stdout")"), "best effort", &Promise::what));
  EXPECT_TRUE(std::ranges::contains(said(file_sink), "at most once", &Promise::what));
}

TEST(Explain, SaysWhatASecondWorkerDoes) {
  EXPECT_TRUE(promised(promises(simulated_source, file_sink), "workers: must be one"));
  const std::string stream = R"("source": "nats", "stream": "S")";
  const std::string rows = R"("sink": "timescale", "url": "postgresql://h/d", "table": "t")";
  EXPECT_TRUE(promised(promises(stream, rows), "workers: one at work"));
  const auto beside_a_file = explained(stream, rows,
                                       R"({ "id": "last", "transform": "keyed-last-value", "from": "in" },
                                          { "id": "file", "from": "last", )" +
                                           std::string{file_sink} + " },");
  const auto workers = std::ranges::find(beside_a_file, "workers", &Promise::about);
  EXPECT_EQ(workers->what + ": " + workers->why,
            "must be one: no second one can open what file writes to; it would end");
  EXPECT_TRUE(promised(promises(stream + R"(, "partitions": 8)", rows), "workers: share"));
  EXPECT_TRUE(promised(promises(stream + R"(, "partitions": 8)", R"("sink": "drop")"), "workers: must be one"));
  EXPECT_TRUE(promised(promises(R"("source": "nats", "subject": "v.{key}.{field}", "queue": "q")", R"("sink": "drop")"),
                       "workers: share the messages"));
}

TEST(Explain, SaysThatADatabaseThatIsDownStopsAFileBesideIt) {
  const auto said = [](const std::string& between) {
    for (const Promise& promise : explained(simulated_source, file_sink, between)) {
      if (promise.about == "sinks") return promise.what + ": " + promise.why;
    }
    return std::string{};
  };
  const std::string last = R"({ "id": "last", "transform": "keyed-last-value", "from": "in" },)";
  EXPECT_EQ(
      said(last + R"({ "id": "rows", "from": "last", "sink": "timescale", "url": "postgresql://h/d", "table": "t" },)"),
      "commit together: a lane has one position: while one of them does not answer, none of the others gets anything");
  EXPECT_EQ(said(last), "") << "there is one sink alone";
}

TEST(Explain, WhatNothingRemembersIsAtLeastOnce) {
  EXPECT_TRUE(promised(promises(simulated_source, R"("sink": "stdout")"), "out: at least once"));
  EXPECT_TRUE(promised(promises(simulated_source, R"("sink": "drop")"), "out: kept nowhere"));
}

TEST(Explain, IdsReassureOnlyWhereTheSourceCanReplay) {
  const auto drops = [](const std::string& source) {
    const auto all = explained(source, R"("sink": "nats", "stream": "S", "subject": "v.{key}.{field}")");
    return std::ranges::any_of(all,
                               [](const Promise& p) { return p.about == "out" && p.why.contains("dedupe window"); });
  };
  EXPECT_TRUE(drops(simulated_source));
  EXPECT_FALSE(drops(R"("source": "simulate", "speed": "1x")"));
  EXPECT_FALSE(drops(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")"));
  EXPECT_FALSE(drops(R"("source": "nats", "stream": "T", "mode": "shared", "durable": "d")"));
}

TEST(Explain, CurrentValuesAreAsSafeAsTheirSource) {
  const auto said = [](const std::string& source) {
    const auto all = explained(source, R"("sink": "jetstream-kv", "bucket": "fleet-now")");
    return std::ranges::find(all, "out", &Promise::about)->what;
  };
  EXPECT_EQ(said(simulated_source), "effectively once");
  EXPECT_EQ(said(R"("source": "nats", "stream": "T", "mode": "shared", "durable": "d")"), "at least once");
  EXPECT_EQ(said(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")"), "at most once");
}

/// Why the state of a keyed-last-value behind this source is what it is.
std::string fate_of_state(const std::string& source) {
  const std::string last = R"({ "id": "last", "transform": "keyed-last-value", "from": "in" }, )";
  for (const Promise& promise : explained(source, R"("sink": "stdout")", last)) {
    if (promise.about == "state") return promise.what + ", " + promise.why;
  }
  return "";
}

TEST(Explain, StateInMemoryIsMadeAgainWhereTheSourceCan) {
  const std::string in_memory = "in memory, after a restart it is made again by reading ";
  EXPECT_TRUE(fate_of_state(R"("source": "nats", "stream": "S")").starts_with(in_memory + "the stream from"));
  EXPECT_TRUE(fate_of_state(simulated_source).starts_with(in_memory + "the source from"));
  EXPECT_TRUE(fate_of_state(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")")
                  .starts_with("in memory, a restart begins with none"));
}

TEST(Explain, SaysWhatBecomesOfAChange) {
  const std::string last = R"({ "id": "last", "transform": "keyed-last-value", "from": "in" }, )";
  const auto fate = [](const std::string& source, const std::string& sink, const std::string& between = "") {
    const auto all = explained(source, sink, between);
    return std::ranges::find(all, "a change", &Promise::about)->what;
  };
  EXPECT_EQ(fate(simulated_source, file_sink, last), "is refused");
  EXPECT_EQ(fate(simulated_source, file_sink), "goes on") << "no state";
  EXPECT_EQ(fate(R"("source": "simulate", "speed": "1x")", file_sink, last), "goes on");
  EXPECT_EQ(fate(simulated_source, R"("sink": "stdout")", last), "starts over");
}

TEST(Explain, SaysWhereARestartBegins) {
  const auto restart = [](const std::string& source, const std::string& sink) {
    const auto all = explained(source, sink);
    const auto found = std::ranges::find(all, "a restart", &Promise::about);
    return found == all.end() ? "" : found->what;
  };
  EXPECT_EQ(restart(simulated_source, file_sink), "reads all again");
  EXPECT_EQ(restart(simulated_source, R"("sink": "stdout")"), "");
  EXPECT_EQ(restart(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")", file_sink), "");
}

TEST(Explain, TextHasNoTimeOfItsOwn) {
  const auto with_codec = [](const std::string& codec) {
    return promises(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core", "encoding": )" + codec,
                    file_sink);
  };
  EXPECT_TRUE(promised(with_codec(R"("text")"), "time: arrival time only: text has no other"));
  for (const char* codec : {R"("json")", R"({ "codec": "json", "time": "ts" })", R"("flatbuffers")"})
    EXPECT_TRUE(promised(with_codec(codec), "time: event time, from the payload")) << codec;
}

TEST(Explain, SaysWhereDeadLettersAre) {
  EXPECT_TRUE(promised(promises(simulated_source, file_sink), "dead letters: kept in weir_dead_letters"));
  EXPECT_TRUE(promised(promises(simulated_source, R"("sink": "stdout")"), "dead letters: kept in p.dead.jsonl"));
  const auto why = [](const std::string& between) {
    const auto all = explained(simulated_source, file_sink, between);
    return std::ranges::find(all, "dead letters", &Promise::about)->why;
  };
  const std::string bounds =
      "; of each partition at most 10 a minute of a key and reason, 1000 of a reason, 100000 a day; for 7d";
  EXPECT_EQ(why(""), "beside the rows of out" + bounds);
  EXPECT_EQ(why(R"({ "id": "last", "transform": "keyed-last-value", "from": "in" },
                    { "id": "first", "from": "last", )" +
                std::string{R"("sink": "timescale", "url": "postgresql://h/d", "table": "t" },)"}),
            "beside the rows of out; rows that first refuses, beside its own" + bounds);
}

}  // namespace
}  // namespace weir
