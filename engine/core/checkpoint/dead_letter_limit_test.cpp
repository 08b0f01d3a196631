#include "core/checkpoint/dead_letter_limit.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

class DeadLetterLimitTest : public testing::Test {
 protected:
  Sink::DeadLetter letter(std::string key, Timestamp arrival, std::string reason = "bad") {
    Sink::DeadLetter out;
    out.position = ++last_;
    out.arrival = arrival;
    out.node = "in";
    out.reason = Reason{reason};
    out.key = std::move(key);
    return out;
  }
  static std::size_t kept(DeadLetterLimit& limit, std::vector<Sink::DeadLetter> letters, bool replaying = false) {
    limit.apply(letters, replaying);
    return letters.size();
  }
  std::vector<Sink::DeadLetter> flood(std::size_t count, const std::string& key, Timestamp arrival) {
    std::vector<Sink::DeadLetter> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(letter(key, arrival));
    return out;
  }

  const DeadLetterBounds bounds_{.per_key = 3, .per_reason = 5, .per_day = 12};
  Counters counters_;
  DeadLetterLimit limit_{bounds_, counters_};
  Position last_ = 0;
};

TEST_F(DeadLetterLimitTest, OneKeyDoesNotTakeAnothersPlace) {
  EXPECT_EQ(kept(limit_, flood(1000, "145", 0)), 3u);
  EXPECT_EQ(kept(limit_, flood(1, "146", 1)), 1u);
  EXPECT_EQ(counters_.value("in", "dead_letters_over_limit"), 997u);
}

TEST_F(DeadLetterLimitTest, BoundsAReasonWhateverTheKeys) {
  std::size_t sum = 0;
  for (int key = 0; key < 100; ++key) sum += kept(limit_, flood(2, std::to_string(key), 0));
  EXPECT_EQ(sum, 5u);
  EXPECT_EQ(kept(limit_, {letter("1", 0, "worse: much")}), 1u) << "another reason";
}

TEST_F(DeadLetterLimitTest, BeginsAgainWithEachMinuteUntilTheDayIsFull) {
  std::size_t sum = 0;
  for (int i = 0; i < 60; ++i) sum += kept(limit_, flood(9, "145", i * minute));
  EXPECT_EQ(sum, 12u);
  EXPECT_EQ(kept(limit_, flood(9, "145", 24 * 60 * minute)), 3u);
  EXPECT_EQ(kept(limit_, flood(9, "145", 0)), 0u) << "a clock that goes back opens no minute again";
}

TEST_F(DeadLetterLimitTest, AReplayLeadsToTheSameState) {
  const auto before = flood(2, "145", 0);
  EXPECT_EQ(kept(limit_, before), 2u);
  StateWriter saved;
  limit_.save(saved);

  Counters counters;
  DeadLetterLimit replayed{bounds_, counters};
  EXPECT_EQ(kept(replayed, before, true), 0u);
  StateWriter same;
  replayed.save(same);
  EXPECT_EQ(same.bytes(), saved.bytes());
  EXPECT_EQ(counters.value("in", "dead_letters_over_limit"), 0u);

  DeadLetterLimit loaded{bounds_, counters};
  StateReader in{saved.bytes()};
  loaded.load(in);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(kept(loaded, flood(5, "145", second)), 1u);
}

TEST_F(DeadLetterLimitTest, NumbersTheLettersOfAPositionWhateverIsKept) {
  std::vector<Sink::DeadLetter> letters{letter("1", 0), letter("1", 0, "b"), letter("1", 0, "c")};
  for (auto& one : letters) one.position = 7;
  limit_.apply(letters, false);
  ASSERT_EQ(letters.size(), 3u);
  EXPECT_EQ(letters[2].ordinal, 2u);
}

}  // namespace
}  // namespace weir
