/// Rows that transform/fill makes, in a real PostgreSQL: the table behind it is the one that a sink with the same
/// columns makes, also of a worker that is killed.
#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "fakes/postgres_server.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::integration {
namespace {

class BehindFill : public testing::Test {
 protected:
  /// A minute of a fleet with faults, in three seconds.
  std::string pipeline() const {
    const std::string columns = R"("columns": { "speed": { "max_gap": "2s", "quality": true, "unit": "km/h" },
      "heading": { "fill": "angle", "max_age": "1s" }, "position": { "fill": "geo" }, "charge": { "fill": "step" } })";
    const std::string into = weir::format(
        R"("sink": "timescale", "url": "{}", "key_column": "car", "time_column": "at", "lease": "2s", "table": )",
        database_.url());
    return weir::format(
        R"({{ "name": "p", "limits": {{ "keys": 50 }}, "commit": {{ "every": "20ms" }}, "nodes": [
          {{ "id": "signals", "source": "simulate", "vehicles": 20, "for": "60s", "faults": {{}},
             "start": "2026-01-01T00:00:00Z", "speed": "20x" }},
          {{ "id": "ticks", "transform": "window-join", "from": "signals", "every": "1s", "wait": "1s" }},
          {{ "id": "rows", "transform": "fill", "from": "ticks", {0} }},
          {{ "id": "fast", "transform": "filter", "from": "rows", "where": "speed > 30 and charge is not null" }},
          {{ "id": "behind", "from": "rows", {1}"behind" }},
          {{ "id": "beside", "from": "ticks", {0}, {1}"beside" }},
          {{ "id": "filtered", "from": "fast", {1}"filtered" }} ] }})",
        columns, into);
  }

  std::string ask(const std::string& sql) const { return database_.ask(sql); }
  /// How many rows of a query the other one has not.
  std::string missing(const std::string& some, const std::string& others) const {
    return ask(weir::format("SELECT count(*) FROM ({} EXCEPT ALL {}) AS missing", some, others));
  }
  void expect_same(const std::string& some, const std::string& others) const {
    EXPECT_EQ(missing(some, others), "0") << some;
    EXPECT_EQ(missing(others, some), "0") << others;
  }
  /// Names, types, NOT NULL and comments of a table's columns, and its indexes.
  std::string shape(const std::string& table) const {
    return ask(weir::format("SELECT attname, atttypid::regtype, attnotnull, col_description(attrelid, attnum) FROM "
                            "pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum",
                            table)) +
           ask(weir::format("SELECT substring(indexdef FROM 'USING .*') FROM pg_indexes WHERE tablename = '{}' "
                            "ORDER BY 1",
                            table));
  }

  fakes::PostgresServer database_{false};
  fakes::TemporaryDirectory directory_;
};

TEST_F(BehindFill, TheTableIsTheOneOfColumnsAlsoIfTheWorkerIsKilled) {
  fakes::WeirProcess worker{{"run", directory_.write("p.json", pipeline()), "-q"}, directory_.file("log")};
  for (int kill = 0; kill < 3; ++kill) {
    ASSERT_TRUE(system_clock().wait((300 + 97 * kill) * millisecond, {}));
    ASSERT_EQ(worker.end(SIGKILL), fakes::WeirProcess::killed) << worker.log();
    worker.start();
  }
  ASSERT_EQ(worker.wait(60 * second), 0) << worker.log();
  EXPECT_EQ(ask("SELECT count(*) > 500 FROM behind"), "t");
  expect_same("SELECT * FROM behind", "SELECT * FROM beside");
  expect_same("SELECT * FROM filtered", "SELECT * FROM beside WHERE speed > 30 AND charge IS NOT NULL");
  EXPECT_EQ(ask("SELECT count(*) > 0 FROM filtered"), "t");
  EXPECT_EQ(shape("behind"), shape("beside"));
  EXPECT_TRUE(shape("behind").starts_with("car text t NULL at timestamp with time zone t NULL speed double precision"))
      << shape("behind");
  EXPECT_EQ(ask("SELECT count(*) - count(DISTINCT (car, at)) FROM behind"), "0") << "rows are there twice";
}

}  // namespace
}  // namespace weir::integration
