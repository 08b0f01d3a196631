/// Recordings made and replayed as users do it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir {
namespace {

class Recordings : public testing::Test {
 protected:
  struct Printed {
    int exit = 0;
    std::string text;
  };

  /// Rows, one a line, and nothing else unless something is wrong.
  Printed weir(std::vector<std::string> arguments) {
    const std::string log = directory_.file("log" + std::to_string(++runs_));
    const bool runs = arguments[0] == "run" || arguments[0] == "replay" || arguments[0] == "record";
    if (runs) arguments.insert(arguments.end(), {"-q", "--log-level", "error"});
    fakes::WeirProcess process{std::move(arguments), log};
    const int exit = process.wait();
    return {exit, process.log()};
  }

  /// A faulty fleet, recorded while its rows are printed.
  std::string pipeline() const {
    return directory_.write("fleet.json", R"({
      "name": "fleet", "limits": { "keys": 1000 }, "commit": { "every": "1ms" }, "dead_letters": ")" +
                                              directory_.file("dead.jsonl") + R"(",
      "nodes": [
        { "id": "signals", "source": "simulate", "vehicles": 30, "for": "8m", "drive": "1m", "park": "20s", "faults": {} },
        { "id": "tape", "sink": "recording", "from": "signals", "path": ")" +
                                              tape() + R"(" },
        { "id": "rows", "transform": "window-join", "from": "signals", "every": "1s",
          "session": { "field": "power", "on": 1, "off": 0, "timeout": "30s" } },
        { "id": "db", "sink": "stdout", "from": "rows",
          "columns": { "position": { "fill": "geo" }, "speed": {}, "charge": { "max_gap": "30s" } } }
      ] })");
  }
  static std::size_t rows_of(std::string_view text) {
    std::size_t rows = text.starts_with('{') ? 1 : 0;
    for (std::size_t at = text.find("\n{"); at != std::string_view::npos; at = text.find("\n{", at + 1)) ++rows;
    return rows;
  }
  std::string tape() const { return directory_.file("tape.weir"); }

  fakes::TemporaryDirectory directory_;

 private:
  int runs_ = 0;
};

TEST_F(Recordings, a_replay_prints_the_rows_that_the_recorded_run_did) {
  const std::string file = pipeline();
  const Printed live = weir({"run", file});
  ASSERT_EQ(live.exit, 0) << live.text;
  ASSERT_GT(std::ranges::count(live.text, '\n'), 1000);
  const Printed fast = weir({"replay", tape(), file, "--sink", "db=stdout"});
  EXPECT_EQ(fast.exit, 0);
  EXPECT_TRUE(fast.text == live.text) << "not the same rows";
  const Printed paced = weir({"replay", tape(), file, "--sink", "db=stdout", "--speed", "200x"});
  EXPECT_TRUE(paced.text == live.text) << "speed shows in the rows";
  const std::vector<std::string> part{"replay", tape(), file, "--sink", "db=stdout", "--until", "2026-01-01T00:01:30Z"};
  const Printed begun = weir(part);
  EXPECT_TRUE(live.text.starts_with(begun.text)) << "what comes later shows in the rows";
  EXPECT_LT(begun.text.size(), live.text.size());
  std::vector<std::string> whole = part;
  whole.emplace_back("--flush");
  const Printed flushed = weir(whole);
  EXPECT_TRUE(flushed.text.starts_with(begun.text)) << "flush changes what was closed before";
  EXPECT_GT(flushed.text.size(), begun.text.size()) << "nothing was open at the end";
}

