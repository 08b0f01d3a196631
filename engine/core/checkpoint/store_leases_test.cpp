#include "core/checkpoint/store_leases.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes/map_store.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreLeasesTest : public testing::Test {
 protected:
  StoreLeasesTest() { store_.lease_length = 30 * second; }

  void pass(Duration time) { (void)clock_.wait(time, {}); }

  fakes::MapStore::Values values_;
  fakes::MapStore store_{values_};
  fakes::WaitingClock clock_;
  StoreLeases a_{store_, "fleet", "a", clock_};
  StoreLeases b_{store_, "fleet", "b", clock_};
};

TEST_F(StoreLeasesTest, APartitionHasOneOwner) {
  ASSERT_TRUE(a_.claim(3));
  const auto refused = b_.claim(3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::held);
  EXPECT_THAT(refused.error().message, HasSubstr("partition 3 belongs to a"));
  EXPECT_TRUE(b_.claim(2));
  EXPECT_TRUE(a_.claim(3)) << "its own";
  ASSERT_TRUE(a_.release(3));
  EXPECT_TRUE(b_.claim(3));
}

TEST_F(StoreLeasesTest, ALeaseThatIsRenewedDoesNotRunOut) {
  ASSERT_TRUE(a_.claim(0));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(b_.claim(0)) << i;
    pass(20 * second);
    EXPECT_THAT(*a_.renew(), IsEmpty());
  }
}

TEST_F(StoreLeasesTest, ALeaseThatIsNotRenewedGoesToAnotherAndTheOldOwnerNotices) {
  ASSERT_TRUE(a_.claim(0));
  ASSERT_TRUE(a_.claim(1));
  EXPECT_FALSE(b_.claim(0)) << "how old it is, is not known at first sight";
  pass(29 * second);
  EXPECT_FALSE(b_.claim(0));
  pass(second);
  ASSERT_TRUE(b_.claim(0));
  EXPECT_THAT(*a_.renew(), ElementsAre(0u));
  EXPECT_THAT(*a_.renew(), IsEmpty()) << "told once";
  EXPECT_TRUE(a_.release(0));
  EXPECT_FALSE(a_.claim(0)) << "what was lost is not given back for the new owner";
}

TEST_F(StoreLeasesTest, AFormerOwnerThatHasNotNoticedFreesNothing) {
  StoreLeases c{store_, "fleet", "c", clock_};
  ASSERT_TRUE(a_.claim(0));
  ASSERT_FALSE(b_.claim(0));
  pass(30 * second);
  ASSERT_TRUE(b_.claim(0));
  EXPECT_FALSE(a_.claim(0)) << "a refused claim makes it no owner again";
  EXPECT_TRUE(a_.release(0));
  EXPECT_FALSE(c.claim(0)) << "it is b's";
  EXPECT_THAT(*b_.renew(), IsEmpty());
}

TEST_F(StoreLeasesTest, ARenewalWhoseAnswerWasLostIsNoLoss) {
  ASSERT_TRUE(a_.claim(0));
  store_.answer_lost = true;
  EXPECT_FALSE(a_.renew());
  EXPECT_THAT(*a_.renew(), IsEmpty());
}

TEST_F(StoreLeasesTest, WorkersSeeEachOther) {
  EXPECT_EQ(a_.heartbeat()->workers, 1u);
  ASSERT_TRUE(a_.claim(5));
  const auto seen = b_.heartbeat();
  EXPECT_EQ(*seen, (Members{.workers = 2, .rank = 1, .taken = {5}}));
  EXPECT_EQ(a_.heartbeat()->rank, 0u);
  ASSERT_TRUE(a_.release(5));
  ASSERT_TRUE(a_.leave());
  EXPECT_EQ(*b_.heartbeat(), Members{});
}

TEST_F(StoreLeasesTest, AWorkerThatDiedIsMissedAfterALeaseAndForgottenLater) {
  ASSERT_TRUE(a_.heartbeat());
  ASSERT_TRUE(a_.claim(0));
  EXPECT_EQ(b_.heartbeat()->workers, 2u);
  pass(30 * second);
  EXPECT_EQ(*b_.heartbeat(), Members{}) << "and its partition is free";
  EXPECT_TRUE(b_.claim(0));
  pass(300 * second);
  ASSERT_TRUE(b_.heartbeat());
  EXPECT_FALSE(values_.contains("fleet.worker.a"));
}

}  // namespace
}  // namespace weir
