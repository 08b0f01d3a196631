#include "transforms/keyed-last-value/last_values.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <string>

namespace weir::last_value {
namespace {

using Kind = SampleValue::Kind;

SampleValue number(double x) { return {Kind::number, x}; }

TEST(LastValues, KeepTheNewestOfEachField) {
  LastValues last;
  last.expect(1);
  auto& key = last.touch(0, 1, second);
  EXPECT_FALSE(last.see(key, 3, 10, 1.0));
  EXPECT_TRUE(last.see(key, 3, 10, 1.0));
  EXPECT_FALSE(last.see(key, 3, 9, 2.0)) << "older";
  EXPECT_TRUE(last.see(key, 3, 10, number(1)));
  EXPECT_FALSE(last.see(key, 3, 10, 2.0));
  EXPECT_FALSE(last.see(key, 4, 10, 2.0));
  EXPECT_EQ(last.keys(), 1u);
}

/// Values of all kinds that change from one to another, against a map: the words behind must move along.
TEST(LastValues, SayWhatAMapWould) {
  std::mt19937 random{5};
  const auto pick = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
  struct Kept {
    Timestamp time;
    SampleValue value;
    std::string text;
  };
  LastValues last;
  std::map<std::pair<std::uint32_t, std::uint16_t>, Kept> expected;
  last.expect(3);
  std::size_t repeats = 0, older = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint32_t key = pick(3);
    const auto field = static_cast<std::uint16_t>(pick(20) * 7);
    const std::array<SampleValue, 4> values{number(pick(2)), SampleValue{Kind::point, 1, 2, 1.0 * pick(2)},
                                            SampleValue{Kind::text}, SampleValue{}};
    const std::array<std::string, 2> texts{"a text that is too long to stand where strings stand", "short"};
    Kept now{static_cast<Timestamp>(step / 50 + static_cast<int>(pick(3))), values[pick(4)], texts[pick(2)]};
    if (now.value.kind != Kind::text) now.text.clear();
    now.value.text = now.text;
    auto [kept, fresh] = expected.try_emplace({key, field}, now);
    const auto same = [&] {
      const SampleValue &a = kept->second.value, &b = now.value;
      return kept->second.time == now.time && a.kind == b.kind && a.x == b.x && a.z == b.z &&
             kept->second.text == now.text;
    };
    const bool repeat = !fresh && same(), is_older = !fresh && now.time < kept->second.time;
    auto& place = last.touch(key, step, end_of_time);
    const bool seen = now.value.kind == Kind::number && pick(2) == 0 ? last.see(place, field, now.time, now.value.x)
                                                                     : last.see(place, field, now.time, now.value);
    ASSERT_EQ(seen, repeat) << step;
    repeats += repeat ? 1 : 0;
    older += is_older ? 1 : 0;
    if (!repeat && !is_older) kept->second = now;
    if (step % 1000 != 0) continue;
    StateWriter out;
    last.save(out);
    StateReader in{out.bytes()};
    LastValues other;
    ASSERT_TRUE(other.load(in, 3) && in.ok() && in.at_end());
    StateWriter again;
    other.save(again);
    ASSERT_EQ(again.bytes(), out.bytes());
  }
  EXPECT_GT(repeats, 500u);
  EXPECT_GT(older, 500u);
}

TEST(LastValues, SweepForgets) {
  LastValues last;
  last.expect(100);
  for (std::uint32_t key = 0; key < 100; ++key) last.see(last.touch(key, key, 1000), 0, 1, 1.0);
  for (int i = 0; i < 20; ++i) last.sweep(1050, 1000);
  EXPECT_EQ(last.keys(), 49u);
}

}  // namespace
}  // namespace weir::last_value
