#include "core/coordination/partition_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include <weir/format.hpp>

namespace weir {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using State = PartitionManager::State;
using News = PartitionManager::News;

/// Three partitions, and a worker alone unless a test says otherwise. Actions read as "acquire 0.1": partition 0,
/// run 1.
class PartitionManagerTest : public testing::Test {
 protected:
  std::vector<std::string> actions() {
    static constexpr const char* names[] = {"acquire", "run", "stop", "save", "release", "abandon"};
    std::vector<std::string> out;
    for (const auto& [kind, lane] : manager_.take_actions())
      out.push_back(weir::format("{} {}.{}", names[static_cast<int>(kind)], lane.partition, lane.run));
    return out;
  }
  std::vector<std::string> turn(Duration later = 0) {
    now_ += later;
    manager_.turn(now_, [this](Partition partition) { return uncommitted_.contains(partition); });
    return actions();
  }
  void assign(const Members& members = {}) { manager_.assign(members, now_); }
  LaneId lane(Partition partition) const { return manager_.lane(partition); }
  void start(Partition partition, Position committed = 0) {
    manager_.restored(lane(partition));
    manager_.started(lane(partition), committed);
  }
  News fail(Partition partition, Error::Kind kind, std::string why = "because") {
    return manager_.failed_to_start(lane(partition), {kind, std::move(why)}, now_);
  }
  /// All three run.
  void start_all() {
    assign();
    turn();
    for (const Partition partition : {0u, 1u, 2u}) start(partition);
    actions();
  }

