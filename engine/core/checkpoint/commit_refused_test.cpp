/// A sink that refuses what it is given, of one lane or of all.
#include <gmock/gmock.h>

#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RefusedCommit : public fakes::CommitTest {
 protected:
  void SetUp() override {
    for (const Partition partition : {0, 1, 2}) ASSERT_TRUE(fakes::acquire(*cycle_, partition));
    take(5);
  }
  void take(Position position) {
    for (const Partition partition : {0, 1, 2}) cycle_->take(step(partition, position, std::string{"abc"[partition]}));
  }
};

TEST_F(RefusedCommit, OfOneLaneStopsThatOneAlone) {
  sink_->refuses = {1};
  const auto report = cycle_->commit();
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->failed.size(), 1u);
  EXPECT_EQ(report->failed[0].first, 1u);
  EXPECT_EQ(report->failed[0].second.kind, Error::Kind::refused);
  EXPECT_EQ(report->bytes, 30u) << "of all three: what is not committed holds no credit either";
  EXPECT_THAT(database_.rows, ElementsAre("a", "c"));
  EXPECT_EQ(database_.places[1].progress.place.position, 0u);
  EXPECT_FALSE(cycle_->pending());
  // The others go on; so does it, from its progress, when it is mended.
  take(6);
  ASSERT_TRUE(cycle_->commit());
  EXPECT_THAT(database_.rows, ElementsAre("a", "c", "a", "c"));
  sink_->refuses = {};
  cycle_->give_back(1);
  EXPECT_EQ(fakes::acquire(*cycle_, 1)->after, 0u);
  cycle_->take(step(1, 5, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_THAT(database_.rows, ElementsAre("a", "c", "a", "c", "b"));
}

TEST_F(RefusedCommit, OfAllStopsNoLane) {
  sink_->refuses = {0, 1, 2};
  const auto report = cycle_->commit();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, "db: permission denied");
  EXPECT_THAT(database_.rows, IsEmpty());
  sink_->refuses = {};
  ASSERT_TRUE(cycle_->commit());
  EXPECT_THAT(database_.rows, ElementsAre("a", "b", "c"));
}

TEST_F(RefusedCommit, ALaneThatAnotherWorkerHasMeanwhileIsNotFailed) {
  sink_->refuses = {1};
  database_.places[2].progress.place.position = 4;
  const auto report = cycle_->commit();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->refused, ElementsAre(2));
  EXPECT_EQ(report->failed.size(), 1u);
  EXPECT_THAT(database_.rows, ElementsAre("a"));
}

}  // namespace
}  // namespace weir
