/// A small job on real servers whose every sample the test sends itself: JSON numbers through JetStream, window-join,
/// rows in PostgreSQL.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::integration {

/// What differs from job to job.
struct JobText {
  std::string name = "job";
  std::string store = "jetstream-kv";
  std::string wait = "200ms";
  std::string columns = R"("speed": {})";
  std::string before_rows = {};  ///< a transform with id "changed", from signals
  std::string shutdown_timeout = "20s";
  std::string lease = "2s";
  std::uint32_t partitions = 1;
};

class Job : public testing::Test {
 protected:
  std::string text(const JobText& job = {}) const {
    const std::string where =
        job.store == "memory" ? "" : weir::format(R"(, "url": "{}", "bucket": "job-state")", nats_.nats());
    return weir::format(R"({{
  "name": "{}", "limits": {{ "keys": 100 }}, "shutdown_timeout": "{}",
  "state": {{ "store": "{}"{} }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "partitions": {},
       "encoding": "json" }},
    {}
    {{ "id": "rows", "transform": "window-join", "from": "{}", "every": "1s", "wait": "{}" }},
    {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{}", "table": "vehicle_second",
       "lease": "{}", "columns": {{ {} }} }} ] }})",
                        job.name, job.shutdown_timeout, job.store, where, nats_.nats(), job.partitions,
                        job.before_rows.empty() ? "" : job.before_rows + ",",
                        job.before_rows.empty() ? "signals" : "changed", job.wait, database_.url(), job.lease,
                        job.columns);
  }

  /// Runs the file, and waits until it reads the stream.
  void run(const JobText& job = {}, std::vector<std::string> options = {}) {
    directory_.write("job.json", text(job));
    std::vector<std::string> arguments{"run", directory_.file("job.json")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    job_ = std::make_unique<fakes::WeirProcess>(arguments, directory_.file("job.log"));
    ASSERT_TRUE(job_->says("partition 0: ")) << job_->log();
  }

  /// Stores a sample of vehicle "a", taken so long after the test's origin.
  void send(Duration after, double speed) {
    if (peer_ == nullptr) peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
    peer_->publish("vehicle.a.speed", weir::format(R"({{"time":{},"value":{}}})", origin_ + after, speed));
    ASSERT_TRUE(peer_->connection->flush(10 * second).has_value());
  }

  /// The table as "seconds-after-origin speed …".
  std::string rows() const {
    return database_.ask(weir::format(
        "SELECT extract(epoch FROM time)::bigint - {}, speed FROM vehicle_second ORDER BY time", origin_ / second));
  }
  /// Waits for these rows.
  void expect_rows(const std::string& wanted) const {
    for (int i = 0; i < 500 && rows() != wanted; ++i) pause(20 * millisecond);
    EXPECT_EQ(rows(), wanted) << job_->log();
  }

  static void pause(Duration length) { system_clock().wait(length, {}); }

  fakes::Servers nats_{"nats"};
  fakes::PostgresServer database_{false};
  fakes::TemporaryDirectory directory_;
  std::unique_ptr<fakes::NatsPeer> peer_;
  std::unique_ptr<fakes::WeirProcess> job_;
  const Timestamp origin_ = system_clock().now() / second * second - 60 * second;
};

}  // namespace weir::integration
