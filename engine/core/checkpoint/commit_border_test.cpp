/// Two sinks, one of which is ahead: each step goes to those that do not have it.
#include "fakes/columns.hpp"
#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

class CommitBorder : public fakes::CommitTest {
 protected:
  void SetUp() override {
    database_.places[0].progress = {.position = 9, .fingerprint = "one"};
    second_database_.places[0].progress = {.position = 5, .fingerprint = "one"};
    start_worker(false, true);
    const auto start = fakes::claim(*cycle_, 0);
    ASSERT_TRUE(start) << start.error().message;
    EXPECT_EQ(start->borders, (std::vector<Position>{5, 9}));
  }
  void TearDown() override {
    EXPECT_EQ(database_.places[0].progress.position, 10u);
    EXPECT_EQ(second_database_.places[0].progress.position, 10u);
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

using RejectedRow = fakes::CommitTest;

/// The last sink keeps letters beside its rows; but it is not given again what it has.
TEST_F(RejectedRow, OfAStepThatTheLastSinkHasGoesToTheBox) {
  database_.places[0].progress = {.position = 5, .fingerprint = "one"};
  second_database_.places[0].progress = {.position = 9, .fingerprint = "one"};
  start_worker(true, true);
  ASSERT_TRUE(fakes::claim(*cycle_, 0));
  for (const Position position : {9, 10}) {
    LaneStep made = step(0, position, "row", 1);
    made.rows.front().encoded.batch =
        std::make_shared<Batch>(fakes::batch({{"x", Type::float64}}, 1, {Column::float64({1})}));
    list_->rejected_row = 0;
    cycle_->take(std::move(made));
  }
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(box_.kept.size(), 1u) << "of the first step";
  EXPECT_EQ(second_database_.letters.size(), 1u) << "of the second";
  EXPECT_EQ(counters_.value("", "dead_letters"), 2u);
}

}  // namespace
}  // namespace weir
