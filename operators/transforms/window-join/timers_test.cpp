#include "transforms/window-join/timers.hpp"

#include <gtest/gtest.h>

namespace weir::window_join {
namespace {

TEST(Timers, GoByInstantTickAndKeyBytes) {
  Dictionary keys;
  const std::uint32_t b = *keys.intern("b"), a = *keys.intern("a");  // ids in the other order
  Timers<Due> timers{keys};
  EXPECT_EQ(timers.first(), end_of_time);
  timers.push({20, 5}, a);
  timers.push({10, 7}, a);
  timers.push({10, 5}, b);
  timers.push({10, 5}, a);
  timers.push({10, no_time}, b);
  EXPECT_EQ(timers.first(), 10);
  std::vector<std::pair<Due, std::uint32_t>> order;
  for (; !timers.empty(); timers.pop()) order.emplace_back(timers.top().due, timers.top().key);
  const std::vector<std::pair<Due, std::uint32_t>> expected{
      {{10, no_time}, b}, {{10, 5}, a}, {{10, 5}, b}, {{10, 7}, a}, {{20, 5}, a}};
  EXPECT_EQ(order, expected);
}

TEST(Timers, GiveMemoryBack) {
  Dictionary keys;
  keys.intern("a");
  Timers<Due> timers{keys};
  for (int i = 0; i < 100'000; ++i) timers.push({i, 0}, 0);
  const std::size_t full = timers.bytes();
  while (timers.first() < 99'990) timers.pop();
  EXPECT_LT(timers.bytes(), full / 10);
  EXPECT_EQ(timers.first(), 99'990);
}

}  // namespace
}  // namespace weir::window_join
