#include "core/coordination/claiming.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ranges>
#include <set>

#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Lanes that start, or say why not.
class AskedLanes final : public HeldLanes {
 public:
  Result<void> start(Partition partition) override {
    asked.push_back(partition);
    if (const auto why = answers.find(partition); why != answers.end()) return std::unexpected(why->second);
    running.insert(partition);
    troubles.erase(partition);
    return {};
  }
  void let_go(Partition) override {}
  std::optional<Snapshot> state_at_rest(Partition) override { return {}; }
  void drop(Partition partition) override {
    running.erase(partition);
    troubles.erase(partition);
  }
  void rest(Partition partition) override { running.erase(partition); }
  void broke(Partition partition, Error error) override { troubles.emplace(partition, std::move(error)); }
  bool got_on(Partition partition) const override { return getting_on.contains(partition); }
  bool has(LaneId lane) const override { return running.contains(lane.partition); }
  LaneId id(Partition partition) const override { return {partition, 1}; }
  Position at(Partition) const override { return 0; }
  bool broken(Partition partition) const override { return troubles.contains(partition); }
  std::vector<Partition> partitions() const override { return {std::from_range, running}; }
  std::size_t count() const override { return running.size() + troubles.size(); }
  std::vector<Partition> broken() const override { return {std::from_range, std::views::keys(troubles)}; }
  void committed(Partition, Position) override {}
  void snapshot_done(Partition) override {}

  std::map<Partition, Error> answers;  // of those that don't start
  std::vector<Partition> asked;
  std::set<Partition> running, getting_on;
  std::map<Partition, Error> troubles;
};

class ClaimingTest : public testing::Test {
 protected:
  ClaimingTest() {
    source_.spec.claims([](const Settings&) { return Claims{.partitions = 3}; });
    Node& source = pipeline_.nodes.emplace_back();
    source.role = Role::source;
    source.op = &source_;
    for (Partition partition = 0; partition < 3; ++partition) claiming_.later(partition, 0);
  }
  void answer(Partition partition, Error::Kind kind) { lanes_.answers[partition] = {kind, "because"}; }
  Timestamp now() const { return clock_.steady(); }

  Operator source_{.spec = Spec::source("three partitions")};
  Pipeline pipeline_;
  AskedLanes lanes_;
  fakes::WaitingClock clock_;
  Claiming claiming_{pipeline_, lanes_, clock_};
};

TEST_F(ClaimingTest, StartsWithAllThatAreFreeAndWaitsForTheOthers) {
  answer(1, Error::Kind::held);
  ASSERT_TRUE(claiming_.all({}));
  EXPECT_THAT(lanes_.partitions(), ElementsAre(0, 2));
  EXPECT_TRUE(claiming_.waiting());
  EXPECT_FALSE(claiming_.is_due(now()));
  clock_.wait(Claiming::again_after, {});
  EXPECT_TRUE(claiming_.is_due(now()));
}

TEST_F(ClaimingTest, AChangedStreamEndsNoOtherLane) {
  answer(0, Error::Kind::changed);
  ASSERT_TRUE(claiming_.all({}));
  EXPECT_THAT(lanes_.partitions(), ElementsAre(1, 2));
  EXPECT_THAT(lanes_.broken(), ElementsAre(0));
  EXPECT_FALSE(claiming_.waiting()) << "somebody is to put it right first";
}

TEST_F(ClaimingTest, AChangedStreamIsTriedAgainLessAndLessOftenUntilSomebodyPutsItRight) {
  answer(0, Error::Kind::changed);
  ASSERT_TRUE(claiming_.all({}));
  lanes_.asked.clear();
  for (const Duration wait : {10, 20, 40, 80, 160, 300, 300}) {
    clock_.wait(wait * second - 1, {});
    EXPECT_FALSE(claiming_.is_due(now())) << wait;
    clock_.wait(1, {});
    EXPECT_EQ(claiming_.due(now()), "");
  }
  EXPECT_EQ(lanes_.asked.size(), 7u);
  lanes_.answers.clear();
  clock_.wait(300 * second, {});
  EXPECT_EQ(claiming_.due(now()), "");
  EXPECT_THAT(lanes_.partitions(), ElementsAre(0, 1, 2));
  EXPECT_THAT(lanes_.broken(), IsEmpty());
  EXPECT_EQ(claiming_.due(now() + 10 * minute), std::nullopt);
}

