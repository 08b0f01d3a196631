/// Jobs whose worker is killed again and again under load, over the sources and sinks that the fault harness has not:
/// core NATS, a bucket, a shared durable, DuckDB, and sinks that come and go. What `weir explain` promises of each
/// holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <weir/format.hpp>

#include "clients/nats_bucket.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace weir::integration {
namespace {

using testing::HasSubstr;

constexpr Duration said_every = 100 * millisecond;
constexpr int talkers = 10;

class KilledSources : public testing::Test {
 protected:
  static void pause(Duration length) { system_clock().wait(length, {}); }

  std::string text(const std::string& name, const std::string& source, const std::string& sinks) const {
    return weir::format(R"({{ "name": "{0}", "limits": {{ "keys": 100 }},
      "state": {{ "store": "jetstream-kv", "url": "{1}", "bucket": "job-state", "every": "300ms" }},
      "nodes": [ {{ "id": "signals", "url": "{1}", {2} }},
        {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "100ms", "wait": "200ms" }},
        {3} ] }})",
                        name, nats_.nats(), source, sinks);
  }
  std::string to_table(const std::string& id, const std::string& table) const {
    return weir::format(R"({{ "id": "{}", "sink": "timescale", "from": "rows", "url": "{}", "table": "{}",
      "lease": "2s", "columns": {{ "speed": {{}} }} }})",
                        id, database_.url(), table);
  }
  std::unique_ptr<fakes::WeirProcess> started(const std::string& file, const std::string& job) {
    directory_.write(file, job);
    auto out = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", "-q", directory_.file(file)},
                                                    directory_.file(file + ".log"));
    EXPECT_TRUE(out->says("partition 0: starts")) << out->log();
    return out;
  }
  /// kill -9 and a new start, so often, at moments that differ.
  void kill_often(fakes::WeirProcess& job, int times) {
    for (int i = 0; i < times; ++i) {
      pause(600 * millisecond + i * 137 * millisecond);
      ASSERT_EQ(job.end(SIGKILL), fakes::WeirProcess::killed) << job.log();
      job.start();
    }
    pause(1500 * millisecond);
  }

  /// Each vehicle says a new whole number at each tick, under `before`<vehicle>.speed, until stop_publishing().
  void publish(const std::string& before) {
    publisher_ = std::jthread{[this, before](const std::stop_token& stop) {
      fakes::NatsPeer peer{nats_.nats()};
      Timestamp last = 0;
      while (!stop.stop_requested()) {
        const Timestamp now = system_clock().now() / said_every * said_every;
        if (now != last) {
          const int value = ++published_;
          for (int v = 0; v < talkers; ++v)
            peer.publish(weir::format("{}v{}.speed", before, v),
                         weir::format(R"({{"time":{},"value":{}}})", now, value));
          peer.connection->flush(10 * second).value();
        }
        last = now;
        pause(5 * millisecond);
      }
    }};
  }
  void stop_publishing() {
    publisher_.request_stop();
    publisher_.join();
    pause(3 * second);  // what was published last makes its rows
  }

  std::string ask(const std::string& sql) const { return database_.ask(sql); }
  std::string twice(const std::string& table) const {
    return ask(
        weir::format("SELECT count(*) FROM (SELECT FROM {} GROUP BY key, time HAVING count(*) > 1) AS t", table));
  }
  /// How many rows the one has that the other lacks, be it another copy.
  std::string beyond(const std::string& table, const std::string& other) const {
    return ask(
        weir::format("SELECT count(*) FROM (SELECT key, time, speed FROM {} EXCEPT ALL SELECT key, time, "
                     "speed FROM {}) AS t",
                     table, other));
  }
  /// The rows that nobody disturbs, of the same stream.
  void make_again(const std::string& source) {
    const auto job = started("again.json", text("again", source, to_table("db", "again")));
    std::string before;
    for (int i = 0; i < 40; ++i, pause(250 * millisecond)) {
      const std::string count = ask("SELECT count(*) FROM again");
      if (count == before && i > 12) break;
      before = count;
    }
    EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
  }

  fakes::Servers nats_{"nats"};
  fakes::PostgresServer database_{false};
  fakes::TemporaryDirectory directory_;
  std::atomic<int> published_{0};
  std::jthread publisher_;
};

constexpr const char *core_source = R"("source": "nats", "subject": "vehicle.{key}.{field}", "encoding": "json")",
                     *stream_source = R"("source": "nats", "stream": "TELEMETRY", "encoding": "json")",
                     *bucket_source = R"("source": "jetstream-kv", "bucket": "now", "every": "100ms")";

using KilledSourcesLong = KilledSources;  // `deploy/dev test long` runs them

