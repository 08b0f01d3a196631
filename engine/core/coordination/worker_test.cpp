#include "core/coordination/worker.hpp"

#include <gmock/gmock.h>

#include "fakes/worker_at_work.hpp"

namespace weir {
namespace {

class WorkerTest : public fakes::WorkerAtWork {
 protected:
  /// Fifty messages are committed, fifty more can't be.
  void start_and_lose_the_table() {
    world_.lease = 15 * millisecond;
    start();
    send(50);
    ASSERT_TRUE(wait_until_committed(50));
    in_world([](fakes::World& world) { world.down = true; });
    send(50);
  }
};

/// A server that takes a commit and does not answer must show before its time is up.
TEST_F(WorkerTest, ACommitThatTakesLongIsATrouble) {
  start();
  send(3);
  ASSERT_TRUE(wait_until_committed(3));
  EXPECT_TRUE(worker_->status().ready);
  in_world([](fakes::World& world) { world.slow = 6 * second; });
  send(3);
  EXPECT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  EXPECT_THAT(worker_->status().conditions, testing::ElementsAre(testing::StartsWith("commit: under way for ")));
  EXPECT_FALSE(worker_->status().ready);
  in_world([](fakes::World& world) { world.slow = 0; });
  EXPECT_TRUE(wait_for([&] { return worker_->status().ready; }));
  EXPECT_TRUE(wait_until_committed(6));
}

/// Rows of an idle stream come late then, and nothing else would tell why.
TEST_F(WorkerTest, AClockThatIsBehindTheServersIsToldOf) {
  world_.arrival_of = [offset = system_clock().now() + 5 * second](Position n) {
    return n < 5 ? offset + static_cast<Timestamp>(n) : offset - 5 * second;
  };
  start();
  send(2);
  ASSERT_TRUE(wait_until_committed(2));
  EXPECT_TRUE(log_.contains("ahead of this machine's clock")) << log_.text();
  EXPECT_FALSE(log_.contains("agree again"));
}

TEST_F(WorkerTest, ACommitThatIsRefusedLetsGoOfTheLaneAndClaimsItAgainLater) {
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) {
    ++world.fence;  // another worker has come, and died before its first commit
    world.messages += 50;
  });
  ASSERT_TRUE(wait_for([&] { return worker_->status().lanes.empty(); }));
  EXPECT_FALSE(worker_->status().ready);
  EXPECT_EQ(position(), 50u);
  ASSERT_TRUE(wait_until_committed(100));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(100));
  EXPECT_EQ(worker_->status().in_flight, 0u) << "the credit of what was given up";
}

TEST_F(WorkerTest, WhatALaneSaidThatWasLetGoIsNotItsSuccessors) {
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) {
    ++world.fence;  // the next commit is refused, and while it lasts the lane comes to the end of its stream
    world.slow = 200 * millisecond;
    world.messages += 50;
  });
  ASSERT_TRUE(wait_until_stepped(100));
  in_world([](fakes::World& world) {
    world.endless = false;
    world.slow = 0;
  });
  thread_.join();
  EXPECT_TRUE(result_);
  EXPECT_EQ(rows_without_letters(), expected(100));
}

TEST_F(WorkerTest, ALeaseThatIsLostStopsTheLaneUntilThePartitionIsFree) {
  world_.lease = 15 * millisecond;
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) { world.taken = true; });
  ASSERT_TRUE(wait_for([&] { return worker_->status().lanes.empty(); })) << "although there is nothing to commit";
  // What the other worker commits is not this one's to write.
  send(50);
  in_world([](fakes::World& world) {
    world.progress.place.position = world.progress.place.consumed = 80;
    world.progress.place.arrival = world.progress.place.stamp = 80 * second;
    ++world.fence;
    world.taken = false;
  });
  ASSERT_TRUE(wait_until_committed(100));
  EXPECT_TRUE(drain());
  auto without = expected(100);
  without.erase(without.begin() + 49, without.begin() + 79);
  EXPECT_EQ(rows_without_letters(), without);
}

TEST_F(WorkerTest, ALeaseThatIsLostGivesBackTheCreditOfWhatWaited) {
  start_and_lose_the_table();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(wait_until_stepped(100));
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  EXPECT_GT(worker_->status().in_flight, 0u);
  in_world([](fakes::World& world) { world.taken = true; });
  ASSERT_TRUE(wait_for([&] { return worker_->status().lanes.empty(); }));
  EXPECT_TRUE(wait_for([&] { return worker_->status().in_flight == 0; }));
  in_world([](fakes::World& world) { world.down = world.taken = false; });
  ASSERT_TRUE(wait_until_committed(100));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(100));
}