TEST_F(ClaimingTest, WhatIsBrokenIsNotTriedMoreOftenWhileNobodyAnswers) {
  answer(0, Error::Kind::changed);
  ASSERT_TRUE(claiming_.all({}));
  answer(0, Error::Kind::unreachable);
  clock_.wait(10 * second, {});
  EXPECT_EQ(claiming_.due(now()), std::nullopt) << "it has been told why it is broken";
  EXPECT_THAT(lanes_.broken(), ElementsAre(0));
  clock_.wait(10 * second - 1, {});
  EXPECT_FALSE(claiming_.is_due(now()));
  clock_.wait(1, {});
  EXPECT_TRUE(claiming_.is_due(now()));
}

TEST_F(ClaimingTest, WhatBrokeHereAndAnotherWorkerHasIsNoTroubleOfThisOne) {
  answer(0, Error::Kind::changed);
  ASSERT_TRUE(claiming_.all({}));
  EXPECT_THAT(claiming_.met({.taken = {0}}, {}), IsEmpty());
  EXPECT_THAT(lanes_.broken(), IsEmpty());
  EXPECT_EQ(claiming_.due(now() + 10 * minute), std::nullopt);
}

/// While others are free it must not take the place of one that works.
TEST_F(ClaimingTest, WhatBrokeIsTakenLast) {
  answer(0, Error::Kind::changed);
  EXPECT_THAT(claiming_.met({.workers = 2, .taken = {1, 2}}, {}), IsEmpty());
  ASSERT_TRUE(claiming_.all({}));
  EXPECT_THAT(claiming_.met({.workers = 2, .taken = {}}, {}), IsEmpty());
  while (claiming_.due(now())) {
  }
  EXPECT_THAT(lanes_.partitions(), ElementsAre(1, 2));
  EXPECT_THAT(lanes_.broken(), IsEmpty()) << "it is for the other one to try";
}

TEST_F(ClaimingTest, AStreamThatDoesNotAnswerHoldsUpNoOtherAndIsTriedAgain) {
  answer(0, Error::Kind::unreachable);
  ASSERT_TRUE(claiming_.all({}));
  EXPECT_THAT(lanes_.partitions(), ElementsAre(1, 2));
  EXPECT_THAT(lanes_.broken(), IsEmpty());
  lanes_.answers.clear();
  clock_.wait(Claiming::again_after, {});
  EXPECT_EQ(claiming_.due(now()), "");
  EXPECT_THAT(lanes_.partitions(), ElementsAre(0, 1, 2));
}

TEST_F(ClaimingTest, IfNoneAnswersTheStartFails) {
  for (const Partition partition : {0u, 1u, 2u}) answer(partition, Error::Kind::unreachable);
  EXPECT_EQ(claiming_.all({}).error().kind, Error::Kind::unreachable);
  answer(1, Error::Kind::held);
  EXPECT_TRUE(claiming_.all({})) << "the one in the middle may become this worker's";
}

TEST_F(ClaimingTest, IfNoneIsLeftTheStartFails) {
  for (const Partition partition : {0u, 1u, 2u}) answer(partition, Error::Kind::changed);
  const auto started = claiming_.all({});
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("because"));
}

TEST_F(ClaimingTest, OneThatAnotherWorkerHasIsLeft) {
  answer(0, Error::Kind::changed);
  answer(1, Error::Kind::held);
  answer(2, Error::Kind::changed);
  EXPECT_TRUE(claiming_.all({})) << "the one in the middle may still become this worker's";
}

