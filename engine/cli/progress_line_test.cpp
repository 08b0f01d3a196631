/// How far a run has come.
#include <gtest/gtest.h>

#include "cli/progress_line.hpp"

namespace weir::cli {
namespace {

TEST(WayOfARun, the_lane_furthest_behind_tells_of_those_that_have_something_before_them) {
  const Way way{100, 200};
  const auto lane = [](Timestamp reached, std::uint64_t waiting) {
    LaneRun::Status out;
    out.reached = reached;
    out.waiting = waiting;
    return out;
  };
  const auto behind = lane(125, 1), ahead = lane(175, 1), idle = lane(110, 0), fresh = lane(no_time, 0);
  EXPECT_EQ(way.done({behind, ahead, idle, fresh}), 0.25);
  EXPECT_EQ(way.done({ahead, idle}), 0.75);
  EXPECT_EQ(way.done({idle}), 0.1);
  EXPECT_LT(way.done({fresh}), 0) << "nobody knows";
  EXPECT_LT((Way{100, end_of_time}.done({ahead})), 0) << "there is no end";
  EXPECT_EQ((Way{100, 150}.done({ahead})), 1) << "beyond the end";
}

TEST(WayOfARun, a_bar_tells_it) {
  EXPECT_EQ(bar(0.25, 0), "[#####---------------]  25 % to 1970-01-01T00:00:00Z");
  EXPECT_EQ(bar(1, 0), "[####################] 100 % to 1970-01-01T00:00:00Z");
  EXPECT_EQ(bar(-1, 0), "");
}

}  // namespace
}  // namespace weir::cli
