#include "transforms/window-join/held_samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>

namespace weir::window_join {
namespace {

const std::vector<FieldKind> kinds{FieldKind::number, FieldKind::point, FieldKind::text, FieldKind::number};

struct Said {
  Timestamp time;
  SampleValue value;
  std::string text;
};

/// A vehicle beside a plain list of what it should hold.
class Twin {
 public:
  explicit Twin(std::mt19937& random) : random_{random} { v = held.make(); }
  ~Twin() { held.free(v); }

  int pick(std::size_t n) { return static_cast<int>(random_() % n); }
  Said say(Timestamp time) {
    Said said{time, {SampleValue::Kind::point, 1.0 * pick(100), 1.0 * pick(100), 1.0 * pick(100), {}}, {}};
    said.text = std::string(static_cast<std::size_t>(pick(40)), static_cast<char>('a' + pick(26)));
    return said;
  }
  static SampleValue value_of(const Said& said) {
    SampleValue value = said.value;
    value.text = said.text;
    return value;
  }

  void insert(std::size_t slot, std::size_t i) {
    auto& list = lists[slot];
    const Said said = say(list.empty() ? 1000 : i == list.size() ? list[i - 1].time + 1 + pick(5) : list[i].time);
    held.insert(v, slot, i, said.time, value_of(said));
    list.insert(list.begin() + static_cast<std::ptrdiff_t>(i), said);
  }
  void step() {
    const std::size_t slot = 1 + static_cast<std::size_t>(pick(kinds.size()));
    auto& list = lists[slot];
    const std::size_t size = list.size();
    switch (pick(8)) {
      case 0:
      case 1:
      case 2:
        return insert(slot, size);
      case 3:
        return insert(slot, static_cast<std::size_t>(pick(size + 1)));
      case 4: {
        if (size == 0) return;
        const auto i = static_cast<std::size_t>(pick(size));
        const Said said = say(list[i].time);
        held.put(slot, held.entry(*v, slot, i), said.time, value_of(said));
        list[i] = said;
        return;
      }
      case 5: {
        if (size < 2) return;
        const auto i = static_cast<std::size_t>(pick(size - 1));
        held.erase(*v, slot, i);
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
      case 6: {
        const auto n = static_cast<std::size_t>(pick(size + 1));
        held.drop_front(*v, slot, n);
        list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(n));
        return;
      }
      default:
        if (pick(4) == 0) held.shrink(v);
    }
  }
  void reach() {
    if (pick(2) == 0) {
      const Timestamp tick = reaches.empty() ? 1 : reaches.back().first + 1;
      held.add_reach(v, tick, tick * 3);
      reaches.emplace_back(tick, tick * 3);
    } else if (pick(3) == 0 && !reaches.empty()) {
      const Timestamp until = reaches[static_cast<std::size_t>(pick(reaches.size()))].first;
      held.drop_reaches(*v, until);
      while (!reaches.empty() && reaches.front().first <= until) reaches.pop_front();
    }
  }

  void check() {
    for (std::size_t slot = 1; slot <= kinds.size(); ++slot) {
      ASSERT_EQ(HeldSamples::count(*v, slot), lists[slot].size());
      for (std::size_t i = 0; i < lists[slot].size(); ++i) check(slot, lists[slot][i], held.entry(*v, slot, i));
      if (!lists[slot].empty()) {
        ASSERT_EQ(held.newest(*v, slot), lists[slot].back().time);
        const Timestamp time = lists[slot][lists[slot].size() / 2].time;
        const auto bound = std::ranges::upper_bound(lists[slot], time, {}, &Said::time) - lists[slot].begin();
        ASSERT_EQ(held.upper_bound(*v, slot, time), static_cast<std::size_t>(bound));
      }
    }
    ASSERT_EQ(HeldSamples::reaches(*v), reaches.size());
    for (std::size_t i = 0; i < reaches.size(); ++i) {
      ASSERT_EQ(held.reach_tick(*v, i), reaches[i].first);
      ASSERT_EQ(held.reach_arrival(*v, i), reaches[i].second);
    }
  }

  HeldSamples held{kinds};
  Vehicle* v;
  std::array<std::deque<Said>, 5> lists;
  std::deque<std::pair<Timestamp, Timestamp>> reaches;

 private:
  void check(std::size_t slot, const Said& said, const Word* entry) {
    ASSERT_EQ(std::bit_cast<Timestamp>(entry[0]), said.time);
    if (kinds[slot - 1] == FieldKind::text) {
      ASSERT_EQ(held.text(entry), said.text);
      return;
    }
    ASSERT_EQ(std::bit_cast<double>(entry[1]), said.value.x);
    if (kinds[slot - 1] != FieldKind::point) return;
    ASSERT_EQ(std::bit_cast<double>(entry[2]), said.value.y);
    ASSERT_EQ(std::bit_cast<double>(entry[3]), said.value.z);
  }

  std::mt19937& random_;
};

TEST(HeldSamples, HoldWhatAListWould) {
  std::mt19937 random{3};
  for (int run = 0; run < 30; ++run) {
    Twin twin{random};
    for (int step = 0; step < 300; ++step) {
      twin.step();
      twin.reach();
      ASSERT_NO_FATAL_FAILURE(twin.check()) << run << ' ' << step;
    }
    StateWriter out;
    twin.held.save(out, *twin.v);
    Twin other{random};
    other.lists = twin.lists;
    other.reaches = twin.reaches;
    StateReader in{out.bytes()};
    ASSERT_TRUE(other.held.load(in, other.v, {{1, kinds[0]}, {2, kinds[1]}, {3, kinds[2]}, {4, kinds[3]}}));
    ASSERT_TRUE(in.ok() && in.at_end());
    ASSERT_NO_FATAL_FAILURE(other.check());
  }
}

TEST(HeldSamples, PairsAreOfTwo) {
  HeldSamples held{std::vector<FieldKind>(70, FieldKind::number)};
  Vehicle* v = held.make();
  for (const std::size_t slot : {1u, 31u, 32u, 70u}) {
    for (int i = 0; i < 3; ++i) held.insert(v, slot, static_cast<std::size_t>(i), i, {});
    held.set_paired(*v, slot, true);
  }
  held.drop_front(*v, 31, 1);
  held.drop_front(*v, 32, 2);
  for (std::size_t slot = 1; slot <= 70; ++slot)
    EXPECT_EQ(held.paired(*v, slot), slot == 1 || slot == 31 || slot == 70) << slot;
  held.free(v);
}

TEST(HeldSamples, AVehicleAtRestIsSmall) {
  HeldSamples held{std::vector<FieldKind>(8, FieldKind::number)};
  const std::uint32_t vehicles = 50'000;
  held.expect(vehicles);
  for (std::uint32_t key = 0; key < vehicles; ++key) {
    held[key] = held.make();
    for (std::size_t slot = 1; slot <= 8; ++slot) held.insert(held[key], slot, 0, 1, {});
  }
  EXPECT_LE(held.bytes() / (vehicles * 8), 42u);  // a slab that is not full counts wholly
}

}  // namespace
}  // namespace weir::window_join
