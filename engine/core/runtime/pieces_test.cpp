#include "core/runtime/pieces.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

MessagesPtr messages(Position count) {
  auto out = std::make_shared<Messages>();
  for (Position n = 1; n <= count; ++n) {
    Message message;
    message.sequence = n;
    message.arrival = static_cast<Timestamp>(n) * second;
    out->items.push_back(message);
  }
  return out;
}

std::vector<Position> ends_of(const std::vector<MessagesPtr>& pieces) {
  std::vector<Position> out;
  for (const MessagesPtr& piece : pieces) out.push_back(piece->items.back().sequence);
  return out;
}

TEST(Pieces, EndAtBordersAndAreNoLongerThanAsked) {
  EXPECT_EQ(ends_of(cut(messages(10), {})), (std::vector<Position>{10}));
  EXPECT_EQ(ends_of(cut(messages(10), {}, 4)), (std::vector<Position>{4, 8, 10}));
  const std::vector<Position> borders{0, 3, 5, 20};
  EXPECT_EQ(ends_of(cut(messages(10), borders)), (std::vector<Position>{3, 5, 10}));
  EXPECT_EQ(ends_of(cut(messages(10), borders, 4)), (std::vector<Position>{3, 5, 9, 10}));
  EXPECT_EQ(ends_of(cut(messages(3), {}, 1)), (std::vector<Position>{1, 2, 3}));
}

}  // namespace
}  // namespace weir
