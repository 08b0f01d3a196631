#include "core/checkpoint/message_count.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

LaneStart committed(std::vector<Progress> kept, std::uint64_t consumed = 0) {
  LaneStart start;
  start.kept = std::move(kept);
  start.at.place.consumed = consumed;
  return start;
}

TEST(MessageCountTest, GoesOnFromWhatTheSnapshotHadConsumed) {
  MessageCount count{0, committed({}, 40), 50};
  EXPECT_EQ(count.add(51, 60, 10), 50u);
  EXPECT_EQ(count.add(61, 61, 1), 51u);
}

TEST(MessageCountTest, HoldsAReplayToEachCommittedPosition) {
  MessageCount count{
      0, committed({{.place = {.position = 10, .consumed = 10}}, {.place = {.position = 20, .consumed = 20}}}), 0};
  EXPECT_EQ(count.add(1, 10, 10), 10u);
  EXPECT_EQ(count.add(11, 15, 5), 15u);
  EXPECT_EQ(count.add(16, 20, 5), 20u);
  EXPECT_EQ(count.add(21, 400, 380), 400u);
}

TEST(MessageCountTest, FindsMessagesThatAreGoneBeforeACommittedPosition) {
  MessageCount count{3, committed({{.place = {.position = 20, .consumed = 20}}}), 0};
  EXPECT_EQ(count.add(1, 9, 9), 9u);
  const auto replayed = count.add(12, 20, 9);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().kind, Error::Kind::changed);
  EXPECT_TRUE(replayed.error().message.contains("18 messages lead to position 20")) << replayed.error().message;
}

TEST(MessageCountTest, FindsThatTheMessageAtACommittedPositionIsGone) {
  MessageCount count{0, committed({{.place = {.position = 10, .consumed = 10}}}), 0};
  EXPECT_EQ(count.add(1, 9, 9), 9u);
  const auto replayed = count.add(11, 12, 2);
  ASSERT_FALSE(replayed);
  EXPECT_TRUE(replayed.error().message.contains("9 messages lead to position 10")) << replayed.error().message;
}

TEST(MessageCountTest, ComparesNeitherWhatLiesBeforeTheSnapshotNorWhatWasNotCounted) {
  MessageCount count{0, committed({{.place = {.position = 10, .consumed = 4}}, {.place = {.position = 20}}}, 7), 10};
  EXPECT_EQ(count.add(11, 20, 10), 17u);
}

}  // namespace
}  // namespace weir
