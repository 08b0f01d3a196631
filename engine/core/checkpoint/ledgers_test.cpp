#include "core/checkpoint/ledgers.hpp"

#include <gtest/gtest.h>

#include <weir/format.hpp>

namespace weir {
namespace {

ProgressLine line(Partition partition, Position position, std::string owner = {}, Duration lease_left = second) {
  return {.partition = partition,
          .progress = {.place = {.position = position}},
          .owner = std::move(owner),
          .since = 5,
          .lease_left = lease_left};
}

/// "partition position owner" of each.
std::string text_of(const std::vector<ProgressLine>& lines) {
  std::string out;
  for (const ProgressLine& one : lines)
    out += weir::format("{} {} {}; ", one.partition, one.progress.place.position, is_owned(one) ? one.owner : "-");
  return out;
}

TEST(Ledgers, TellOfEveryPartitionOfTheSource) {
  EXPECT_EQ(text_of(lines_of(4, {{line(3, 70, "b"), line(1, 42, "a")}})), "0 0 -; 1 42 a; 2 0 -; 3 70 b; ");
  EXPECT_EQ(text_of(lines_of(1, {{}})), "0 0 -; ");
  EXPECT_EQ(lines_of(2, {{line(1, 42, "a")}})[1].since, 5);
}

TEST(Ledgers, ALeaseThatHasRunOutBindsNobody) {
  EXPECT_EQ(text_of(lines_of(2, {{line(0, 1, "a", 0), line(1, 1, "a", -second)}})), "0 1 -; 1 1 -; ");
}

TEST(Ledgers, ThePartitionIsFreeWhenTheLastLeaseHasRunOut) {
  EXPECT_EQ(text_of(lines_of(2, {{line(0, 1, "a", 0), line(1, 1, "a", 5)}, {line(0, 1, "b", 3), line(1, 1, "b", 0)}})),
            "0 1 b; 1 1 a; ");
}

TEST(Ledgers, TheLeastAdvancedSinkIsWhereALaneGoesOn) {
  EXPECT_EQ(
      text_of(lines_of(3, {{line(0, 9, "a"), line(1, 5, "a"), line(2, 3, "a")}, {line(0, 7, "b"), line(1, 8, "b")}})),
      "0 7 a; 1 5 a; 2 0 a; ");
}

}  // namespace
}  // namespace weir
