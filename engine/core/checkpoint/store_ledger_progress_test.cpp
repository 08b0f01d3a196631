#include "core/checkpoint/store_ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/checkpoint/ledgers.hpp"
#include "fakes/map_store.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class StoreLedgerProgress : public testing::Test {
 protected:
  StoreLedgerProgress() { store_.lease_length = 30 * second; }

  /// A worker with a partition that has come so far.
  void keep(Partition partition, Position position) {
    ASSERT_TRUE(worker_.acquire(partition));
    Snapshots snapshots{store_, "fleet", true};
    ASSERT_TRUE(snapshots.remembered(partition));
    const auto name =
        snapshots.write(partition, "w", {.at = {.place = {.position = position, .arrival = 7}}, .state = "abc"});
    ASSERT_TRUE(name);
    ASSERT_TRUE(*snapshots.remember(partition, {*name, {}}));
  }
  ProgressLine line(Partition partition) {
    const auto lines = kept_.progress().value();
    const auto found = std::ranges::find(lines, partition, &ProgressLine::partition);
    return found == lines.end() ? ProgressLine{.partition = 99} : *found;
  }

  fakes::MapStore::Values values_;
  fakes::MapStore store_{values_};
  fakes::WaitingClock clock_;
  Snapshots snapshots_{store_, "fleet", true};
  StoreLedger worker_{store_, snapshots_, 4, {"w", "1"}, clock_};
  StoreLedger kept_{store_, snapshots_, 4, {}, clock_};
};

TEST_F(StoreLedgerProgress, NothingIsKeptBeforeTheFirstWorker) {
  EXPECT_THAT(kept_.progress().value(), IsEmpty());
  EXPECT_EQ(kept_.reset({}), 0u);
}

TEST_F(StoreLedgerProgress, ALeaseThatWasWrittenBeforeTheClockWasSetBackHasEnded) {
  store_.now = 3600 * second;
  keep(2, 40);
  store_.now = 12 * second;
  EXPECT_EQ(line(2).lease_left, 0);
  EXPECT_EQ(kept_.reset(2), 1u);
}

TEST_F(StoreLedgerProgress, TellsWhoHasAPartitionAndWhereItGoesOn) {
  keep(2, 40);
  store_.now = 12 * second;
  EXPECT_EQ(line(2).owner, "w");
  EXPECT_EQ(line(2).lease_left, 18 * second);
  EXPECT_EQ(line(2).progress.place.position, 40u);
  EXPECT_EQ(line(2).progress.place.arrival, 7);
  EXPECT_THAT(line(2).progress.snapshot, HasSubstr("fleet.2.0.40-w"));
  EXPECT_EQ(line(1).partition, 99u) << "nothing is kept of it";

  store_.now = 30 * second;
  EXPECT_FALSE(is_owned(line(2))) << "its lease has run out by the store's clock";
  worker_.release(2);
  EXPECT_EQ(line(2).owner, "");
  EXPECT_EQ(line(2).progress.place.position, 40u);
}

TEST_F(StoreLedgerProgress, ASnapshotThatIsGoneHasNoPlaceButAName) {
  keep(0, 40);
  values_.erase(line(0).progress.snapshot + "/manifest");
  EXPECT_EQ(line(0).progress.place.position, 0u);
  EXPECT_THAT(line(0).progress.snapshot, HasSubstr("fleet.0.0.40-w"));
}

TEST_F(StoreLedgerProgress, ResetForgetsAllOfAPartitionThatNobodyOwns) {
  keep(0, 40);
  keep(1, 50);
  const auto refused = kept_.reset(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::held);
  EXPECT_EQ(refused.error().message, "partition 0 belongs to w, whose lease runs for 30s; end that worker");
  EXPECT_EQ(line(0).progress.place.position, 40u);

  store_.now = 31 * second;
  EXPECT_EQ(kept_.reset(0), 1u);
  EXPECT_EQ(line(0).partition, 99u);
  EXPECT_EQ(line(1).progress.place.position, 50u);
  EXPECT_FALSE(*Snapshots(store_, "fleet", true).any(0));
  EXPECT_EQ(*Snapshots(store_, "fleet", true).resets(0), 1u) << "so that rows get other ids";
  EXPECT_EQ(*Snapshots(store_, "fleet", true).resets(1), 0u);
  StoreLedger another{store_, snapshots_, 4, {"x", "1"}, clock_};
  EXPECT_TRUE(another.acquire(0)) << "it is free at once";
  EXPECT_EQ(kept_.reset({}).error().kind, Error::Kind::held);
  another.release(0);
  EXPECT_EQ(kept_.reset({}), 1u);
}

TEST_F(StoreLedgerProgress, ResetForgetsNothingIfAWorkerClaimsOneMeanwhile) {
  keep(0, 40);
  keep(1, 50);
  store_.now = 31 * second;
  store_.before_put_if = [&](std::string_view) { ASSERT_TRUE(store_.put("fleet.lease.1", "x")); };
  EXPECT_EQ(kept_.reset({}).error().kind, Error::Kind::held);
  EXPECT_EQ(line(0).progress.place.position, 40u);
  EXPECT_EQ(line(0).owner, "") << "it is free again";
}

TEST_F(StoreLedgerProgress, AResetThatWasEndedInBetweenCanBeDoneAgain) {
  keep(0, 40);
  store_.now = 31 * second;
  ASSERT_TRUE(store_.put("fleet.lease.0", "weir progress reset-"));
  EXPECT_EQ(kept_.reset({}), 1u);
  EXPECT_EQ(line(0).partition, 99u);
}

TEST_F(StoreLedgerProgress, AnotherPipelinesStateStays) {
  keep(0, 40);
  store_.now = 31 * second;
  Snapshots others{store_, "fleet2"};
  EXPECT_EQ(StoreLedger(store_, others, 4, {}, clock_).reset({}), 0u);
  EXPECT_EQ(line(0).progress.place.position, 40u);
}

}  // namespace
}  // namespace weir