TEST_F(Recordings, a_worker_that_was_killed_again_and_again_leaves_a_whole_recording) {
  const auto text = [&](const std::string& speed, const std::string& sinks) {
    return R"({ "name": "fleet", "limits": { "keys": 1000 }, "commit": { "every": "20ms" }, "nodes": [
        { "id": "signals", "source": "simulate", "vehicles": 50, "for": "60s", "faults": {},
          "start": "2026-01-01T00:00:00Z", "speed": ")" +
           speed + R"(" },
        { "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" }, )" +
           sinks + " ] }";
  };
  const std::string printed = R"({ "id": "db", "sink": "stdout", "from": "rows", "columns": { "speed": {} } })";
  const std::string plain = directory_.write("plain.json", text("max", printed));
  const Printed undisturbed = weir({"run", plain});
  ASSERT_EQ(undisturbed.exit, 0) << undisturbed.text;
  const std::string kept = R"({ "id": "db", "sink": "duckdb", "from": "rows", "path": ")" +
                           directory_.file("rows.duckdb") + R"(", "columns": { "speed": {} } },
        { "id": "tape", "sink": "recording", "from": "signals", "path": ")" +
                           tape() + R"(" })";
  const std::string recorded = directory_.write("recorded.json", text("20x", kept));
  fakes::WeirProcess worker{{"run", recorded, "-q"}, directory_.file("worker.log")};
  constexpr int kills = 6;
  for (int i = 0; i < kills; ++i) {
    (void)system_clock().wait((150 + 97 * i) * millisecond, {});
    ASSERT_EQ(worker.end(SIGKILL), fakes::WeirProcess::killed) << "it was over before";
    worker.start();
  }
  ASSERT_EQ(worker.wait(60 * second), 0) << worker.log();
  const Printed info = weir({"info", tape()});
  EXPECT_EQ(info.exit, 0) << info.text;
  EXPECT_EQ(info.text.find("gaps"), std::string::npos) << info.text;
  const Printed replayed = weir({"replay", tape(), plain, "--sink", "db=stdout"});
  EXPECT_EQ(replayed.exit, 0);
  EXPECT_TRUE(replayed.text == undisturbed.text) << "messages were lost, doubled or changed";
}

TEST_F(Recordings, record_writes_what_a_sink_beside_the_rows_does) {
  const std::string file = pipeline();
  const Printed live = weir({"run", file});
  ASSERT_EQ(live.exit, 0) << live.text;
  const std::string other = directory_.file("other.weir");
  const Printed made = weir({"record", "--pipeline", file, "-o", other, "--follow"});
  ASSERT_EQ(made.exit, 0) << made.text;
  const Printed replayed = weir({"replay", other, file, "--sink", "db=stdout"});
  EXPECT_TRUE(replayed.text == live.text);
  const auto size = std::filesystem::file_size(other);
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", other, "--follow"}).exit, 0);
  EXPECT_LT(std::filesystem::file_size(other), size + 4096) << "it has all of it already";
}

TEST_F(Recordings, record_keeps_only_what_is_asked_for) {
  const std::string file = pipeline(), some = directory_.file("some.weir");
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", some, "--follow", "--key", "7", "--key", "9"}).exit, 0);
  const Printed rows = weir({"replay", some, file, "--sink", "db=stdout"});
  ASSERT_EQ(rows.exit, 0) << rows.text;
  EXPECT_NE(rows.text.find("\"key\":\"7\""), std::string::npos);
  EXPECT_NE(rows.text.find("\"key\":\"9\""), std::string::npos);
  EXPECT_EQ(rows.text.find("\"key\":\"8\""), std::string::npos);
  const Printed info = weir({"info", some});
  EXPECT_EQ(info.exit, 0);
  EXPECT_NE(info.text.find(" of 2 vehicles"), std::string::npos) << info.text;
  EXPECT_NE(info.text.find("keys 7 9"), std::string::npos) << info.text;
  EXPECT_NE(info.text.find("by the selection if they ever were there"), std::string::npos) << info.text;
  EXPECT_EQ(info.text.find("gaps"), std::string::npos) << "what was not wanted is missing\n" << info.text;
  const Printed json = weir({"info", "--format=json", some});
  EXPECT_NE(json.text.find("\"left_out\":"), std::string::npos) << json.text;
  EXPECT_EQ(json.text.find("\"missing\":"), std::string::npos) << json.text;
  const Printed other = weir({"record", "--pipeline", file, "-o", some, "--follow", "--key", "8"});
  EXPECT_EQ(other.exit, 78) << "two selections in one file";
  EXPECT_NE(other.text.find("record to another file"), std::string::npos) << other.text;
  const Printed one = weir({"record", "--pipeline", file, "-o", some, "--follow", "--key", "7 9"});
  EXPECT_EQ(one.exit, 78) << "a name with a blank is taken for two";
}