  const Members with_another_{.workers = 2, .rank = 1, .taken = {}};  // partitions 0 and 1 are the other's
  PartitionManager manager_{3};
  std::set<Partition> uncommitted_;
  Timestamp now_ = 100 * second;
};

// Starting.

TEST_F(PartitionManagerTest, AcquiresItsShareAndRunsWhatIsRestored) {
  EXPECT_THAT(turn(), IsEmpty()) << "nobody has said who shares the partitions";
  assign();
  EXPECT_THAT(turn(), ElementsAre("acquire 0.1", "acquire 1.1", "acquire 2.1"));
  manager_.acquired(lane(1));
  EXPECT_EQ(manager_.state(1), State::restoring);
  EXPECT_EQ(manager_.start_outcome(false), std::nullopt) << "not all have been tried";
  for (const Partition partition : {0u, 1u, 2u}) start(partition);
  EXPECT_THAT(actions(), ElementsAre("run 0.1", "run 1.1", "run 2.1"));
  EXPECT_THAT(manager_.in(State::running), ElementsAre(0, 1, 2));
  EXPECT_TRUE(manager_.start_outcome(false)->has_value());
  EXPECT_TRUE(manager_.has_share());
}

TEST_F(PartitionManagerTest, AcquiresAFewAtOnceThoseFirstThatHaveWaitedLongest) {
  PartitionManager many{8};
  many.assign({}, now_);
  many.turn(now_, [](Partition) { return false; });
  EXPECT_EQ(many.take_actions().size(), PartitionManager::at_once);
  (void)many.failed_to_start({0, 1}, {Error::Kind::held, ""}, now_);
  many.turn(now_ + second, [](Partition) { return false; });
  EXPECT_THAT(many.take_actions(), ElementsAre(PartitionAction{PartitionAction::Kind::acquire, {4, 1}}));
}

TEST_F(PartitionManagerTest, WaitsForWhatAnotherOwns) {
  assign();
  turn();
  start(0);
  start(2);
  EXPECT_EQ(fail(1, Error::Kind::held), News::none);
  EXPECT_TRUE(manager_.start_outcome(false)->has_value());
  EXPECT_TRUE(manager_.start_outcome(true)->has_value()) << "it comes when its owner has gone";
  actions();
  EXPECT_THAT(turn(PartitionManager::again_after - 1), IsEmpty());
  EXPECT_THAT(turn(1), ElementsAre("acquire 1.2"));
  EXPECT_FALSE(manager_.has_share());
}

struct Start {
  const char* what;
  std::vector<Error::Kind> fail;  // of partitions 0, 1, …; the rest runs
  bool whole;
  const char* outcome;  // "runs", "goes on" or the error
};

class PartitionManagerStart : public PartitionManagerTest, public testing::WithParamInterface<Start> {};

TEST_P(PartitionManagerStart, Ends) {
  const Start& row = GetParam();
  assign();
  turn();
  for (const Partition partition : {0u, 1u, 2u}) {
    partition < row.fail.size() ? (void)fail(partition, row.fail[partition], weir::format("{}", partition))
                                : start(partition);
  }
  const auto outcome = manager_.start_outcome(row.whole);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(*outcome ? "goes on" : outcome->error().message, row.outcome) << row.what;
}

constexpr auto held = Error::Kind::held, unreachable = Error::Kind::unreachable, changed = Error::Kind::changed,
               invalid = Error::Kind::invalid;
INSTANTIATE_TEST_SUITE_P(
    Rows, PartitionManagerStart,
    testing::Values(Start{"one changed stream", {changed}, false, "goes on"},
                    Start{"one changed stream, whole", {changed}, true, "0"},
                    Start{"all are changed", {changed, changed, changed}, false, "2"},
                    Start{"a mistake of the user's", {invalid}, false, "0"},
                    Start{"one is silent", {unreachable}, false, "goes on"},
                    Start{"one is silent, whole", {unreachable}, true, "0"},
                    Start{"all are silent", {unreachable, unreachable, unreachable}, false, "2"},
                    Start{"one is held, the others silent", {held, unreachable, unreachable}, false, "goes on"},
                    Start{"all are held", {held, held, held}, true, "goes on"},
                    Start{"one is silent, the others changed", {unreachable, changed, changed}, false, "0"}));

TEST_F(PartitionManagerTest, SaysWhatIsUnreachableUntilItAnswersOrIsNotItsOwn) {
  assign();
  turn();
  fail(1, Error::Kind::unreachable, "no answer");
  EXPECT_EQ(manager_.unreachable(), "no answer");
  turn(second);
  start(1);
  EXPECT_EQ(manager_.unreachable(), "");
  fail(0, Error::Kind::unreachable, "no answer");
  assign(with_another_);
  EXPECT_EQ(manager_.unreachable(), "") << "it is another worker's";
}

TEST_F(PartitionManagerTest, WhatCanNotRunIsReleasedBeforeItIsTriedAgain) {
  assign();
  turn();
  manager_.restored(lane(0));
  fail(0, Error::Kind::unreachable);
  EXPECT_THAT(actions(), ElementsAre("run 0.1", "abandon 0.1"));
  EXPECT_THAT(turn(2 * second), IsEmpty()) << "it is still being released";
  manager_.released(lane(0));
  EXPECT_THAT(turn(), ElementsAre("acquire 0.2"));
}

// Failing.

TEST_F(PartitionManagerTest, AFailureIsRetriedLessAndLessOftenAndLoggedOnce) {
  assign();
  turn();
  EXPECT_EQ(fail(0, Error::Kind::changed), News::failed);
  for (const Duration wait : {10, 20, 40, 80, 160, 300, 300}) {
    EXPECT_THAT(turn(wait * second - 1), IsEmpty()) << wait;
    EXPECT_EQ(turn(1).size(), 1u) << wait;
    EXPECT_EQ(fail(0, Error::Kind::changed), News::none);
  }
  turn(300 * second);
  EXPECT_EQ(fail(0, Error::Kind::changed, "something else"), News::failed);
  turn(300 * second);
  start(0);
  EXPECT_THAT(manager_.failures(), IsEmpty());
}

TEST_F(PartitionManagerTest, AFailedOneIsTriedNoMoreOftenWhileAServiceIsSilent) {
  assign();
  turn();
  fail(0, Error::Kind::changed);
  turn(10 * second);
  fail(0, Error::Kind::unreachable);
  EXPECT_EQ(manager_.state(0), State::failed) << "why it failed stands";
  EXPECT_THAT(turn(10 * second - 1), IsEmpty());
  EXPECT_THAT(turn(1), ElementsAre("acquire 0.3"));
}

TEST_F(PartitionManagerTest, AFailedLaneIsReleasedWhenWhatStandsBeforeItIsCommitted) {
  start_all();
  uncommitted_ = {0};
  EXPECT_EQ(manager_.ended(lane(0), Error{Error::Kind::internal, "bug"}, now_), News::failed);
  EXPECT_TRUE(manager_.wants_commit());
  EXPECT_THAT(turn(), IsEmpty());
  uncommitted_ = {};
  EXPECT_THAT(turn(), ElementsAre("release 0.1")) << "without a snapshot";
  manager_.released(lane(0));
  EXPECT_EQ(manager_.state(0), State::failed);
  EXPECT_THAT(turn(10 * second), ElementsAre("acquire 0.2"));
}

TEST_F(PartitionManagerTest, WhatCommittedSomethingNewIsNoWorseThanBefore) {
  start_all();
  for (const bool progressed : {false, true}) {
    if (progressed) manager_.committed(0, 7);
    const auto news = manager_.ended(lane(0), Error{Error::Kind::internal, "bug"}, now_);
    EXPECT_EQ(news, News::failed);
    turn();
    manager_.released(lane(0));
    turn(10 * second);
    start(0, progressed ? 7 : 0);
  }
  EXPECT_EQ(manager_.ended(lane(0), Error{Error::Kind::internal, "bug"}, now_), News::failed_again);
  turn();
  manager_.released(lane(0));
  EXPECT_THAT(turn(10 * second), IsEmpty()) << "it waits twice as long";
}

// Sharing.

TEST_F(PartitionManagerTest, ARevokedPartitionGoesInFourSteps) {
  start_all();
  uncommitted_ = {0, 1};
  assign(with_another_);
  EXPECT_THAT(actions(), ElementsAre("stop 0.1", "stop 1.1"));
  manager_.ended(lane(0), {}, now_);
  EXPECT_THAT(actions(), ElementsAre("save 0.1"));
  EXPECT_TRUE(manager_.wants_commit());
  manager_.commit_done();
  uncommitted_ = {1};
  EXPECT_THAT(turn(), IsEmpty()) << "its snapshot is not stored";
  uncommitted_ = {0, 1};
  manager_.stored(lane(0));
  EXPECT_TRUE(manager_.wants_commit());
  EXPECT_THAT(turn(), IsEmpty()) << "nothing names its snapshot";
  uncommitted_ = {1};
  EXPECT_THAT(turn(), ElementsAre("release 0.1"));
  EXPECT_FALSE(manager_.has(lane(0)));
  manager_.released(lane(0));
  EXPECT_EQ(manager_.state(0), State::unowned);
  EXPECT_THAT(turn(10 * second), IsEmpty()) << "it is the other's";
}

TEST_F(PartitionManagerTest, WhatHasEndedIsSavedAtOnceWhenItIsRevoked) {
  start_all();
  manager_.ended(lane(0), {}, now_);
  EXPECT_THAT(actions(), IsEmpty());
  assign(with_another_);
  EXPECT_THAT(actions(), ElementsAre("save 0.1", "stop 1.1"));
}

TEST_F(PartitionManagerTest, WhatIsRevokedWhileItIsAcquiredIsReleasedOnceRestored) {
  assign();
  turn();
  assign(with_another_);
  EXPECT_THAT(actions(), IsEmpty());
  manager_.restored(lane(0));
  EXPECT_THAT(actions(), ElementsAre("abandon 0.1"));
  fail(1, Error::Kind::unreachable);
  EXPECT_THAT(turn(10 * second), IsEmpty());
}

TEST_F(PartitionManagerTest, AFailedOneThatAnotherWorkerTriesIsForgotten) {
  assign();
  turn();
  fail(0, Error::Kind::changed);
  start(1);
  start(2);
  assign({.workers = 2, .rank = 0, .taken = {0}});
  EXPECT_THAT(manager_.failures(), IsEmpty());
  EXPECT_EQ(manager_.state(0), State::unowned);
}

TEST_F(PartitionManagerTest, AFailedOneThatFailsElsewhereTooIsTriedNoMoreOftenThanIfItHadStayed) {
  assign();
  turn();
  for (const Duration pause : {10 * second, 20 * second, 40 * second}) {
    EXPECT_EQ(fail(0, Error::Kind::changed), pause == 10 * second ? News::failed : News::none);
    start(1);
    start(2);
    actions();
    assign({.workers = 2, .rank = 0, .taken = {0}});
    assign();
    EXPECT_THAT(turn(pause - second), Not(Contains(StartsWith("acquire 0"))));
    EXPECT_THAT(turn(second), Contains(StartsWith("acquire 0")));
  }
}

TEST_F(PartitionManagerTest, WhoIsNotNeededStandsBy) {
  assign({.workers = 4, .rank = 3, .taken = {0, 1, 2}});
  EXPECT_THAT(turn(), IsEmpty());
  EXPECT_EQ(manager_.share(), 0u);
  EXPECT_TRUE(manager_.has_share());
  EXPECT_FALSE(manager_.nothing_left());
}

TEST_F(PartitionManagerTest, SaysHowManyOthersStillOwn) {
  assign({.workers = 1, .rank = 0, .taken = {0, 1}});
  EXPECT_EQ(manager_.missing(), 2u);
  EXPECT_TRUE(manager_.expects_more(now_));
  EXPECT_FALSE(manager_.expects_more(now_ + 11 * second)) << "whoever owned them is dead";
}

// Losing.

TEST_F(PartitionManagerTest, WhatIsLostIsAcquiredAgain) {
  start_all();
  manager_.lost(lane(1), now_);
  EXPECT_THAT(actions(), ElementsAre("abandon 1.1"));
  manager_.lost(lane(1), now_);
  EXPECT_THAT(actions(), IsEmpty()) << "it is lost already";
  EXPECT_THAT(turn(second), IsEmpty());
  manager_.released(lane(1));
  EXPECT_THAT(turn(), ElementsAre("acquire 1.2"));
}

TEST_F(PartitionManagerTest, WhatIsLostWhileItIsRestoredNeverRuns) {
  assign({});
  turn();
  manager_.acquired(lane(0));
  manager_.lost(lane(0), now_);
  EXPECT_THAT(actions(), IsEmpty()) << "it comes to its end first";
  manager_.restored(lane(0));
  EXPECT_THAT(actions(), ElementsAre("abandon 0.1"));
  manager_.released(lane(0));
  EXPECT_THAT(turn(second), ElementsAre("acquire 0.2"));
}

TEST_F(PartitionManagerTest, LateEventsOfAFormerLaneChangeNothing) {
  start_all();
  const LaneId former = lane(1);
  manager_.lost(former, now_);
  manager_.released(former);
  turn(second);
  start(1);
  actions();
  manager_.lost(former, now_);
  manager_.ended(former, Error{Error::Kind::internal, "bug"}, now_);
  manager_.stored(former);
  manager_.released(former);
  EXPECT_THAT(actions(), IsEmpty());
  EXPECT_EQ(manager_.state(1), State::running);
  EXPECT_THAT(manager_.failures(), IsEmpty());
}

// Ending.

TEST_F(PartitionManagerTest, NothingIsLeftOnceEachLaneHasEndedOrFailed) {
  start_all();
  manager_.ended(lane(0), {}, now_);
  manager_.ended(lane(1), Error{Error::Kind::internal, "bug"}, now_);
  EXPECT_FALSE(manager_.nothing_left());
  manager_.ended(lane(2), {}, now_);
  EXPECT_TRUE(manager_.nothing_left());
}

TEST_F(PartitionManagerTest, ADrainAcquiresAndRevokesNothing) {
  assign();
  turn();
  start(0);
  start(1);
  assign(with_another_);
  actions();
  manager_.stop();
  EXPECT_EQ(manager_.state(0), State::running) << "it is drained with the others";
  manager_.restored(lane(2));
  EXPECT_THAT(actions(), ElementsAre("abandon 2.1"));
  assign();
  EXPECT_THAT(turn(10 * second), IsEmpty());
}

}  // namespace
}  // namespace weir
