/// Tables of an earlier version of weir.
#include <gmock/gmock.h>

#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;

class TimescaleEarlier : public fakes::TimescaleSink {};

INSTANTIATE_TEST_SUITE_P(Servers, TimescaleEarlier, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleEarlier, brings_the_tables_of_progress_and_workers_up_to_date_that_an_earlier_version_made) {
  worker().reset();
  ask("ALTER TABLE " + schema_ +
      ".weir_progress DROP COLUMN emitted, DROP COLUMN latest_tick, DROP COLUMN numbering, DROP COLUMN instance, "
      "DROP COLUMN lease");
  ask("ALTER TABLE " + schema_ + ".weir_workers DROP COLUMN lease");
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, rows(20), 0, 7).has_value());
  EXPECT_EQ(ask("SELECT position, emitted, numbering FROM " + schema_ + ".weir_progress"), "7 0 0");
  EXPECT_TRUE(one->sink->ledger()->heartbeat().has_value());
}

TEST_P(TimescaleEarlier, brings_a_table_of_dead_letters_up_to_date_that_an_earlier_version_made) {
  worker().reset();
  const std::string letters_of = schema_ + ".weir_dead_letters";
  ask("ALTER TABLE " + letters_of + " DROP COLUMN row, DROP COLUMN detail, ALTER COLUMN ordinal SET NOT NULL");
  auto one = worker({0});
  ask("ALTER TABLE " + table() + " ADD CHECK (speed <> 13)");
  ASSERT_TRUE(one->sink->write_dead_letter({0, 7, 2, second, "signals", "bad", "", ""}));
  ASSERT_TRUE(commit(*one, rows(20), 0, 7).has_value());
  EXPECT_EQ(ask("SELECT position, ordinal, row FROM " + letters_of + " ORDER BY row NULLS FIRST"),
            "7 2 NULL 7 NULL 13");
}

}  // namespace
