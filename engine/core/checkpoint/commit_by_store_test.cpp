/// Where the store tells how far a lane had come: no sink keeps progress, or those that did are gone or new.
#include "core/checkpoint/commit.hpp"
#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

using fakes::for_all;

class CommitByStore : public fakes::CommitTest {
 protected:
  /// A worker whose only sink keeps no progress.
  CommitCycle alone() { return {pipeline_, {{1, list_.get(), {}, "list"}}, snapshots_, box_, counters_, ledger_}; }
  /// Has it commit a row at this position, and a snapshot there.
  void commit_alone(Position position, const std::string& row) {
    CommitCycle cycle = alone();
    ASSERT_TRUE(fakes::acquire(cycle, 0));
    cycle.take(step(0, position, row, 1));
    cycle.name_snapshot(0, *snapshots_.write(0, "f", snapshot(position, "state")), position);
    ASSERT_TRUE(cycle.commit());
  }
};

TEST_F(CommitByStore, WhereNoSinkKeepsProgressASnapshotThatIsGoneStopsTheLane) {
  ASSERT_TRUE(snapshots_.remember(0, {"somebody.0.0.5-f"}));
  CommitCycle second = alone();
  EXPECT_EQ(fakes::acquire(second, 0).error().message, R"(partition 0: snapshot somebody.0.0.5-f is not in the store
  why not    no sink of this pipeline keeps progress, so only the snapshot told what was written
  ways out   bring back what the "state" store held
             or another "name": all rows again, beside those that are there)");
}

TEST_F(CommitByStore, WhereWorkersShareAStoreOneWhomAnotherHasFollowedChangesNothing) {
  Snapshots former{store_, "fleet", true}, owner{store_, "fleet", true};
  ASSERT_EQ(former.remembered(0)->snapshot, "");
  ASSERT_EQ(owner.remembered(0)->snapshot, "");
  EXPECT_TRUE(*owner.remember(0, {"newer"}));
  EXPECT_FALSE(*former.remember(0, {"older"}));
  EXPECT_TRUE(*owner.remember(0, {"newest"}));
  EXPECT_EQ(former.remembered(0)->snapshot, "newest");
  EXPECT_TRUE(*former.remember(0, {"its own now"}));
}

TEST_F(CommitByStore, WhereWorkersShareAStoreAnAnswerThatWasLostLosesNoLane) {
  Snapshots owner{store_, "fleet", true};
  ASSERT_EQ(owner.remembered(0)->snapshot, "");
  for (const char* again : {"first", "newer"}) {
    store_.answer_lost = true;
    EXPECT_FALSE(owner.remember(0, {"first"}));
    EXPECT_EQ(owner.remember(0, {again}), true) << again;
    EXPECT_EQ(owner.remember(0, {"then"}), true);
  }
  store_.answer_lost = true;
  EXPECT_FALSE(owner.remember(0, {"lost"}));
  store_.fails = true;
  EXPECT_FALSE(owner.remember(0, {"never written"}));
  EXPECT_EQ(owner.remember(0, {"then"}), true);
  Snapshots other{store_, "fleet", true};
  ASSERT_EQ(other.remembered(0)->snapshot, "then");
  store_.answer_lost = true;
  EXPECT_FALSE(owner.remember(0, {"lost"}));
  ASSERT_EQ(other.remembered(0)->snapshot, "lost");
  EXPECT_EQ(other.remember(0, {"the other's"}), true);
  EXPECT_EQ(owner.remember(0, {"late"}), false);
}

TEST_F(CommitByStore, WhereNoSinkKeepsProgressTheLastSnapshotTells) {
  commit_alone(5, "a");
  CommitCycle second = alone();
  const auto start = fakes::acquire(second, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->committed(), 5u);
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->replay_until, 5u);
  EXPECT_EQ(start->state, "state");
}

TEST_F(CommitByStore, TheFirstSinkThatKeepsProgressBeginsAtTheNewestSnapshot) {
  commit_alone(5, "a");
  start_worker(true, false);
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->replay_until, 5u) << "the other sink has what lies before";
  EXPECT_EQ(start->state, "state");
  EXPECT_EQ(start->committed(), 5u) << "the stream must bear it out";
  EXPECT_EQ(database_.places[0].progress.place.position, 5u);
  EXPECT_NE(database_.places[0].progress.snapshot, "");
}

TEST_F(CommitByStore, WhatIsLeftGoesOnFromTheNewestSnapshotOnceNoSinkKeepsProgress) {
  start_worker(true, false);
  commit_with_snapshot(5);
  CommitCycle left = alone();
  const auto start = fakes::acquire(left, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->replay_until, 5u);
}

TEST_F(CommitByStore, ASinkThatComesBackKeepsNobodyFromWhereTheyAre) {
  start_worker(true, false);
  commit_with_snapshot(5);
  commit_alone(9, "b");
  start_worker(true, false);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  list_rows_.clear();
  cycle_->take(for_all(7));
  cycle_->take(for_all(12));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(list_rows_, std::vector<std::string>{"12"});
}

TEST_F(CommitByStore, ASnapshotTellsThatADatabaseWasLost) {
  commit_with_snapshot(5);
  database_ = {};
  start_worker();
  const auto lost = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(lost);
  EXPECT_TRUE(lost.error().message.contains("`weir progress reset --node db --partition 0`")) << lost.error().message;
  database_.places[0].progress.resets = 1;
  EXPECT_TRUE(fakes::acquire(*cycle_, 0));
}

}  // namespace
}  // namespace weir
