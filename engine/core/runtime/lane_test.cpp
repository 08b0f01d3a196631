#include "core/runtime/lane.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <vector>

#include <weir/clock.hpp>

#include "core/observe/counters.hpp"
#include "faults/simulated_pipeline.hpp"

namespace weir {
namespace {

constexpr std::size_t database = 2;  // node of the sink that keeps progress
const std::vector<std::uint64_t> numbers{1, 2, 4, 5, 7, 8, 10, 13, 14, 16};

class EncodingSink final : public Sink {
 public:
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Encoded encode(const BatchPtr& batch) const override { return faults::encode_simulated(batch); }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

/// A lane over `numbers`, whose sink has what committed() says.
class LaneInParts : public testing::Test {
 protected:
  /// With a step's parts of so many cells at most.
  void start(std::size_t part_cells, const Progress& committed = {}) {
    Claims source;
    source.replayable = source.ordered = true;
    lane_ = std::make_unique<Lane>(
        Lane::Surroundings{
            pipeline_, registry_, counters_, system_clock(), source, {{database, &sink_}, {list, &sink_}}, part_cells},
        0);
    LaneStart from;
    from.replay_until = committed.place.position;
    from.borders = {committed.place.position};
    if (committed.place.emitted != 0)
      from.emitted.push_back({database, committed.place.position, committed.place.emitted});
    ASSERT_TRUE(lane_->load(from));
    ASSERT_TRUE(lane_->begin(0, {"S", 1}));
  }

  /// Takes these messages in one step. Answers its parts.
  std::vector<LaneStep> step(Position first, Position last) {
    auto messages = std::make_shared<Messages>();
    auto texts = std::make_shared<std::vector<std::string>>();
    texts->reserve(last);
    for (Position n = first; n <= last; ++n)
      messages->items.push_back(
          faults::simulated_message(n, n, texts->emplace_back(faults::text_of(numbers.at(n - 1)))));
    messages->owner = texts;
    std::vector<LaneStep> out;
    const auto decoded = lane_->decode(std::move(messages));
    EXPECT_TRUE(decoded);
    auto made = lane_->step(*decoded);
    for (; made && made->more; made = lane_->go_on()) out.push_back(lane_->encode(*std::move(made)));
    EXPECT_TRUE(made);
    if (!made->replaying) out.push_back(lane_->encode(*std::move(made)));
    return out;
  }

  /// The database commits these steps.
  Progress commit(const std::vector<LaneStep>& steps, std::size_t count = SIZE_MAX) {
    Progress out;
    for (const LaneStep& step : steps | std::views::take(count)) {
      out.place.position = step.place.position;
      out.place.emitted = step.emitted.empty() ? 0 : step.emitted.at(database);
      for (const auto& rows : step.rows) {
        if (rows.sink == database) rows_.append_range(faults::rows_of(rows.encoded));
      }
    }
    return out;
  }

  static constexpr std::size_t list = 3;
  Registry registry_ = faults::simulated_registry(1, true);
  Pipeline pipeline_ = faults::simulated_pipeline(registry_, 1, "sum");
  Counters counters_;
  EncodingSink sink_;
  std::unique_ptr<Lane> lane_;
  std::vector<std::string> rows_;  // of the database
};

TEST_F(LaneInParts, GivesNoMoreThanThereIsRoomForAndSaysHowMuchThatIs) {
  start(1);  // room for a row
  (void)commit(step(1, 1));
  const auto parts = step(2, 10);
  ASSERT_EQ(parts.size(), 9u);
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    EXPECT_EQ(parts[i].place.position, 1u) << "a snapshot there is of the state before the step";
    EXPECT_EQ(parts[i].emitted.at(database), i + 1);
  }
  EXPECT_EQ(parts.back().place.position, 10u);
  EXPECT_TRUE(parts.back().emitted.empty());
  (void)commit(parts);
  EXPECT_EQ(rows_, faults::expected_of(numbers).rows);
}

TEST_F(LaneInParts, TheFirstStepOfAStreamIsWhole) {
  start(1);
  const auto parts = step(1, 3);
  ASSERT_EQ(parts.size(), 1u) << "progress at position 0 would be none";
}

/// However its messages are cut after each crash, nothing that was committed comes again.
TEST_F(LaneInParts, GoesOnBehindTheRowsThatWereCommitted) {
  start(1);
  (void)commit(step(1, 1));
  Progress progress = commit(step(2, 10), 6);
  EXPECT_EQ(progress.place.position, 1u);
  EXPECT_EQ(progress.place.emitted, 6u);

  start(1'000'000, progress);
  EXPECT_TRUE(step(1, 1).empty());
  progress = commit(step(2, 3));
  EXPECT_EQ(progress.place.position, 3u);
  EXPECT_EQ(progress.place.emitted, 4u) << "two of the six are behind us";

  start(1, progress);
  EXPECT_TRUE(step(1, 3).empty());
  const auto parts = step(4, 10);
  progress = commit(parts, 3);
  EXPECT_EQ(progress.place.emitted, 4u) << "still nothing new";
  (void)commit({parts.begin() + 3, parts.end()});
  EXPECT_EQ(rows_, faults::expected_of(numbers).rows);
}

}  // namespace
}  // namespace weir
