#include "core/observe/histogram.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;

TEST(Histogram, CountsValuesUpToEachBound) {
  Histogram histogram{{"commit_seconds", "duration of commits", {0.1, 1}}};
  for (const double value : {0.05, 0.1, 0.5, 7.0}) histogram.observe(value);
  EXPECT_THAT(histogram.values().at_most, ElementsAre(2, 3, 4)) << "a bound belongs to its range";
  EXPECT_DOUBLE_EQ(histogram.values().sum, 7.65);
}

}  // namespace
}  // namespace weir
