#include <weir/key_blocks.hpp>
#include <weir/text_pool.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(KeyBlocks, FindsTheBlockOfAKey) {
  KeyBlocks<std::uint64_t> blocks;
  EXPECT_EQ(blocks.size(), 0u);
  blocks.expect(100);
  EXPECT_EQ(blocks[7], nullptr);
  blocks[7] = blocks.make(200, 42u);
  blocks[9] = blocks.make(200, 43u);
  blocks.expect(10'000);
  blocks.expect(5);  // never fewer
  EXPECT_GE(blocks.size(), 10'000u);
  EXPECT_EQ(*blocks[7], 42u);
  EXPECT_EQ(*blocks[9], 43u);
  EXPECT_EQ(blocks[9'999], nullptr);
  std::uint64_t* freed = blocks[7];
  blocks.give(std::exchange(blocks[7], nullptr), 200);
  EXPECT_EQ(blocks.make(200, 1u), freed);
}

TEST(TextPool, GivesNumbersAgain) {
  TextPool texts;
  const auto a = texts.take(), b = texts.take();
  EXPECT_NE(a, b);
  texts.set(a, "one");
  texts.set(b, "two");
  EXPECT_EQ(texts[a], "one");
  texts.give(a);
  EXPECT_EQ(texts.take(), a);
  EXPECT_EQ(texts[b], "two");
}

}  // namespace
}  // namespace weir
