#include <weir/blocks.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>

namespace weir {
namespace {

TEST(Blocks, RoundsUpByAQuarterAtMost) {
  for (std::size_t bytes = 1; bytes < (1u << 20); bytes += bytes / 7 + 1) {
    const std::size_t size = Blocks::rounded(bytes);
    EXPECT_GE(size, bytes);
    EXPECT_EQ(size % (Blocks::line / 2), 0u);
    EXPECT_EQ(Blocks::rounded(size), size) << bytes;
    EXPECT_LE(size, std::max(bytes + bytes / 4 + Blocks::line, Blocks::line)) << bytes;
  }
}

TEST(Blocks, GivesABlockBackToTheNextOfItsSize) {
  Blocks blocks;
  void* first = blocks.take(210);
  void* other = blocks.take(900);
  blocks.give(first, 210);
  EXPECT_NE(blocks.take(900), first);
  EXPECT_EQ(blocks.take(200), first);  // 210 and 200 are both 224
  blocks.give(other, 900);
  EXPECT_EQ(blocks.used(), 224u + 928u);
}

TEST(Blocks, NeverOverlap) {
  Blocks blocks;
  std::vector<std::pair<unsigned char*, std::size_t>> out;
  std::size_t size = 1;
  for (unsigned i = 0; i < 2000; ++i) {
    size = (size * 1103 + 577) % 6000 + 1;
    auto* block = static_cast<unsigned char*>(blocks.take(size));
    const bool whole = Blocks::rounded(size) % Blocks::line == 0;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % (whole ? Blocks::line : Blocks::line / 2), 0u);
    std::memset(block, static_cast<int>(i % 251), Blocks::rounded(size));
    out.emplace_back(block, size);
  }
  for (unsigned i = 0; i < 2000; ++i) {
    const auto [block, bytes] = out[i];
    EXPECT_EQ(block[0], i % 251);
    EXPECT_EQ(block[Blocks::rounded(bytes) - 1], i % 251);
    blocks.give(block, bytes);
  }
  EXPECT_EQ(blocks.used(), 0u);
  EXPECT_LE(blocks.bytes(), 32u << 20);
}

TEST(Blocks, LargeOnesGoBackToTheSystem) {
  Blocks blocks;
  void* block = blocks.take(1u << 20);
  EXPECT_EQ(blocks.bytes(), 1u << 20);
  blocks.give(block, 1u << 20);
  EXPECT_EQ(blocks.bytes(), 0u);
}

}  // namespace
}  // namespace weir
