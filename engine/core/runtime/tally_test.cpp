#include "core/runtime/tally.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::vector<Message> messages(Position first, Position last) {
  std::vector<Message> out;
  for (Position sequence = first; sequence <= last; ++sequence) out.emplace_back().sequence = sequence;
  return out;
}

LaneStart committed(std::vector<Progress> kept, std::uint64_t consumed = 0) {
  LaneStart start;
  start.kept = std::move(kept);
  start.at.consumed = consumed;
  return start;
}

TEST(TallyTest, GoesOnFromWhatTheSnapshotHadConsumed) {
  Tally tally{0, committed({}, 40), 50};
  EXPECT_EQ(tally.add(messages(51, 60)), 50u);
  EXPECT_EQ(tally.add(messages(61, 61)), 51u);
}

TEST(TallyTest, HoldsAReplayToEachCommittedPosition) {
  Tally tally{0, committed({{.position = 10, .consumed = 10}, {.position = 20, .consumed = 20}}), 0};
  EXPECT_EQ(tally.add(messages(1, 10)), 10u);
  EXPECT_EQ(tally.add(messages(11, 15)), 15u);
  EXPECT_EQ(tally.add(messages(16, 20)), 20u);
  EXPECT_EQ(tally.add(messages(21, 400)), 400u);
}

TEST(TallyTest, FindsMessagesThatAreGoneBeforeACommittedPosition) {
  Tally tally{3, committed({{.position = 20, .consumed = 20}}), 0};
  EXPECT_EQ(tally.add(messages(1, 9)), 9u);
  const auto replayed = tally.add(messages(12, 20));
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().kind, Error::Kind::changed);
  EXPECT_TRUE(replayed.error().message.contains("18 messages lead to position 20")) << replayed.error().message;
}

TEST(TallyTest, FindsThatTheMessageAtACommittedPositionIsGone) {
  Tally tally{0, committed({{.position = 10, .consumed = 10}}), 0};
  EXPECT_EQ(tally.add(messages(1, 9)), 9u);
  const auto replayed = tally.add(messages(11, 12));
  ASSERT_FALSE(replayed);
  EXPECT_TRUE(replayed.error().message.contains("9 messages lead to position 10")) << replayed.error().message;
}

TEST(TallyTest, ComparesNeitherWhatLiesBeforeTheSnapshotNorWhatWasNotCounted) {
  Tally tally{0, committed({{.position = 10, .consumed = 4}, {.position = 20}}, 7), 10};
  EXPECT_EQ(tally.add(messages(11, 20)), 17u);
}

}  // namespace
}  // namespace weir