TEST_F(Recordings, info_tells_what_is_in_it_and_what_is_lost) {
  ASSERT_EQ(weir({"run", pipeline()}).exit, 0);
  const Printed info = weir({"info", tape()});
  EXPECT_EQ(info.exit, 0) << info.text;
  for (const char* text : {"by tape of fleet", " of 1 partition", " of 30 vehicles", "temperature", "activity"})
    EXPECT_NE(info.text.find(text), std::string::npos) << text << " is not in\n" << info.text;
  // The first block, whose head comes soon behind the file's beginning.
  std::fstream damaged{tape(), std::ios::binary | std::ios::in | std::ios::out};
  damaged.seekp(300);
  damaged << "damaged";
  damaged.close();
  const Printed after = weir({"info", tape()});
  EXPECT_EQ(after.exit, 1);
  EXPECT_NE(after.text.find("damaged"), std::string::npos) << after.text;
  const Printed replayed = weir({"replay", tape(), pipeline()});
  EXPECT_EQ(replayed.exit, 70) << "as if nothing were missing";
  EXPECT_NE(replayed.text.find("damaged"), std::string::npos) << replayed.text;
}

TEST_F(Recordings, mistakes_are_said_before_anything_is_done) {
  const std::string file = pipeline();
  const Printed none = weir({"replay", directory_.file("none.weir"), file});
  EXPECT_EQ(none.exit, 66);
  EXPECT_NE(none.text.find("none.weir: No such file"), std::string::npos) << none.text;
  const std::string recorded = directory_.file("recorded.weir");
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", recorded, "--follow", "--key", "nobody"}).exit, 0);
  EXPECT_EQ(weir({"replay", recorded, file, "--sink", "db"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded, file, "--sink", "dB=stdout"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded, file, "--sink", "db=sdtout"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded, file, "--speed", "fast"}).exit, 78);
  EXPECT_EQ(weir({"replay", recorded, file, "--sink", "db=duckdb"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded, file, "--sink", "db=stdout", "--sink", "db=drop"}).exit, 64);
  EXPECT_EQ(weir({"record", "--pipeline", file}).exit, 64);
  EXPECT_EQ(weir({"record", "--pipeline", file, "-o", tape(), "--encoding", "json"}).exit, 64);
  EXPECT_EQ(weir({"record", "--pipeline", file, "-o", tape(), "--share", "half"}).exit, 64);
  EXPECT_EQ(weir({"record", "--pipeline", file, "-o", tape(), "--since", "2026-01-02T00:00:00Z", "--until",
                  "2026-01-01T00:00:00Z"})
                .exit,
            64);
  EXPECT_EQ(weir({"record", "--pipeline", file, "-o", tape(), "--share", "2"}).exit, 78);
  EXPECT_EQ(weir({"record", "--pipeline", file, "-o", tape(), "--sample", "2"}).exit, 78) << "the same by another name";
  EXPECT_EQ(weir({"record", "-o", tape()}).exit, 64);
  EXPECT_EQ(weir({"record", "-o", tape(), "--stream", "TELEMETRY"}).exit, 64);
  EXPECT_EQ(weir({"record", "-o", tape(), "--pipeline", directory_.file("none.json")}).exit, 78);
  EXPECT_EQ(weir({"replay", recorded, directory_.write("broken.json", "{")}).exit, 78);
  EXPECT_FALSE(std::filesystem::exists(tape()));
  const std::string behind = directory_.write("behind.json", R"({ "name": "x", "limits": { "keys": 9 }, "nodes": [
    { "id": "s", "source": "simulate" },
    { "id": "l", "transform": "keyed-last-value", "from": "s" },
    { "id": "tape", "sink": "recording", "from": "l", "path": "x.weir" } ] })");
  const Printed lint = weir({"lint", behind});
  EXPECT_EQ(lint.exit, 1);
  EXPECT_NE(lint.text.find("let it read the source"), std::string::npos) << lint.text;
  const std::string core = directory_.write("core.json", R"({ "name": "x", "nodes": [
    { "id": "s", "source": "nats", "subject": "vehicle.{key}.{field}" },
    { "id": "tape", "sink": "recording", "from": "s", "path": "x.weir" } ] })");
  const Printed queue = weir({"lint", core});
  EXPECT_EQ(queue.exit, 1);
  EXPECT_NE(queue.text.find("positions that stay"), std::string::npos) << queue.text;
  const std::string paced = directory_.write("paced.json", R"({ "name": "x", "nodes": [
    { "id": "s", "source": "simulate", "speed": "1x" },
    { "id": "tape", "sink": "recording", "from": "s", "path": "x.weir" } ] })");
  const Printed lacks = weir({"lint", paced});
  EXPECT_EQ(lacks.exit, 1);
  EXPECT_NE(lacks.text.find("\"speed\": \"max\""), std::string::npos) << "in the source's own words: " << lacks.text;
}

