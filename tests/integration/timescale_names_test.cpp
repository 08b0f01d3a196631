/// Under what name a worker acquires partitions in PostgreSQL, and what becomes of one whose name another has.
#include <gmock/gmock.h>

#include <thread>

#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TimescaleNames : public fakes::TimescaleSink {
 protected:
  static void pause(Duration length) { system_clock().wait(length, {}); }
};

INSTANTIATE_TEST_SUITE_P(Servers, TimescaleNames, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleNames, a_partition_is_not_lost_while_the_answer_to_its_next_claim_is_on_its_way) {
  lease_ = 30 * second;
  auto one = worker({0});
  // Behind this lock the acquisition waits first, and the renewal, which knows the former fence, second.
  std::jthread holding{
      [&] { ask("BEGIN; SELECT FROM " + schema_ + ".weir_progress FOR UPDATE; SELECT pg_sleep(1); COMMIT"); }};
  const auto wait_for_locks = [&](const std::string& count) {
    const std::string waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    for (int i = 0; i < 100 && ask(waiting) != count; ++i) pause(5 * millisecond);
    return ask(waiting) == count;
  };
  pause(200 * millisecond);
  Result<Progress> acquired;
  std::jthread acquiring{[&] { acquired = one->sink->ledger()->acquire(0); }};
  ASSERT_TRUE(wait_for_locks("1"));
  EXPECT_THAT(*one->sink->ledger()->renew(), IsEmpty());
  acquiring.join();
  holding.join();
  ASSERT_TRUE(acquired.has_value());
  EXPECT_TRUE(commit(*one, rows(10), 0, 10)->refused.empty());
}

TEST_P(TimescaleNames, a_worker_of_the_same_name_takes_over_at_once_when_the_one_before_is_gone) {
  lease_ = 30 * second;
  name_ = "left";
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, rows(10), 0, 10).has_value());
  auto two = make(settings(), rows(0)->schema);
  const auto refused = two->sink->open();
  ASSERT_FALSE(refused.has_value()) << "the first one is still there";
  EXPECT_EQ(refused.error().kind, Error::Kind::unreachable) << "it may be about to end";
  EXPECT_THAT(refused.error().message, HasSubstr("a worker \"left\" is connected already"));
  one.reset();
  for (int i = 0; i < 100 && !two->sink->open(); ++i) pause(20 * millisecond);  // the server sees it a moment later
  const auto progress = two->sink->ledger()->acquire(0);
  ASSERT_TRUE(progress.has_value()) << progress.error().message;
  EXPECT_EQ(progress->place.position, 10u);
  EXPECT_TRUE(commit(*two, rows(10, 10), 0, 20)->refused.empty());
  EXPECT_EQ(count(), "20");
}

TEST_P(TimescaleNames, a_worker_that_lost_its_name_can_claim_nothing) {
  lease_ = 30 * second;
  name_ = "left";
  auto one = worker({0});
  ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name ~ '/control$'");
  auto two = worker({0});
  const auto refused = one->sink->ledger()->acquire(0);
  ASSERT_FALSE(refused.has_value());
  EXPECT_FALSE(one->sink->ledger()->renew().has_value());
  EXPECT_THAT(commit(*one, rows(10), 0, 10)->refused, ElementsAre(0u)) << "by the fence";
  EXPECT_TRUE(commit(*two, rows(10), 0, 10)->refused.empty());
}

}  // namespace
