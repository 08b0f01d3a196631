/// Two sinks, one of which is ahead: each step goes to those that do not have it.
#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

class CommitBorder : public fakes::CommitTest {
 protected:
  void SetUp() override {
    database_.places[0].progress = {.place = {.position = 9}, .fingerprint = "one"};
    second_database_.places[0].progress = {.place = {.position = 5}, .fingerprint = "one"};
    start_worker(false, true);
    const auto start = fakes::acquire(*cycle_, 0);
    ASSERT_TRUE(start) << start.error().message;
    EXPECT_EQ(start->borders, (std::vector<Position>{5, 9}));
  }
  void TearDown() override {
    EXPECT_EQ(database_.places[0].progress.place.position, 10u);
    EXPECT_EQ(second_database_.places[0].progress.place.position, 10u);
    EXPECT_EQ(database_.rows, std::vector<std::string>{"ten"}) << "it had the step that ends at 9";
    EXPECT_EQ(second_database_.rows, (std::vector<std::string>{"nine", "ten"}));
  }
  void take(Position position, const std::string& row) {
    LaneStep both = step(0, position, row);
    both.rows.push_back(step(0, position, row, 2).rows.front());
    cycle_->take(std::move(both));
  }
};

TEST_F(CommitBorder, AStepThatEndsWhereASinkIsAheadIsTheOthersAlone) {
  take(9, "nine");
  ASSERT_TRUE(cycle_->commit());
  take(10, "ten");
  ASSERT_TRUE(cycle_->commit());
}

TEST_F(CommitBorder, AStepThatEndsWhereASinkIsAheadIsTheOthersAloneIfTheNextIsCommittedWithIt) {
  take(9, "nine");
  take(10, "ten");
  ASSERT_TRUE(cycle_->commit());
}

}  // namespace
}  // namespace weir