TEST_F(Recordings, a_stream_is_recorded_up_to_now) {
  const fakes::Servers servers{"nats"};
  const std::string file = directory_.write("text.json", weir::format(R"({{
    "name": "text", "limits": {{ "keys": 1000 }},
    "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "create": true, "encoding": "text" }},
      {{ "id": "out", "sink": "stdout", "from": "signals" }} ] }})",
                                                                      servers.nats()));
  // Makes the stream, and finds nothing in it.
  const std::string none = directory_.file("none.weir");
  EXPECT_NE(weir({"record", "--pipeline", file, "-o", none}).exit, 0) << "made a stream that it only was to read";
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", none, "-s", "signals.create=true"}).exit, 0);
  EXPECT_NE(weir({"info", none}).text.find("none"), std::string::npos);
  fakes::NatsPeer peer{servers.nats()};
  constexpr std::size_t count = 5000;
  peer.publish_many(count);
  peer.wait_for("TELEMETRY", count);
  const Printed made = weir({"record", "--pipeline", file, "-o", tape()});
  ASSERT_EQ(made.exit, 0) << made.text;
  const Printed info = weir({"info", tape()});
  EXPECT_NE(info.text.find("5,000 of 1 partition"), std::string::npos) << info.text;
  const Printed rows = weir({"replay", tape(), file, "--sink", "out=stdout"});
  EXPECT_EQ(rows.exit, 0);
  EXPECT_EQ(rows_of(rows.text), count) << rows.text.substr(0, 500);
  const std::string named = directory_.file("named.weir");
  ASSERT_EQ(weir({"record", "--stream", "TELEMETRY", "--subject", "vehicle.{key}.{field}", "--url", servers.nats(),
                  "--encoding", "text", "-o", named})
                .exit,
            0);
  EXPECT_NE(weir({"info", named}).text.find("5,000 of 1 partition"), std::string::npos);
}

