#include <weir/dictionary.hpp>

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace weir {
namespace {

TEST(Dictionary, IdsAreDenseInOrderOfFirstAppearance) {
  Dictionary table;
  EXPECT_EQ(table.intern("speed"), 0U);
  EXPECT_EQ(table.intern(""), 1U);
  EXPECT_EQ(table.intern("speed"), 0U);
  EXPECT_EQ(table.intern("charge"), 2U);
  EXPECT_EQ(table.size(), 3U);
  EXPECT_EQ(table.at(1), "");
  EXPECT_EQ(table.at(2), "charge");
  EXPECT_EQ(table.find("charge"), 2U);
  EXPECT_FALSE(table.find("torque"));
}

TEST(Dictionary, EveryStringIsFoundAgainAndNeverMoves) {
  Dictionary table;
  std::vector<const char*> places;
  const auto name = [](std::uint32_t i) { return std::string(i % 41, 'x') + std::to_string(i); };
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_EQ(table.intern(name(i)), i);
    places.push_back(table.at(i).data());
  }
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_EQ(table.find(name(i)), i);
    ASSERT_EQ(table.at(i), name(i));
    ASSERT_EQ(table.at(i).data(), places[i]);
  }
  EXPECT_GT(table.bytes(), 100'000U * 20);
  EXPECT_LT(table.bytes(), 100'000U * 100);
}

TEST(Dictionary, KeysLongerThanABlockFit) {
  Dictionary table;
  const std::string large(1u << 20, 'k');
  EXPECT_EQ(table.intern("a"), 0U);
  EXPECT_EQ(table.intern(large), 1U);
  EXPECT_EQ(table.intern("b"), 2U);
  EXPECT_EQ(table.at(1), large);
  EXPECT_EQ(table.at(2), "b");
}

TEST(Dictionary, RefusesBeyondTheLimitButKnowsWhatItHas) {
  Dictionary table{2};
  EXPECT_EQ(table.intern("a"), 0U);
  EXPECT_EQ(table.intern("b"), 1U);
  EXPECT_FALSE(table.intern("c"));
  EXPECT_EQ(table.intern("b"), 1U);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_FALSE(Dictionary{0}.intern("a"));
}

TEST(Dictionary, AReaderSeesIdsHandedToItWhileOthersAreAdded) {
  Dictionary table;
  constexpr std::uint32_t count = 50'000;
  std::atomic<std::uint32_t> handed{0};
  std::uint32_t wrong = 0;
  std::thread reader{[&] {
    for (std::uint32_t seen = 0; seen < count;) {
      const std::uint32_t upto = handed.load(std::memory_order_acquire);
      for (; seen < upto; ++seen) wrong += table.at(seen) != std::to_string(seen);
    }
  }};
  for (std::uint32_t i = 0; i < count; ++i) {
    table.intern(std::to_string(i));
    handed.store(i + 1, std::memory_order_release);
  }
  reader.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace weir
