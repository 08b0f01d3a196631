#include "core/coordination/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes/worker_at_work.hpp"

namespace weir {
namespace {

/// A worker whose table has others too.
class WorkerSharing : public fakes::WorkerAtWork {
 protected:
  WorkerSharing() {
    world_.lease = 30 * second;
    world_.messages = 50;
  }

  void heartbeat(const Members& members) {
    in_world([&](fakes::World& world) { world.members = members; });
  }
  bool owns() {
    return in_world([](fakes::World& world) { return world.owned; });
  }
  bool stands_by() {
    return wait_for([&] {
      const auto status = worker_->status();
      return status.ready && status.lanes.empty();
    });
  }

  const Members not_needed_{.workers = 2, .rank = 1, .taken = {}};  // there is one partition
};

TEST_F(WorkerSharing, APartitionGoesWithItsLastRowsAndASnapshotOfJustThere) {
  start();
  ASSERT_TRUE(wait_until_stepped(50));
  heartbeat(not_needed_);
  ASSERT_TRUE(stands_by()) << "and is ready, as nothing is missing";
  EXPECT_TRUE(wait_for([&] { return !owns(); }));
  EXPECT_EQ(position(), 50u);
  EXPECT_EQ(world_.committed_when_stored, 50u);
  // Who comes next has nothing to read again.
  send(20);
  heartbeat({});
  ASSERT_TRUE(wait_for([&] { return owns(); }));
  ASSERT_TRUE(wait_until_stepped(70));
  EXPECT_EQ(world_.first_pulled, 51u);
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(70));
}

TEST_F(WorkerSharing, WhatCouldNotBeStoredIsReadAgain) {
  start();
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) { world.store_fails = true; });
  heartbeat(not_needed_);
  ASSERT_TRUE(stands_by());
  EXPECT_TRUE(wait_for([&] { return !owns(); }));
  in_world([](fakes::World& world) { world.store_fails = false; });
  send(20);
  heartbeat({});
  ASSERT_TRUE(wait_until_committed(70));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(70));
}

TEST_F(WorkerSharing, NothingGoesWhileItsRowsCanNotBeCommitted) {
  start();
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) { world.down = true; });
  send(20);
  ASSERT_TRUE(wait_until_stepped(70));
  heartbeat(not_needed_);
  system_clock().wait(1300 * millisecond, {});
  EXPECT_EQ(worker_->status().lanes.size(), 1u);
  in_world([](fakes::World& world) { world.down = false; });
  ASSERT_TRUE(stands_by());
  EXPECT_EQ(position(), 70u);
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(70));
}

TEST_F(WorkerSharing, WhoIsNotNeededWaitsUntilItIs) {
  heartbeat(not_needed_);
  start();
  ASSERT_TRUE(stands_by());
  EXPECT_FALSE(owns());
  EXPECT_EQ(worker_->status().workers, 2u);
  heartbeat({});
  ASSERT_TRUE(wait_until_committed(50));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(50));
}

TEST_F(WorkerSharing, WhatItNeedNotClaimAnyMoreIsNoTrouble) {
  heartbeat(not_needed_);
  start();
  ASSERT_TRUE(stands_by());
  in_world([](fakes::World& world) { world.down = true; });
  heartbeat({});
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  heartbeat(not_needed_);
  EXPECT_TRUE(stands_by());
  in_world([](fakes::World& world) { world.down = false; });
  EXPECT_TRUE(drain());
}

TEST_F(WorkerSharing, WhatADeadWorkerStillHasIsWaitedFor) {
  heartbeat({.workers = 1, .rank = 0, .taken = {0}});
  start();
  system_clock().wait(1300 * millisecond, {});
  EXPECT_FALSE(worker_->status().ready);
  EXPECT_EQ(in_world([](fakes::World& world) { return world.refused_claims; }), 0) << "asking would be in vain";
  heartbeat({});
  ASSERT_TRUE(wait_until_committed(50));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(50));
}

/// A minute takes a second.
class HurriedClock final : public Clock {
 public:
  Timestamp now() const override { return system_clock().now(); }
  Timestamp steady() const override { return system_clock().steady() * 60; }
  bool wait(Duration length, std::stop_token stop) const override {
    return system_clock().wait(length / 60, std::move(stop));
  }
};

/// Be it for want of memory: another worker may get on with it, or this one later.
TEST_F(WorkerSharing, WhatAnOperatorBreaksIsGivenBackAndTriedAgainAndToldOfOnce) {
  const HurriedClock clock;
  heartbeat({.workers = 2, .rank = 0, .taken = {}});
  pipeline_.emplace(pipeline(R"(, "fails_at": 29)"));
  worker_ = std::make_unique<Worker>(*pipeline_, registry_, counters_, clock);
  thread_ = std::thread{[this] { result_ = worker_->run(stop_.get_token()); }};
  ASSERT_TRUE(wait_for([&] { return !owns() && !worker_->status().broken.empty(); }));
  EXPECT_EQ(position(), 28u) << "what stands before it is committed whole";
  const auto claims = [&] { return in_world([](fakes::World& world) { return world.fence; }); };
  ASSERT_TRUE(wait_for([&] { return claims() >= 3 && !owns(); }));
  EXPECT_EQ(log_.lines("sum: this breaks"), 1) << log_.text();
  EXPECT_EQ(drain().error().message, "sum: this breaks");
  EXPECT_EQ(rows_without_letters(), expected(28));
}

TEST_F(WorkerSharing, SaysThatItLeavesUnlessAnotherTakesItsPlace) {
  start();
  ASSERT_TRUE(wait_until_committed(50));
  EXPECT_TRUE(drain());
  EXPECT_TRUE(world_.left);
  start();
  ASSERT_TRUE(wait_for([&] { return owns(); }));
  worker_->will_be_followed(true);
  EXPECT_TRUE(drain());
  EXPECT_FALSE(world_.left);
}

}  // namespace
}  // namespace weir
