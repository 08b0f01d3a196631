/// window-join's state: the same however batches were cut, and worth as much in another instance.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "fakes/joined.hpp"

namespace weir {
namespace {

using fakes::FakeContext;
using fakes::Joined;
using fakes::JoinOptions;
using fakes::SampleBatch;

/// A stream with everything that goes wrong in one: a few vehicles, gaps, bursts, offs, disorder, repeats, silence.
class Stream {
 public:
  Stream(unsigned seed, FakeContext& context) : random_{seed}, context_{context} {}

  BatchPtr batch(int rows) {
    SampleBatch out{context_};
    for (int i = 0; i < rows; ++i) add(out);
    return out.take(arrival_ + (pick(10) == 0 ? 3 * second : 0));
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  void add(SampleBatch& out) {
    arrival_ += pick(3) == 0 ? pick(20) * 50 * millisecond : 0;
    if (pick(120) == 0) arrival_ += pick(60) * second;
    const int vehicle = pick(3);
    Timestamp& clock = clocks_.at(static_cast<std::size_t>(vehicle));
    if (pick(6) == 0) clock += pick(8) * 100 * millisecond;
    if (pick(25) == 0) clock = arrival_ - pick(20) * second;
    clock = std::min(clock, arrival_ + 4 * second);
    const Timestamp time = clock - (pick(8) == 0 ? pick(50) * 100 * millisecond : 0);
    const std::string key{"xyz"[vehicle]};
    const auto x = static_cast<double>(pick(4));
    switch (pick(9)) {
      case 0:
      case 1:
      case 2:
        out.number(key, "a", time, x, arrival_);
        break;
      case 3:
      case 4:
        out.add({key, "p", time, x, 1, pick(2) == 0 ? 5 : std::nan(""), {}, Sample::Kind::point}, arrival_);
        break;
      case 5:
        out.add({key, "t", time, 0, 0, 0, pick(2) == 0 ? "on" : "off", Sample::Kind::text}, arrival_);
        break;
      case 6:
        out.number(key, "power", time, pick(5) == 0 ? 0 : 1, arrival_);
        break;
      case 7:
        out.number(key, "a", time + (pick(5) == 0 ? minute : 0), pick(5) == 0 ? std::nan("") : x, arrival_);
        break;
      default:
        out.number(key, "unknown", time, x, arrival_);
    }
  }

  std::mt19937 random_;
  FakeContext& context_;
  Timestamp arrival_ = 1000 * second;
  std::array<Timestamp, 3> clocks_{1000 * second, 1000 * second, 1000 * second};
};

std::vector<JoinOptions> all_options() {
  return {{},
          {.wait = 0},
          {.every = 100 * millisecond, .timeout = 2 * second},
          {.every = minute, .timeout = 3 * second},
          {.disorder = second, .timeout = 5 * second, .forget = 20 * second},
          {.max_pending = 6},
          {.every = 500 * millisecond, .projection = {{"power", FieldKind::number}, {"a", FieldKind::number}}},
          {.session = false}};
}

TEST(WindowJoinState, TheCutOfBatchesNeverShows) {
  for (const JoinOptions& options : all_options()) {
    Joined whole{options};
    Stream stream{11, whole.context};
    std::vector<BatchPtr> batches;
    for (int i = 0; i < 30; ++i) batches.push_back(stream.batch(100));
    for (const auto& batch : batches) whole.feed(batch);
    ASSERT_GT(whole.texts[0].size(), 400u);
    ASSERT_GT(whole.texts[1].size(), 100u);
    ASSERT_GT(whole.texts[2].size(), 100u);
    ASSERT_GT(whole.texts[3].size(), 100u);
    for (const std::size_t cut : {1u, 2u, 7u}) {
      Joined parts{options};
      Stream same{11, parts.context};
      for (int i = 0; i < 30; ++i) {
        const auto batch = same.batch(100);
        for (std::size_t at = 0; at < batch->rows; at += cut)
          parts.feed(fakes::slice(*batch, at, std::min(batch->rows, at + cut)));
      }
      EXPECT_EQ(parts.texts, whole.texts) << cut;
      EXPECT_EQ(parts.context.counted("late"), whole.context.counted("late"));
      EXPECT_EQ(parts.state(), whole.state());
    }
  }
}

TEST(WindowJoinState, CarriesOnFromItsSavedStateAtEveryMessage) {
  for (const JoinOptions& options : all_options()) {
    Joined straight{options}, restarted{options};
    Stream left{5, straight.context}, right{5, restarted.context};
    for (int i = 0; i < 700; ++i) {
      straight.feed(left.batch(1));
      restarted.feed(right.batch(1));
      restarted.restart();
      ASSERT_EQ(straight.texts, restarted.texts) << i;
      ASSERT_EQ(straight.state(), restarted.state()) << i;
    }
    EXPECT_EQ(straight.context.counted("early_closed_ticks"), restarted.context.counted("early_closed_ticks"));
    EXPECT_EQ(straight.join->due(), restarted.join->due());
  }
}

TEST(WindowJoinState, RefusesADamagedState) {
  Joined whole;
  Stream stream{3, whole.context};
  whole.feed(stream.batch(60));
  const std::string state = whole.state();
  for (std::size_t length = 0; length < state.size(); ++length) {
    Joined other;
    Stream again{3, other.context};
    again.batch(60);  // only to know the same keys
    StateReader in{std::string_view{state}.substr(0, length)};
    EXPECT_FALSE(other.join->load(in)) << length;
  }
}

TEST(WindowJoinState, LoadsAStateOfOtherColumns) {
  Joined before{{.projection = {{"a", FieldKind::number}, {"p", FieldKind::point}, {"t", FieldKind::text}}}};
  const auto feed = [](Joined& to, Timestamp time, Timestamp arrival) {
    to.feed(SampleBatch{to.context}
                .number("k", "a", time, 1, arrival)
                .add({"k", "p", time, 2, 3, 4, {}, Sample::Kind::point}, arrival)
                .add({"k", "t", time, 0, 0, 0, "on", Sample::Kind::text}, arrival)
                .take());
  };
  feed(before, 99'500 * millisecond, 100 * second);
  const std::string state = before.state();
  Joined after{{.projection = {{"t", FieldKind::text}, {"b", FieldKind::number}, {"p", FieldKind::point}}}};
  for (std::uint32_t id = 0; id < before.context.keys()->size(); ++id)
    after.context.keys()->intern(before.context.keys()->at(id));
  StateReader in{state};
  ASSERT_TRUE(after.join->load(in));
  ASSERT_TRUE(in.ok() && in.at_end());
  feed(after, 100'500 * millisecond, 101 * second);
  after.mark(103 * second);
  EXPECT_EQ(after.texts[0],
            "102000000000 k 100000000000 99500000000 on 100500000000 on - - - - "
            "99500000000 2 100500000000 2 3 4 3 4\n");
}

TEST(WindowJoinState, LeavesValuesOfAFieldThatIsOfAnotherKindNow) {
  Joined before{{.projection = {{"a", FieldKind::number}, {"p", FieldKind::point}}}};
  before.feed(SampleBatch{before.context}
                  .number("k", "a", 99'500 * millisecond, 1, 100 * second)
                  .add({"k", "p", 99'500 * millisecond, 2, 3, 4, {}, Sample::Kind::point}, 100 * second)
                  .take());
  const std::string state = before.state();
  Joined after{{.projection = {{"a", FieldKind::number}, {"p", FieldKind::number}}}};
  after.context.keys()->intern("k");
  StateReader in{state};
  ASSERT_TRUE(after.join->load(in));
  ASSERT_TRUE(in.ok() && in.at_end());
  after.feed(SampleBatch{after.context}
                 .number("k", "a", 100'500 * millisecond, 5, 101 * second)
                 .number("k", "p", 100'500 * millisecond, 7, 101 * second)
                 .take());
  after.mark(103 * second);
  EXPECT_EQ(after.texts[0], "102000000000 k 100000000000 99500000000 1 100500000000 5 - - 100500000000 7\n");
}

}  // namespace
}  // namespace weir