TEST_F(WorkerTest, ATroubleOfCommitsEndsWithTheLanesThatItWasAbout) {
  start_and_lose_the_table();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  in_world([](fakes::World& world) { world.taken = true; });
  ASSERT_TRUE(wait_for([&] { return worker_->status().lanes.empty(); }));
  in_world([](fakes::World& world) { world.down = false; });
  EXPECT_TRUE(wait_for([&] { return worker_->status().conditions.empty(); })) << "nothing is left to commit";
  EXPECT_TRUE(drain());
}

TEST_F(WorkerTest, AfterAnOutageCommitsFollowUponEachOtherWhileMemoryIsFull) {
  pipeline_.emplace(pipeline());
  pipeline_->in_flight = 4'000;
  pipeline_->commit_every = 60 * second;
  start_pipeline();
  ASSERT_TRUE(wait_for([&] { return worker_->status().lanes.size() == 1; }));
  in_world([](fakes::World& world) { world.down = true; });
  send(5000);
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  in_world([](fakes::World& world) { world.down = false; });
  EXPECT_TRUE(wait_until_stepped(5000)) << "what a failure has made small must not wait for a minute each";
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(5000));
}

TEST_F(WorkerTest, APartitionIsWaitedForAlsoWhileTheTableDoesNotAnswer) {
  world_.taken = true;
  world_.messages = 30;
  start();
  ASSERT_TRUE(wait_for([&] { return in_world([](fakes::World& world) { return world.refused_claims > 0; }); }));
  in_world([](fakes::World& world) { world.down = true; });
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  EXPECT_EQ(worker_->status().conditions, std::vector<std::string>{"the table does not answer"});
  EXPECT_EQ(worker_->status().commit_condition, "") << "there is nothing to commit";
  in_world([](fakes::World& world) { world.down = false; });
  ASSERT_TRUE(wait_for([&] { return worker_->status().conditions.empty(); })) << "it answers: the partition is taken";
  in_world([](fakes::World& world) { world.taken = false; });
  ASSERT_TRUE(wait_until_committed(30));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(30));
}

TEST_F(WorkerTest, SnapshotsAreTakenAgainAndAgain) {
  start();
  std::string last;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(wait_for([&] {
      send(1);
      return in_world([&](fakes::World& world) { return world.progress.snapshot != last; });
    })) << "after "
        << last;
    last = in_world([](fakes::World& world) { return world.progress.snapshot; });
  }
  EXPECT_TRUE(drain());
}

TEST_F(WorkerTest, AStartInTheMiddleIsKeptBeforeTheFirstMessageComes) {
  world_.messages = 50;
  world_.starts_new = true;
  start();
  ASSERT_TRUE(wait_until_committed(50)) << "else what comes while no worker is there would be passed over";
  EXPECT_FALSE(in_world([](fakes::World& world) { return world.progress.snapshot; }).empty());
  EXPECT_TRUE(drain());
  send(1);
  start();
  ASSERT_TRUE(wait_until_committed(51));
  EXPECT_TRUE(drain());
  EXPECT_EQ(world_.rows, std::vector<std::string>{"51"});
}

TEST_F(WorkerTest, StateOfANodeThatIsNoMoreIsCounted) {
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  ASSERT_TRUE(drain());
  start_edited(R"({ "id": "out", "sink": "table", "from": "in" })");
  send(1);
  ASSERT_TRUE(wait_until_committed(51));
  EXPECT_TRUE(drain());
  EXPECT_EQ(counters_.value("sum", "discarded_state_bytes"), sizeof(double));
}

TEST_F(WorkerTest, ARenamedNodeKeepsItsStateIfItSaysSo) {
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  ASSERT_TRUE(drain());
  start_edited(
      R"({ "id": "total", "transform": "sum", "from": "in" }, { "id": "out", "sink": "table", "from": "total" })");
  thread_.join();
  ASSERT_FALSE(result_);
  EXPECT_TRUE(result_.error().message.contains(R"("renamed_from": "sum")")) << result_.error().message;
  start_edited(R"({ "id": "total", "renamed_from": "sum", "transform": "sum", "from": "in" },
      { "id": "out", "sink": "table", "from": "total" })");
  send(1);
  ASSERT_TRUE(wait_until_committed(51));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(51));
}

