/// What sink/duckdb keeps beside its rows, and for how long.
#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "fakes/sink_fixture.hpp"
#include "fakes/temporary_directory.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace weir {
Operator weir_operator_sinks_duckdb();
}

namespace weir::duck {
namespace {

class DuckDbLedger : public testing::Test {
 protected:
  std::string path() const { return directory_.file("fleet.duckdb"); }

  /// Commits one dead letter as a worker would that has just started.
  void keep_letter(Position to) {
    Settings settings{"db"};
    settings.set("path", path());
    settings.set("table", std::string{"vehicle_second"});
    settings.set("key_column", std::string{"vehicle"});
    settings.set("time_column", std::string{"time"});
    settings.set("memory", std::int64_t{64 << 20});
    auto sink = weir_operator_sinks_duckdb().make_sink(settings, context_);
    ASSERT_TRUE(sink->bind_schema(samples::schema()).has_value());
    ASSERT_TRUE(sink->open().has_value());
    ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
    ASSERT_TRUE(sink->write_dead_letter({0, to, 0, 5, "signals", "fresh", "s", "p"}));
    const LaneCommit lanes[]{fakes::lane(0, to)};
    const auto done = sink->commit(lanes);
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }
  std::string ask(const std::string& sql) const {
    const auto rows = File::open(path(), 64u << 20)->run(sql);
    if (!rows) return rows.error().message;
    return rows->empty() ? "" : rows->front()[0].value_or("NULL");
  }
  std::string kept(const std::string& which) const {
    return ask("SELECT count(*)::VARCHAR FROM weir_dead_letters WHERE " + which);
  }

  fakes::TemporaryDirectory directory_;
  fakes::SinkContext context_;
};

TEST_F(DuckDbLedger, forgets_this_pipelines_dead_letters_when_their_time_is_over) {
  keep_letter(1);
  for (const char* pipeline : {"fleet", "another"}) {
    ask(
        weir::format("INSERT INTO weir_dead_letters (pipeline, reason, written) SELECT '{}', 'old', "
                     "epoch_ns(now()) - range * {} + {} FROM range(1, 13)",
                     pipeline, 24 * 60 * minute, minute));
  }
  EXPECT_EQ(kept("reason = 'old'"), "24");
  keep_letter(2);
  EXPECT_EQ(kept("pipeline = 'fleet' AND reason = 'old'"), "7") << "a week is what Context says";
  EXPECT_EQ(kept("pipeline = 'fleet' AND reason = 'fresh'"), "2");
  EXPECT_EQ(kept("pipeline = 'another'"), "12");
}

}  // namespace
}  // namespace weir::duck
