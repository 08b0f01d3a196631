#include "core/coordination/handover.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Handover, APartitionGoesWhenItsLastSnapshotIsStored) {
  Handover handover;
  handover.begin(3);
  EXPECT_THAT(handover.all(), ElementsAre(3u));
  handover.stored(3, 40);  // the one of every minute: the lane still runs
  EXPECT_THAT(handover.stored(), IsEmpty());
  handover.at_rest(3, 50);
  EXPECT_THAT(handover.stored(), IsEmpty());
  handover.stored(3, 45);  // asked for before it was told to stop
  EXPECT_THAT(handover.stored(), IsEmpty());
  handover.stored(3, 50);
  EXPECT_THAT(handover.stored(), ElementsAre(3u));
  handover.end(3);
  EXPECT_THAT(handover.all(), IsEmpty());
}

TEST(Handover, WithoutAStoreItGoesAtOnce) {
  Handover handover;
  handover.begin(1);
  handover.begin(2);
  handover.at_rest(2, std::nullopt);
  EXPECT_THAT(handover.stored(), ElementsAre(2u));
}

TEST(Handover, WhatDoesNotGoIsNotHeardOf) {
  Handover handover;
  handover.at_rest(1, 5);
  handover.stored(1, 5);
  EXPECT_FALSE(handover.has(1));
  EXPECT_THAT(handover.stored(), IsEmpty());
}

}  // namespace
}  // namespace weir