/// A leader's clock was two days ahead for a moment.
TEST_F(WorkerTest, AStampThatIsFarAheadStopsTheLaneBeforeItUntilTheMessageIsGone) {
  world_.arrival_of = [now = system_clock().now()](Position n) {
    return now + (n == 30 ? 48 * 60 * minute : static_cast<Timestamp>(n));
  };
  start();
  send(50);
  ASSERT_TRUE(wait_for([&] { return log_.contains("is stamped"); }));
  thread_.join();
  ASSERT_FALSE(result_);
  for (const char* part :
       {"message 30 of stream S is stamped", "ahead of this machine's clock", "nats stream rmm S 30"})
    EXPECT_TRUE(result_.error().message.contains(part)) << part << " in: " << result_.error().message;
  EXPECT_EQ(position(), 29u) << "what stands before it is committed";
  EXPECT_FALSE(world_.owned);
  in_world([](fakes::World& world) { world.deleted.insert(30); });
  start();
  ASSERT_TRUE(wait_until_committed(50));
  EXPECT_TRUE(drain());
  EXPECT_LT(world_.progress.place.arrival, system_clock().now() + minute);
}

TEST_F(WorkerTest, AStampThatWasBelievedBeforeIsReplayedAndALaneThatCameSoFarStopsAtItsStart) {
  world_.messages = 50;
  const Place ahead{.position = 50, .arrival = system_clock().now() + 48 * 60 * minute};
  world_.progress = {.place = ahead, .fingerprint = pipeline().fingerprint, .stream = {"S", 1}};
  start();
  ASSERT_TRUE(wait_for([&] { return log_.contains("arrival time has come to"); }));
  thread_.join();
  ASSERT_FALSE(result_);
  EXPECT_TRUE(result_.error().message.contains("position 50")) << result_.error().message;
  EXPECT_TRUE(result_.error().message.contains("weir progress reset")) << result_.error().message;
  world_.arrival_of = [now = system_clock().now()](Position n) {
    return now + (n == 30 ? 48 * 60 * minute : static_cast<Timestamp>(n));
  };
  world_.progress.place.arrival = world_.arrival_of(50);
  start();
  ASSERT_TRUE(wait_until_stepped(50));
  EXPECT_TRUE(drain());
}

TEST_F(WorkerTest, ASourceThatIsRefusedEndsTheRunAndKeepsNoPartition) {
  world_.forbidden = true;
  start();
  thread_.join();
  ASSERT_FALSE(result_);
  EXPECT_EQ(result_.error().kind, Error::Kind::refused) << "waiting as for another worker's lease would be for ever";
  EXPECT_FALSE(world_.owned);
}

TEST_F(WorkerTest, ADrainInTheMiddleOfAReplayKeepsTheSnapshotThatItBeganWith) {
  start();
  send(200);
  ASSERT_TRUE(wait_until_committed(200));
  ASSERT_TRUE(drain());
  const Progress before = world_.progress;
  ASSERT_FALSE(before.snapshot.empty());
  in_world([](fakes::World& world) {
    world.progress.snapshot.clear();  // so the replay begins at the first message
    world.slow_pull = 20 * millisecond;
  });
  start();
  ASSERT_TRUE(wait_for([&] {
    const auto status = worker_->status();
    return status.lanes.size() == 1 && status.lanes.front().stepped > 70;  // longer than a snapshot's interval
  }));
  EXPECT_TRUE(drain());
  EXPECT_LT(worker_->status().committed.size(), 1u);
  EXPECT_EQ(world_.progress.snapshot, "") << "that the stream misses nothing shows at a replay's end only";
  in_world([](fakes::World& world) { world.slow_pull = 0; });
  send(10);
  start();
  ASSERT_TRUE(wait_until_committed(210));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(210));
}

TEST_F(WorkerTest, APartitionThatAnotherWorkerHasIsWaitedFor) {
  world_.taken = true;
  world_.messages = 30;
  start();
  ASSERT_TRUE(wait_for([&] { return in_world([](fakes::World& world) { return world.refused_claims > 0; }); }));
  EXPECT_TRUE(worker_->status().lanes.empty());
  EXPECT_FALSE(worker_->status().ready);
  in_world([](fakes::World& world) { world.taken = false; });
  ASSERT_TRUE(wait_until_committed(30));
  EXPECT_TRUE(wait_for([&] { return worker_->status().ready; }));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(30));
}

TEST_F(WorkerTest, ACommitOfUnknownOutcomeIsNotRepeated) {
  start();
  for (Position messages = 30; messages <= 120; messages += 30) {
    in_world([&](fakes::World& world) {
      world.answer_lost = true;
      world.messages = messages;
    });
    ASSERT_TRUE(wait_until_committed(messages));
  }
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(120));
  EXPECT_GE(counters_.value("", "commit_retries"), 4u);
  EXPECT_EQ(counters_.value("out", "rows"), 119u) << "counted once";
}

