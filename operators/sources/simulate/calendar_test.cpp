#include "sources/simulate/calendar.hpp"

#include <set>

#include <gtest/gtest.h>

#include "sources/simulate/fleet.hpp"

namespace weir {
namespace {

struct Entry {
  Timestamp at = 0;
  std::uint32_t number = 0;
  auto operator<=>(const Entry&) const = default;
};

TEST(Calendar, TakesEntriesInTheOrderOfASortedSet) {
  for (const Duration farthest : {Duration{1}, 5 * millisecond, 3 * second, 40 * second, 40 * minute}) {
    Calendar<Entry> calendar{1000};
    std::multiset<Entry> reference;
    Timestamp now = 1000;
    for (std::uint32_t i = 0; i < 20'000; ++i) {
      const std::uint64_t bits = fleet::mix(static_cast<std::uint64_t>(farthest), i);
      if (bits % 3 != 0 || reference.empty()) {
        const auto ahead = static_cast<Timestamp>((bits >> 8) % static_cast<std::uint64_t>(farthest));
        const Entry entry{now + ((bits & 4) != 0 ? ahead : ahead / 1000), i};
        calendar.push(entry);
        reference.insert(entry);
      } else {
        const Entry entry = calendar.pop();
        ASSERT_EQ(entry, *reference.begin());
        reference.erase(reference.begin());
        now = entry.at;
      }
    }
    while (!reference.empty()) {
      ASSERT_FALSE(calendar.empty());
      ASSERT_EQ(calendar.pop(), *reference.begin());
      reference.erase(reference.begin());
    }
    EXPECT_TRUE(calendar.empty());
  }
}

}  // namespace
}  // namespace weir
