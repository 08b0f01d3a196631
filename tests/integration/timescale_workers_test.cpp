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
  ASSERT_TRUE(one->sink->ledger()->heartbeat().has_value());
  ASSERT_EQ(two->sink->ledger()->heartbeat()->workers, 2u);
  // Seen from a clock that was set back by an hour, what was written before lies so far ahead.
  ask("UPDATE " + schema_ + ".weir_workers SET lease_until = lease_until + interval '1 hour'");
  ASSERT_TRUE(one->sink->ledger()->heartbeat().has_value());
  system_clock().wait(lease_ + 200 * millisecond, {});
  EXPECT_EQ(two->sink->ledger()->heartbeat()->workers, 1u);
}

TEST_P(TimescaleWorkers, a_lease_of_a_dead_owner_ends_though_the_servers_clock_was_set_back) {
  auto dead = worker({0, 1});
  ASSERT_TRUE(commit(*dead, rows(3), 0, 5).has_value());
  auto next = worker();
  EXPECT_EQ(next->sink->ledger()->acquire(0).error().kind, Error::Kind::held);
  // Seen from a clock that was set back by an hour, what was written before lies so far ahead.
  ask("UPDATE " + schema_ + ".weir_progress SET lease_until = lease_until + interval '1 hour'");
  const auto taken = next->sink->ledger()->acquire(0);
  ASSERT_TRUE(taken.has_value()) << taken.error().message;
  EXPECT_EQ(taken->place.position, 5u);
  const auto reset = next->sink->ledger()->reset(1);
  EXPECT_TRUE(reset.has_value()) << reset.error().message;
}

TEST_P(TimescaleWorkers, an_owner_that_lives_keeps_its_partition_when_the_servers_clock_is_set_back) {
  auto owner = worker({0});
  auto other = worker();
  for (const bool by_commit : {true, false}) {
    ask("UPDATE " + schema_ + ".weir_progress SET lease_until = lease_until + interval '1 hour'");
    if (by_commit)
      ASSERT_TRUE(commit(*owner, rows(3), 0, 5).has_value());
    else
      EXPECT_THAT(*owner->sink->ledger()->renew(), IsEmpty());
    EXPECT_EQ(other->sink->ledger()->acquire(0).error().kind, Error::Kind::held) << "its lease is of the new time";
  }
}

TEST_P(TimescaleWorkers, what_a_former_owner_gives_back_is_not_the_new_ones) {
  lease_ = second;
  auto former = worker({0});
  system_clock().wait(lease_ + 200 * millisecond, {});
  lease_ = 30 * second;
  auto owner = worker({0});
  const std::string owned =
      "SELECT owner IS NOT NULL, lease_until > clock_timestamp() FROM " + schema_ + ".weir_progress";
  ASSERT_EQ(ask(owned), "t t");
  former->sink->ledger()->release(0);
  EXPECT_EQ(ask(owned), "t t") << "released by one that has lost it";
  EXPECT_EQ(former->sink->ledger()->acquire(0).error().kind, Error::Kind::held);
  former->sink->ledger()->release(0);  // as the engine does after an acquisition that was refused
  EXPECT_EQ(ask(owned), "t t") << "released by one whose acquisition was refused";
  EXPECT_TRUE(commit(*owner, rows(3), 0, 5).has_value());
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
  EXPECT_EQ(one->context.counted("swallowed_rows"), 0u);
  EXPECT_THAT(one->context.warnings(), IsEmpty());
}

}  // namespace
