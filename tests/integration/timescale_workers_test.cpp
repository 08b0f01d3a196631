/// sink/timescale against real servers: who is counted as at work, and what a worker tells that has lost its lanes.
#include <gmock/gmock.h>

#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;
using testing::ElementsAre;
using testing::IsEmpty;

using TimescaleWorkers = fakes::TimescaleSink;

INSTANTIATE_TEST_SUITE_P(Servers, TimescaleWorkers, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleWorkers, one_that_dies_after_the_servers_clock_was_set_back_is_missed_as_soon_as_any) {
  lease_ = second;
  auto one = worker();
  auto two = worker();
  ASSERT_TRUE(one->sink->meet().has_value());
  ASSERT_EQ(two->sink->meet()->workers, 2u);
  // Seen from a clock that was set back by an hour, what was written before lies so far ahead.
  ask("UPDATE " + schema_ + ".weir_workers SET lease_until = lease_until + interval '1 hour'");
  ASSERT_TRUE(one->sink->meet().has_value());
  system_clock().wait(lease_ + 200 * millisecond, {});
  EXPECT_EQ(two->sink->meet()->workers, 1u);
}

TEST_P(TimescaleWorkers, rows_that_were_searched_for_a_lane_that_turns_out_to_be_lost_count_nowhere) {
  auto one = worker({0});
  ask("ALTER TABLE " + table() + " ADD CHECK (speed <> 13)");
  ask("UPDATE " + schema_ + ".weir_progress SET fence = fence + 1");
  const auto done = commit(*one, rows(20), 0, 5);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, ElementsAre(0u));
  EXPECT_THAT(done->rejected, IsEmpty());
  EXPECT_EQ(count() + " " + letters(), "0 ");
  for (const char* counter : {"rows_written", "rejected_rows", "swallowed_rows"})
    EXPECT_EQ(one->context.counted(counter), 0u) << counter;
  EXPECT_THAT(one->context.warnings(), IsEmpty());
}

}  // namespace