TEST_F(Recordings, many_partitions_are_recorded_in_parts_and_replayed_as_one) {
  const fakes::Servers servers{"nats"};
  const std::string file = directory_.write("four.json", weir::format(R"({{
    "name": "four", "limits": {{ "keys": 1000 }},
    "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "create": true, "encoding": "text",
        "partitions": 4 }},
      {{ "id": "out", "sink": "stdout", "from": "signals" }} ] }})",
                                                                      servers.nats()));
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", directory_.file("none.weir"), "-s", "signals.create=true"}).exit,
            0);
  fakes::NatsPeer peer{servers.nats()};
  constexpr int count = 1000;
  const auto publish = [&](int first) {
    for (int i = first; i < first + count; ++i) {
      const std::string key = "v" + std::to_string(i % 50);
      peer.publish(weir::format("p.{}.vehicle.{}.speed", partition_of(key, 4), key), std::to_string(i));
    }
    ASSERT_TRUE(peer.connection->flush(10 * second).has_value());
    peer.wait_for_all("TELEMETRY", 4, static_cast<std::uint64_t>(first + count));  // taken is not stored yet
  };
  publish(0);
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", tape()}).exit, 0);
  const Printed half = weir({"info", tape()});
  EXPECT_NE(half.text.find("1,000 of 4 partitions"), std::string::npos) << half.text;
  publish(count);
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", tape()}).exit, 0);
  const std::string at_once = directory_.file("once.weir");
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", at_once}).exit, 0);
  const Printed info = weir({"info", tape()});
  EXPECT_NE(info.text.find("2,000 of 4 partitions"), std::string::npos) << info.text;
  EXPECT_EQ(info.text.find("gaps"), std::string::npos) << info.text;
  const auto sorted = [&](const std::string& from) {
    std::istringstream lines{weir({"replay", from, file, "--sink", "out=stdout"}).text};
    std::vector<std::string> out;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("{")) out.push_back(line);
    }
    std::ranges::sort(out);
    return out;
  };
  const auto rows = sorted(tape());
  EXPECT_EQ(rows.size(), 2u * count);
  EXPECT_TRUE(rows == sorted(at_once));
}

/// What a sink beside a database's does not take must not keep a pipeline from being replayed.
TEST_F(Recordings, settings_that_the_new_operators_have_not_are_left_out) {
  const std::string file = directory_.write("route.json", R"({
    "name": "route", "limits": { "keys": 1000 }, // of one city
    "state": { "store": "jetstream-kv", "bucket": "b", "url": "nats://127.0.0.1:9" },
    "nodes": [
      { "id": "signals", "source": "simulate", "vehicles": 5, "for": "20s", "encoding": "json" },
      { "id": "last", "transform": "keyed-last-value", "from": "signals" },
      { "id": "now", "sink": "jetstream-kv", "from": "last", "bucket": "now", "url": "nats://127.0.0.1:9" },
      { "id": "rows", "transform": "window-join", "from": "last", "every": "1s" },
      { "id": "routed", "sink": "nats", "from": "last", "url": "nats://127.0.0.1:9", // a comment, with a "quote
        "subject": "p.{partition}.vehicle.{key}", "partitions": 4, "encoding": "json" },
      { "id": "db", "sink": "timescale", "from": "rows", "url": "${NO_SUCH_VARIABLE:?set it}", "table": "t",
        "write_empty": true, "columns": { "nobody": {}, "speed": {} } } ] })");
  const std::string made = directory_.write("made.json", R"({ "name": "made", "limits": { "keys": 1000 }, "nodes": [
      { "id": "signals", "source": "simulate", "vehicles": 5, "for": "20s", "encoding": "json" },
      { "id": "tape", "sink": "recording", "from": "signals", "path": ")" +
                                                             tape() + R"(" } ] })");
  ASSERT_EQ(weir({"run", made}).exit, 0);
  const Printed rows = weir({"replay", tape(), file, "--sink", "db=stdout"});
  EXPECT_EQ(rows.exit, 0) << rows.text.substr(0, 500);
  EXPECT_GT(rows_of(rows.text), 50u) << rows.text.substr(0, 500);
  const Printed kept = weir({"replay", tape(), file, "--sink", "db=duckdb:" + directory_.file("rows.duckdb")});
  EXPECT_EQ(kept.exit, 0) << kept.text.substr(0, 500);
  EXPECT_TRUE(std::filesystem::exists(directory_.file("rows.duckdb")));
}

}  // namespace
}  // namespace weir
