#include "core/checkpoint/store_ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes/map_store.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreLedgerTest : public testing::Test {
 protected:
  StoreLedgerTest() {
    store_.lease_length = 30 * second;
    EXPECT_TRUE(store_.put("fleet.mark", "x"));
  }

  void pass(Duration time) { (void)clock_.wait(time, {}); }

  fakes::MapStore::Values values_;
  fakes::MapStore store_{values_};
  fakes::WaitingClock clock_;
  Snapshots snapshots_{store_, "fleet", true};
  StoreLedger a_{store_, snapshots_, 8, {"a", "1"}, clock_};
  StoreLedger b_{store_, snapshots_, 8, {"b", "1"}, clock_};
};

TEST_F(StoreLedgerTest, APartitionHasOneOwner) {
  ASSERT_TRUE(a_.acquire(3));
  const auto refused = b_.acquire(3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::held);
  EXPECT_THAT(refused.error().message, HasSubstr("partition 3 belongs to a"));
  EXPECT_TRUE(b_.acquire(2));
  EXPECT_TRUE(a_.acquire(3)) << "its own";
  a_.release(3);
  EXPECT_TRUE(b_.acquire(3));
}

TEST_F(StoreLedgerTest, ALeaseThatIsRenewedDoesNotRunOut) {
  ASSERT_TRUE(a_.acquire(0));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(b_.acquire(0)) << i;
    pass(20 * second);
    EXPECT_THAT(*a_.renew(), IsEmpty());
  }
}

TEST_F(StoreLedgerTest, ALeaseThatIsNotRenewedGoesToAnotherAndTheOldOwnerNotices) {
  ASSERT_TRUE(a_.acquire(0));
  ASSERT_TRUE(a_.acquire(1));
  EXPECT_FALSE(b_.acquire(0)) << "how old it is, is not known at first sight";
  pass(29 * second);
  EXPECT_FALSE(b_.acquire(0));
  pass(second);
  ASSERT_TRUE(b_.acquire(0));
  EXPECT_THAT(*a_.renew(), ElementsAre(0u));
  EXPECT_THAT(*a_.renew(), IsEmpty()) << "told once";
  a_.release(0);
  EXPECT_FALSE(a_.acquire(0)) << "what was lost is not given back for the new owner";
}

TEST_F(StoreLedgerTest, AFormerOwnerThatHasNotNoticedFreesNothing) {
  StoreLedger c{store_, snapshots_, 8, {"c", "1"}, clock_};
  ASSERT_TRUE(a_.acquire(0));
  ASSERT_FALSE(b_.acquire(0));
  pass(30 * second);
  ASSERT_TRUE(b_.acquire(0));
  EXPECT_FALSE(a_.acquire(0)) << "a refused acquisition makes it no owner again";
  a_.release(0);
  EXPECT_FALSE(c.acquire(0)) << "it is b's";
  EXPECT_THAT(*b_.renew(), IsEmpty());
}

TEST_F(StoreLedgerTest, ARenewalWhoseAnswerWasLostIsNoLoss) {
  ASSERT_TRUE(a_.acquire(0));
  store_.answer_lost = true;
  EXPECT_FALSE(a_.renew());
  EXPECT_THAT(*a_.renew(), IsEmpty());
}

TEST_F(StoreLedgerTest, TheNewestInstanceOfAWorkerTakesItsPartitionsOverAtOnce) {
  StoreLedger next{store_, snapshots_, 8, {"a", "2"}, clock_};
  ASSERT_TRUE(a_.heartbeat());
  ASSERT_TRUE(a_.acquire(0));
  EXPECT_EQ(*next.heartbeat(), Members{}) << "the same member, which has all that is taken";
  ASSERT_TRUE(next.acquire(0));
  EXPECT_THAT(*a_.renew(), ElementsAre(0u));
  pass(10 * second);
  EXPECT_THAT(a_.heartbeat().error().message, HasSubstr("another worker bears the name a since"));
  EXPECT_FALSE(a_.acquire(0)) << "it does not come back";
  a_.leave();
  EXPECT_EQ(b_.heartbeat()->workers, 2u);
}

