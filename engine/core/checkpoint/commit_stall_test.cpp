/// A worker that stands still in the midst of an acquisition, while another one goes on.
#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

class CommitStall : public fakes::CommitTest {
 protected:
  /// What another worker commits meanwhile, with a snapshot of its own; the older one is deleted.
  void another_goes_on(Position position) {
    Snapshots of_another{store_, "test"};
    const auto name = of_another.write(0, "another", snapshot(position - 1, "state of another"));
    ASSERT_TRUE(name);
    std::erase_if(stored_,
                  [&](const auto& value) { return value.first.contains(database_.places[0].progress.snapshot); });
    auto& place = database_.places[0];
    place.progress.place.position = position;
    place.progress.snapshot = *name;
    place.fence = ++database_.fences;
  }
};

TEST_F(CommitStall, BetweenProgressAndSnapshotGoesOnFromWhatAnotherCommitted) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "five"));
  const auto name = snapshots_.write(0, "first", snapshot(5, "state of five"));
  ASSERT_TRUE(name);
  cycle_->name_snapshot(0, *name, 5);
  ASSERT_TRUE(cycle_->commit());
  ASSERT_EQ(database_.places[0].progress.snapshot, *name);

  start_worker();
  store_.before_get = [&] { another_goes_on(9); };
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->lost, "") << "the state must not be made again from the stream's first message";
  EXPECT_EQ(start->after, 8u);
  EXPECT_EQ(start->replay_until, 9u);
  EXPECT_EQ(start->state, "state of another");

  cycle_->take(step(0, 10, "ten"));
  const auto committed = cycle_->commit();
  ASSERT_TRUE(committed);
  EXPECT_TRUE(committed->refused.empty()) << "it acquired once more, so it is the owner";
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"five", "ten"}));
}

/// One that has no snapshot, loses its connection, and is not there when another worker comes to the same position.
class CommitStallWithoutSnapshot : public CommitStall {
 protected:
  void SetUp() override {
    database_.places[0].progress = {.place = {.position = 4}, .stream = stream_};
    auto acquired = cycle_->acquire(0);
    ASSERT_TRUE(acquired);
    acquired->lane.reading({.stream = stream_});
    ASSERT_TRUE(cycle_->install(0, *acquired));
    cycle_->take(step(0, 5, "five"));
    ASSERT_TRUE(cycle_->commit());
    cycle_->take(step(0, 6, "six"));
    sink_->next_fault = fakes::Fault::before;
    ASSERT_FALSE(cycle_->commit());
  }
  std::vector<Partition> refused() {
    const auto committed = cycle_->commit();
    EXPECT_TRUE(committed);
    return committed ? committed->refused : std::vector<Partition>{};
  }

  StreamIdentity stream_{"S-0", 7};
};

TEST_F(CommitStallWithoutSnapshot, GoesOnWhereNobodyElseWas) {
  EXPECT_TRUE(refused().empty());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"five", "six"}));
}

TEST_F(CommitStallWithoutSnapshot, IsRefusedAfterAResetThoughThePositionIsTheSame) {
  database_.places[0].progress.resets = 1;
  EXPECT_EQ(refused(), std::vector<Partition>{0});
  EXPECT_EQ(database_.rows, std::vector<std::string>{"five"});
}

TEST_F(CommitStallWithoutSnapshot, IsRefusedInAnotherEpochOfTheStreamThoughThePositionIsTheSame) {
  database_.places[0].progress.stream.created = 8;
  EXPECT_EQ(refused(), std::vector<Partition>{0});
  EXPECT_EQ(database_.rows, std::vector<std::string>{"five"});
}

TEST_F(CommitStallWithoutSnapshot, IsRefusedWhereAnotherGaveOtherRowsThoughThePositionIsTheSame) {
  database_.places[0].progress.numbering = 8;
  database_.places[0].progress.place.position = 6;
  EXPECT_EQ(refused(), std::vector<Partition>{0});
  EXPECT_EQ(database_.rows, std::vector<std::string>{"five"});
}

TEST_F(CommitStallWithoutSnapshot, NamesNoOlderSnapshotThanBefore) {
  ASSERT_TRUE(refused().empty());
  cycle_->name_snapshot(0, "at six", 6);
  sink_->next_fault = fakes::Fault::after;
  ASSERT_FALSE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.snapshot, "at six");
  cycle_->name_snapshot(0, "at nine", 9);
  cycle_->take(step(0, 7, "seven"));
  EXPECT_TRUE(refused().empty());
  EXPECT_EQ(database_.places[0].progress.snapshot, "at six") << "nine is not committed yet";
}

TEST_F(CommitStallWithoutSnapshot, GoesOnIfItRaisedTheResetsOfASecondSinkItself) {
  second_database_.places[0].progress = {.place = {.position = 3}};
  database_.places[0].progress.resets = 2;
  start_worker(false, true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 6, "six", 2));
  second_->next_fault = fakes::Fault::after;
  ASSERT_FALSE(cycle_->commit());
  EXPECT_TRUE(refused().empty());
  EXPECT_EQ(second_database_.rows, std::vector<std::string>{"six"});
}

}  // namespace
}  // namespace weir
