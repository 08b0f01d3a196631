/// sink/timescale workers on private servers, for tests and benchmarks.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fakes/postgres_server.hpp"
#include "fakes/sink_fixture.hpp"

namespace weir {
Operator weir_operator_sinks_timescale();
}

namespace weir::fakes {

/// One server of each kind for all tests; each test has a schema of its own. The parameter: with TimescaleDB, or plain.
class TimescaleSink : public testing::TestWithParam<bool> {
 protected:
  static PostgresServer& server(bool timescale) {
    static std::map<bool, std::unique_ptr<PostgresServer>> servers;
    auto& one = servers[timescale];
    if (!one) one = std::make_unique<PostgresServer>(timescale);
    return *one;
  }
  PostgresServer& server() const { return server(GetParam()); }

  struct Worker {
    SinkContext context;
    std::unique_ptr<Sink> sink;
    Sink* operator->() const { return sink.get(); }
  };

  std::string table() const { return schema_ + ".vehicle_second"; }
  std::string ask(const std::string& sql) const { return server().ask(sql); }
  std::string count() const { return ask("SELECT count(*) FROM " + table()); }
  /// Partitions and positions.
  std::string positions() const {
    return ask("SELECT partition, position FROM " + schema_ + ".weir_progress ORDER BY partition");
  }
  std::string letters() const {
    return ask(
        "SELECT partition, position, coalesce(ordinal::text, 'row ' || row), reason || coalesce(': ' || nullif(detail, ''), '') FROM " +
        schema_ + ".weir_dead_letters ORDER BY partition, position, ordinal, row");
  }

  Settings settings() const {
    Settings out{"db"};
    out.set("url", server().url());
    out.set("table", table());
    out.set("key_column", std::string{"vehicle"});
    out.set("time_column", std::string{"time"});
    out.set("hypertable", std::string{"auto"});
    out.set("index", std::string{"time"});
    out.set("chunk", Duration{24 * 60 * minute});
    out.set("lease", lease_);
    return out;
  }

  std::unique_ptr<Worker> make(const Settings& with, const SchemaPtr& schema) {
    auto worker = std::make_unique<Worker>();
    worker->context.name = name_;
    worker->sink = weir_operator_sinks_timescale().make_sink(with, worker->context);
    const auto bound = worker->sink->bind_schema(schema);
    EXPECT_TRUE(bound.has_value()) << bound.error().message;
    return worker;
  }

  /// An opened one that owns these partitions.
  std::unique_ptr<Worker> worker(std::initializer_list<Partition> partitions = {}) {
    auto made = make(settings(), rows(0)->schema);
    const auto opened = made->sink->open();
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    for (const Partition partition : partitions) {
      const auto acquired = made->sink->ledger()->acquire(partition);
      EXPECT_TRUE(acquired.has_value()) << acquired.error().message;
    }
    return made;
  }

  std::shared_ptr<Batch> rows(std::size_t count, std::size_t first = 0) const {
    return make_rows(keys_, columns_, count, first);
  }

  /// Writes and commits rows of one lane; what commit() said.
  static Result<Committed> commit(Worker& worker, const BatchPtr& batch, Partition partition, Position to) {
    const Encoded encoded = encode(*worker.sink, batch, partition, to);
    EXPECT_TRUE(worker->write(encoded).has_value());
    const LaneCommit lanes[]{lane(partition, to)};
    return worker->commit(lanes);
  }

  Duration lease_ = 30 * second;
  std::string name_;  ///< of the next worker; empty: one of its own
  std::string schema_ = "t" + std::to_string(++schemas_);
  std::vector<std::string> columns_{"speed", "charge"};
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>();
  static inline int schemas_ = 0;
};

}  // namespace weir::fakes