/// Its bucket was lost, or others took it for dead.
TEST_F(StoreLedgerTest, AWorkerWhoseNameIsGoneSaysItAgain) {
  ASSERT_TRUE(a_.heartbeat());
  values_.clear();
  pass(10 * second);
  EXPECT_TRUE(a_.heartbeat());
  EXPECT_EQ(b_.heartbeat()->workers, 2u);
  StoreLedger next{store_, snapshots_, 8, {"a", "2"}, clock_};
  ASSERT_TRUE(next.heartbeat());
  pass(10 * second);
  EXPECT_EQ(a_.heartbeat().error().kind, Error::Kind::changed);
}

TEST_F(StoreLedgerTest, AStoreThatWasEmptiedUnderWorkersIsNoNewBeginning) {
  ASSERT_TRUE(a_.acquire(0) && b_.acquire(1));
  values_.clear();
  for (StoreLedger* one : {&a_, &b_}) {
    for (const Partition partition : {0u, 1u, 2u}) {
      const auto again = one->acquire(partition);
      ASSERT_FALSE(again) << partition;
      EXPECT_EQ(again.error().kind, Error::Kind::changed);
      EXPECT_THAT(again.error().message, HasSubstr("held was deleted while workers ran"));
    }
  }
  StoreLedger restarted{store_, snapshots_, 8, {"a", "2"}, clock_};
  ASSERT_TRUE(restarted.acquire(0));
  EXPECT_FALSE(b_.acquire(1)) << "it knows of more than there is";
}

/// The fence does not reach the sinks.
TEST_F(StoreLedgerTest, AnOwnerThatCanNotRenewCountsItsPartitionAsLostOnceItsLeaseHasRunOut) {
  ASSERT_TRUE(a_.acquire(0));
  for (const Duration passed : {10 * second, 10 * second}) {
    pass(passed);
    store_.fails = true;
    EXPECT_FALSE(a_.renew());
  }
  pass(10 * second);
  store_.fails = true;
  EXPECT_THAT(*a_.renew(), ElementsAre(0u));
  EXPECT_THAT(*a_.renew(), IsEmpty()) << "told once";
}

TEST_F(StoreLedgerTest, WhatIsAcquiredWithoutAnAnswerCanBeReleased) {
  store_.answer_lost = true;
  ASSERT_FALSE(a_.acquire(0));
  a_.release(0);
  EXPECT_TRUE(b_.acquire(0));
  store_.answer_lost = true;
  ASSERT_FALSE(b_.renew());
  b_.release(0);
  EXPECT_TRUE(a_.acquire(0));
}

TEST_F(StoreLedgerTest, ProgressIsReadByTheOwnerOnly) {
  store_.before_get = [] {};
  store_.before_put_if = [&](std::string_view) {
    store_.before_get = [&] { ASSERT_TRUE(store_.put("fleet.lease.0", "b-1")); };
  };
  EXPECT_EQ(a_.acquire(0).error().kind, Error::Kind::held) << "another has stepped in meanwhile";
}

TEST_F(StoreLedgerTest, WorkersSeeEachOther) {
  EXPECT_EQ(a_.heartbeat()->workers, 1u);
  ASSERT_TRUE(a_.acquire(5));
  const auto seen = b_.heartbeat();
  EXPECT_EQ(*seen, (Members{.workers = 2, .rank = 1, .taken = {5}}));
  EXPECT_EQ(a_.heartbeat()->rank, 0u);
  a_.release(5);
  a_.leave();
  EXPECT_EQ(*b_.heartbeat(), Members{});
}

TEST_F(StoreLedgerTest, AWorkerThatDiedIsMissedAfterALeaseAndForgottenLater) {
  ASSERT_TRUE(a_.heartbeat());
  ASSERT_TRUE(a_.acquire(0));
  EXPECT_EQ(b_.heartbeat()->workers, 2u);
  pass(30 * second);
  EXPECT_EQ(*b_.heartbeat(), Members{}) << "and its partition is free";
  EXPECT_TRUE(b_.acquire(0));
  pass(300 * second);
  ASSERT_TRUE(b_.heartbeat());
  EXPECT_FALSE(values_.contains("fleet.worker.a"));
}

}  // namespace
}  // namespace weir
