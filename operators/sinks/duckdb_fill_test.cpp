/// A table behind transform/fill is the one that a sink with the same columns makes.
#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "core/config/findings.hpp"
#include "core/coordination/worker.hpp"
#include "fakes/registry.hpp"
#include "fakes/temporary_directory.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace {
using namespace weir;

/// One row of text for each of a query.
std::string ask(duck::File& file, const std::string& sql) {
  const auto rows = file.run(sql);
  if (!rows) return rows.error().message;
  std::string out;
  for (const auto& row : *rows) out += (out.empty() ? "" : " ") + row[0].value_or("NULL");
  return out;
}

/// A minute of a fleet with faults into both tables of a file. `settings`: of both sinks.
duck::File written(const std::string& path, const std::string& columns, const std::string& settings = "") {
  const std::string into = weir::format(R"("sink": "duckdb", "path": "{}"{}, "table": )", path, settings);
  const std::string text = weir::format(
      R"({{ "name": "p", "limits": {{ "keys": 50 }}, "nodes": [
        {{ "id": "signals", "source": "simulate", "vehicles": 20, "for": "60s", "faults": {{}} }},
        {{ "id": "ticks", "transform": "window-join", "from": "signals", "every": "1s", "wait": "1s" }},
        {{ "id": "rows", "transform": "fill", "from": "ticks", {0} }},
        {{ "id": "behind", "from": "rows", {1}"behind" }},
        {{ "id": "beside", "from": "ticks", {0}, {1}"beside" }} ] }})",
      columns, into);
  auto checked = check_pipeline(text, "p.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  Counters counters;
  const auto done = Worker{*checked.pipeline, fakes::registry(), counters, system_clock()}.run({});
  EXPECT_TRUE(done.has_value()) << done.error().message;
  for (const char* counter : {"cells", "empty_rows"})
    EXPECT_EQ(counters.value("rows", counter), counters.value("beside", counter)) << counter;
  EXPECT_EQ(counters.value("behind", "rows"), counters.value("beside", "rows"));
  return *duck::File::open(path, 256u << 20);
}

void expect_same_tables(duck::File& file) {
  for (const auto& [some, others] : {std::pair{"behind", "beside"}, std::pair{"beside", "behind"}})
    EXPECT_EQ(ask(file, weir::format("SELECT count(*)::VARCHAR FROM (FROM {} EXCEPT ALL FROM {})", some, others)), "0");
  const auto columns = [&](const char* table) {
    return ask(file, weir::format("SELECT concat_ws(' ', column_name, data_type, is_nullable, comment) FROM "
                                  "duckdb_columns() WHERE table_name = '{}' ORDER BY column_index",
                                  table));
  };
  EXPECT_EQ(columns("behind"), columns("beside"));
}

TEST(DuckDbBehindFill, the_table_is_the_one_of_columns) {
  const fakes::TemporaryDirectory directory;
  const std::string columns = R"("columns": { "speed": { "max_gap": "2s", "quality": true, "unit": "km/h" },
    "heading": { "fill": "angle", "max_age": "1s" }, "position": { "fill": "geo" }, "charge": { "fill": "step" } })";
  auto file = written(directory.file("a.duckdb"), columns, R"(, "key_column": "car", "time_column": "at")");
  expect_same_tables(file);
  EXPECT_NE(ask(file, "SELECT count(*)::VARCHAR FROM behind"), "0");
  EXPECT_EQ(ask(file, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'behind' ORDER BY column_index"),
            "car at speed speed_quality heading position_lat position_lon position_alt charge");
  EXPECT_EQ(ask(file, "SELECT comment FROM duckdb_columns() WHERE table_name = 'behind' AND column_name = 'speed'"),
            "km/h");
}

TEST(DuckDbBehindFill, rows_of_nulls_only_are_left_out_and_written_as_there) {
  const fakes::TemporaryDirectory directory;
  const std::string columns = R"("columns": { "nobody": {}, "charge": { "max_gap": "10ms" } })";
  auto terse = written(directory.file("a.duckdb"), columns);
  expect_same_tables(terse);
  auto full = written(directory.file("b.duckdb"), columns + R"(, "write_empty": true)");
  expect_same_tables(full);
  const auto nulls = [](duck::File& file) {
    return ask(file, "SELECT (count(*) FILTER (charge IS NULL) > 0)::VARCHAR FROM behind");
  };
  EXPECT_EQ(nulls(terse), "false");
  EXPECT_EQ(nulls(full), "true");
}

}  // namespace