TEST_F(ClaimingTest, WhereOthersAreToLetSomeGoItStandsByUntilThen) {
  answer(0, Error::Kind::changed);
  answer(1, Error::Kind::changed);
  answer(2, Error::Kind::changed);
  // One that is free, of two that are its share.
  EXPECT_THAT(claiming_.met({.workers = 2, .rank = 0, .taken = {1, 2}}, {}), IsEmpty());
  EXPECT_EQ(claiming_.wanted(), 2u);
  EXPECT_TRUE(claiming_.all({}));
  EXPECT_THAT(lanes_.asked, ElementsAre(0));
}

TEST_F(ClaimingTest, AStartThatIsToBeWholeEndsWithTheFirstThatChanged) {
  answer(1, Error::Kind::changed);
  EXPECT_EQ(claiming_.all({}, true).error().kind, Error::Kind::changed);
  EXPECT_THAT(lanes_.asked, ElementsAre(0, 1));
}

TEST_F(ClaimingTest, WhatIsWrongWithAllEndsTheStartAtOnce) {
  answer(0, Error::Kind::invalid);
  EXPECT_EQ(claiming_.all({}).error().kind, Error::Kind::invalid);
  EXPECT_THAT(lanes_.asked, ElementsAre(0));
  EXPECT_THAT(lanes_.broken(), IsEmpty());
}

TEST_F(ClaimingTest, TheOneThatHasWaitedLongestIsNext) {
  answer(0, Error::Kind::unreachable);
  EXPECT_EQ(claiming_.due(now()), "because");
  EXPECT_EQ(claiming_.due(now()), "") << "nothing wrong with 1";
  EXPECT_EQ(claiming_.due(now()), "");
  EXPECT_EQ(claiming_.due(now()), std::nullopt) << "0 is not due yet";
  clock_.wait(Claiming::again_after, {});
  EXPECT_EQ(claiming_.due(now()), "because");
  EXPECT_THAT(lanes_.asked, ElementsAre(0, 1, 2, 0));
}

TEST_F(ClaimingTest, WhateverBreaksOneItEndsNoOtherAndIsTriedAgain) {
  answer(0, Error::Kind::internal);
  answer(1, Error::Kind::refused);
  answer(2, Error::Kind::exhausted);
  EXPECT_FALSE(claiming_.all({})) << "none is left";
  EXPECT_THAT(lanes_.asked, ElementsAre(0, 1, 2));
  EXPECT_THAT(lanes_.broken(), ElementsAre(0, 1, 2));
  lanes_.answers.clear();
  lanes_.asked.clear();
  clock_.wait(Claiming::first_retry - 1, {});
  EXPECT_FALSE(claiming_.is_due(now()));
  clock_.wait(1, {});
  while (claiming_.due(now())) {
  }
  EXPECT_THAT(lanes_.partitions(), ElementsAre(0, 1, 2));
}

TEST_F(ClaimingTest, OneThatStartsAndBreaksIsTriedLessAndLessOftenUntilItGetsOn) {
  ASSERT_TRUE(claiming_.all({}));
  const auto breaks = [&] {
    lanes_.broke(0, {Error::Kind::internal, "because"});
    lanes_.rest(0);
    claiming_.broke(0);
  };
  const auto starts_after = [&](Duration pause) {
    clock_.wait(pause - 1, {});
    EXPECT_FALSE(claiming_.is_due(now())) << pause / second;
    clock_.wait(1, {});
    EXPECT_EQ(claiming_.due(now()), "");
    EXPECT_THAT(lanes_.partitions(), ElementsAre(0, 1, 2));
  };
  for (const Duration pause : {10, 20, 40}) {
    breaks();
    starts_after(pause * second);
  }
  lanes_.getting_on.insert(0);
  breaks();
  starts_after(10 * second);
}

}  // namespace
}  // namespace weir