TEST_F(WorkerTest, AnOutageIsToldOfAndLosesNothing) {
  start();
  send(20);
  ASSERT_TRUE(wait_until_committed(20));
  in_world([](fakes::World& world) { world.down = true; });
  send(500);
  ASSERT_TRUE(wait_for([&] { return !worker_->status().commit_condition.empty(); }));
  EXPECT_THAT(worker_->status().conditions, testing::Contains(worker_->status().commit_condition));
  EXPECT_FALSE(worker_->status().ready);
  in_world([](fakes::World& world) { world.down = false; });
  ASSERT_TRUE(wait_until_committed(520));
  EXPECT_TRUE(wait_for([&] { return worker_->status().ready; }));
  EXPECT_EQ(worker_->status().commit_condition, "");
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(520));
}

TEST_F(WorkerTest, WhatASinkDeniesStopsCommitsUntilItIsMendedAndEndsNoWorker) {
  start();
  send(20);
  ASSERT_TRUE(wait_until_committed(20));
  in_world([](fakes::World& world) { world.denied = true; });
  send(500);
  ASSERT_TRUE(wait_for([&] { return worker_->status().commit_condition.contains("permission denied for table t"); }));
  EXPECT_FALSE(worker_->status().ready);
  in_world([](fakes::World& world) { world.denied = false; });
  ASSERT_TRUE(wait_until_committed(520));
  EXPECT_TRUE(wait_for([&] { return worker_->status().ready; }));
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(520));
}

TEST_F(WorkerTest, LeasesThatAreNotRenewedAreToldOfOnce) {
  world_.lease = 3 * millisecond;
  start();
  send(20);
  ASSERT_TRUE(wait_until_committed(20));
  in_world([](fakes::World& world) { world.not_renewed = true; });
  ASSERT_TRUE(wait_for([&] { return log_.contains("leases not renewed"); }));
  system_clock().wait(50 * millisecond, {});
  EXPECT_EQ(log_.lines("leases not renewed"), 1);
  in_world([](fakes::World& world) { world.not_renewed = false; });
  ASSERT_TRUE(wait_for([&] { return log_.contains("leases not renewed: works again"); }));
  EXPECT_TRUE(drain());
}

TEST_F(WorkerTest, ASlowTableGetsMoreWithEachCommit) {
  world_.slow = 30 * millisecond;
  start();
  send(7000);
  ASSERT_TRUE(wait_until_committed(7000));
  EXPECT_LT(in_world([](fakes::World& world) { return world.commits; }), 100) << "of 1000 steps";
  EXPECT_GE(worker_->status().commit_time, world_.slow);
  EXPECT_TRUE(drain());
  EXPECT_EQ(rows_without_letters(), expected(7000));
}

TEST_F(WorkerTest, WhatCameBeforeAStreamChangedIsCommittedWholeAfterAnOutage) {
  start();
  send(7);
  ASSERT_TRUE(wait_until_committed(7));
  in_world([](fakes::World& world) { world.down = true; });
  send(4993);
  ASSERT_TRUE(wait_until_stepped(5000));
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  in_world([](fakes::World& world) { world.changes = true; });
  ASSERT_TRUE(wait_for([&] { return log_.contains("the stream was recreated"); })) << "before anything is committed";
  in_world([](fakes::World& world) { world.down = false; });
  ASSERT_TRUE(wait_until_committed(5000));
  EXPECT_FALSE(drain()) << "nothing is left that can go on";
  EXPECT_EQ(rows_without_letters(), expected(5000)) << "a commit after a failure takes a part of what waits";
}

TEST_F(WorkerTest, ADrainNamesTheSnapshotAtItsPositionAlsoBehindStepsWithoutRows) {
  start(R"(, "silent_above": 1001)");
  ASSERT_TRUE(wait_for([&] { return worker_->status().ready; }));
  in_world([](fakes::World& world) {
    world.down = true;
    world.messages = 2100;
  });
  ASSERT_TRUE(wait_until_stepped(2100));
  ASSERT_TRUE(wait_for([&] { return !worker_->status().conditions.empty(); }));
  ask_to_drain();
  ASSERT_TRUE(wait_for([&] { return worker_->status().draining; }));
  in_world([](fakes::World& world) { world.down = false; });
  EXPECT_TRUE(drain());
  EXPECT_EQ(world_.progress.place.position, 2100u);

  start(R"(, "silent_above": 2107)");
  send(7);
  EXPECT_TRUE(wait_until_committed(2107)) << "a changed pipeline can go on from there only";
  const auto done = drain();
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(rows_without_letters().back(), std::to_string(2107 * 2108 / 2 - 13));
}

}  // namespace
}  // namespace weir
