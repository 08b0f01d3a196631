/// sink/timescale against real servers: who is counted as at work.
#include <gtest/gtest.h>

#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;

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

}  // namespace