/// At most once: what was under way is lost with the worker, and no row is there twice.
TEST_F(KilledSources, CoreNatsWritesNoRowTwice) {
  const auto job = started("job.json", text("job", core_source, to_table("db", "vehicle_second")));
  publish("vehicle.");
  kill_often(*job, 10);
  stop_publishing();
  EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
  EXPECT_EQ(twice("vehicle_second"), "0");
  EXPECT_GT(std::stoi(ask("SELECT count(*) FROM vehicle_second")), 20 * talkers);
}

TEST_F(KilledSources, ABucketWritesNoRowTwice) {
  fakes::NatsPeer peer{nats_.nats()};
  nats::ensure_bucket(*peer.jetstream, {.name = "now"}).value();
  const auto job = started("job.json", text("job", bucket_source, to_table("db", "vehicle_second")));
  publish("$KV.now.");
  kill_often(*job, 10);
  stop_publishing();
  EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
  EXPECT_EQ(twice("vehicle_second"), "0");
  EXPECT_GT(std::stoi(ask("SELECT count(*) FROM vehicle_second")), 20 * talkers);
}

/// A queue gives again what was not acknowledged, so nothing is lost; what was committed, but not acknowledged, may
/// come twice.
TEST_F(KilledSourcesLong, ASharedDurableLosesNoMessage) {
  const auto job = started("job.json", weir::format(R"({{ "name": "job", "limits": {{ "keys": 100 }}, "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "mode": "shared", "durable": "d",
       "ack_wait": "2s", "encoding": "json" }},
    {{ "id": "db", "sink": "timescale", "from": "signals", "url": "{}", "table": "samples", "lease": "2s" }} ] }})",
                                                    nats_.nats(), database_.url()));
  publish("vehicle.");
  kill_often(*job, 6);
  stop_publishing();
  const std::string distinct = "SELECT count(DISTINCT (key, x)) FROM samples";
  const std::string all = std::to_string(published_ * talkers);
  for (int i = 0; i < 200 && ask(distinct) != all; ++i) pause(50 * millisecond);
  EXPECT_EQ(ask(distinct), all) << job->log();
  EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
}

/// Exactly once in both, be it that one of them is ahead when the worker dies.
TEST_F(KilledSourcesLong, DuckDbBesidePostgresGetsEachRowOnce) {
  const std::string path = directory_.file("rows.duckdb");
  const auto job =
      started("job.json", text("job", stream_source,
                               to_table("db", "vehicle_second") +
                                   weir::format(R"(, {{ "id": "file", "sink": "duckdb", "from": "rows", "path": "{}",
                             "table": "vehicle_second", "columns": {{ "speed": {{}} }} }})",
                                                path)));
  publish("vehicle.");
  kill_often(*job, 10);
  stop_publishing();
  EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
  make_again(stream_source);
  EXPECT_EQ(beyond("vehicle_second", "again") + " " + beyond("again", "vehicle_second"), "0 0");
  auto file = duck::File::open(path, 256u << 20);
  ASSERT_TRUE(file) << file.error().message;
  const std::string sums = "count(*), count(DISTINCT (key, time)), sum(speed::bigint)";
  const auto found = file->run(weir::format("SELECT concat_ws(' ', {}) FROM vehicle_second", sums));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->front()[0].value_or(""), ask(weir::format("SELECT {} FROM again", sums)));
}

/// A sink that comes begins where the others are, and one that goes takes nothing with it; also if the worker dies
/// while it does.
TEST_F(KilledSourcesLong, SinksThatComeAndGoUnderLoadDisturbNoRow) {
  const std::string alone = text("job", stream_source, to_table("db", "vehicle_second"));
  const std::string both =
      text("job", stream_source, to_table("db", "vehicle_second") + ", " + to_table("more", "second_table"));
  const auto job = started("job.json", alone);
  publish("vehicle.");
  pause(second);
  for (const bool dies : {false, true}) {
    for (const std::string& next : {both, alone}) {
      directory_.write("job.json", next);
      job->send(SIGHUP);
      pause(dies ? 60 * millisecond : 1500 * millisecond);
      if (!dies) continue;
      ASSERT_EQ(job->end(SIGKILL), fakes::WeirProcess::killed);
      job->start();
      pause(2 * second);
    }
    EXPECT_EQ(twice("second_table"), "0") << job->log();
    EXPECT_GT(std::stoi(ask("SELECT count(*) FROM second_table")), talkers) << job->log();
  }
  stop_publishing();
  EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
  EXPECT_EQ(beyond("second_table", "vehicle_second"), "0") << "rows of a state that begins in the middle";
  make_again(stream_source);
  EXPECT_EQ(beyond("vehicle_second", "again") + " " + beyond("again", "vehicle_second"), "0 0") << job->log();
}

}  // namespace
}  // namespace weir::integration
