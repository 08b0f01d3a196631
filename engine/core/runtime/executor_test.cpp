#include "core/runtime/executor.hpp"

#include <gmock/gmock.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include "fakes/context.hpp"
#include "fakes/held_up_threads.hpp"
#include "fakes/world.hpp"

namespace weir {
namespace {

using ExecutorTest = fakes::WorldTest;

TEST_F(ExecutorTest, RunsToTheEndOfTheStream) {
  world_.messages = 1000;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  const auto done = worker.run({});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(rows_without_letters(), expected(1000));
  EXPECT_EQ(world_.rows.size(), 1000u) << "the dead letter lies beside the rows";
  EXPECT_EQ(world_.progress.place.position, 1000u);
  EXPECT_EQ(world_.acknowledged, 1000u);
  EXPECT_EQ(counters_.value("in", "invalid"), 1u);
  EXPECT_EQ(counters_.value("out", "rows"), 999u);
}

TEST_F(ExecutorTest, KeepsTheOrderOfTheStreamWhenThreadsAreHeldUpAnywhere) {
  world_.messages = 50'000;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  const tbb::global_control many{tbb::global_control::max_allowed_parallelism, 4};
  const fakes::HeldUpThreads held_up;
  const auto done = tbb::task_arena{4}.execute([&] { return worker.run({}); });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(rows_without_letters() == expected(50'000)) << "sums of numbers that came in another order";
}

TEST_F(ExecutorTest, MoreLanesThanProcessorsComeForwardEvenly) {
  constexpr Partition lanes = 5;
  world_.messages = 100'000'000;
  const Pipeline p = pipeline(R"(, "silent_above": 0)");
  std::array<std::atomic<std::uint64_t>, lanes> steps{};
  Credits credits{64u << 20};
  LaneRun::Surroundings around{p, registry_, counters_, system_clock(), credits, {}, {}};
  around.events.step = [&](LaneId lane, const LaneStep& step) {
    ++steps.at(lane.partition);
    credits.give_back(step.bytes);
  };
  around.events.ended = [](LaneId, const std::optional<Error>&) {};
  around.events.credits_exhausted = [] {};
  LaneThreads threads;
  std::vector<std::unique_ptr<LaneRun>> runs;
  for (Partition partition = 0; partition < lanes; ++partition) {
    runs.push_back(std::make_unique<LaneRun>(around, threads, LaneId{partition, 1}));
    ASSERT_TRUE(runs.back()->open({}));
  }
  for (const auto& run : runs) run->run();
  system_clock().wait(500 * millisecond, {});
  for (const auto& run : runs) run->stop();
  for (const auto& run : runs) run->finish();
  std::vector<std::uint64_t> counts;
  for (const auto& count : steps) counts.push_back(count);
  EXPECT_GT(std::ranges::min(counts), std::ranges::max(counts) / 4) << testing::PrintToString(counts);
}

TEST_F(ExecutorTest, RowsOfOtherColumnsHaveOtherNumbers) {
  world_.messages = 20;
  const auto numbering = [&](Duration max_gap) {
    Pipeline p = pipeline();
    std::uint32_t out = 0;
    Credits credits{64u << 20};
    LaneRun::Surroundings around{p, registry_, counters_, system_clock(), credits, {}, {}};
    fakes::FakeContext context;
    const auto sink = p.nodes[2].op->make_sink(p.nodes[2].settings, context);
    around.sinks.emplace_back(2, sink.get());
    around.events.step = [&](LaneId, const LaneStep& step) {
      for (const auto& rows : step.rows) out = rows.encoded.numbering;
      credits.give_back(step.bytes);
    };
    around.events.ended = [](LaneId, const std::optional<Error>&) {};
    around.events.credits_exhausted = [] {};
    LaneThreads threads;
    LaneRun run{around, threads, LaneId{0, 1}};
    p.nodes[2].columns = {{.field = "speed", .max_gap = max_gap}};  // which rows are left out depends on it
    EXPECT_TRUE(run.open({}));
    run.run();
    run.finish();
    return out;
  };
  EXPECT_EQ(numbering(2 * second), numbering(2 * second));
  EXPECT_NE(numbering(2 * second), numbering(20 * second));
}

TEST_F(ExecutorTest, DrainsCommitsAndGoesOnExactlyThere) {
  world_.endless = true;
  Position written = 0;
  for (int round = 0; round < 8; ++round) {
    const Pipeline p = pipeline();
    Worker worker{p, registry_, counters_, system_clock()};
    std::stop_source drain;
    std::jthread feeder{[&] {
      for (int i = 0; i < 20; ++i) {
        {
          const std::scoped_lock lock{world_.mutex};
          written = world_.messages += 9;
        }
        system_clock().wait(2 * millisecond, {});
      }
      drain.request_stop();
    }};
    const auto done = worker.run(drain.get_token());
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(rows_without_letters(), expected(world_.progress.place.position)) << "round " << round;
  }
  EXPECT_GT(world_.progress.place.position, 500u);
  EXPECT_LE(world_.progress.place.position, written);
}

TEST_F(ExecutorTest, AnExceptionOfAnOperatorEndsTheLaneAndNamesTheNode) {
  world_.messages = 100;
  const Pipeline p = pipeline(R"(, "fails_at": 50)");
  Worker worker{p, registry_, counters_, system_clock()};
  const auto done = worker.run({});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("sum: this breaks"), std::string::npos) << done.error().message;
  EXPECT_EQ(world_.progress.place.position, 49u);
  EXPECT_EQ(rows_without_letters(), expected(49)) << "what was before it is committed whole";
}

TEST_F(ExecutorTest, AServiceThatIsDownAtTheStartIsUnreachable) {
  world_.unreachable = true;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  worker.fail_fast();
  EXPECT_EQ(worker.run({}).error().kind, Error::Kind::unreachable);
}

TEST_F(ExecutorTest, AServiceThatIsDownAtTheStartIsAskedAgainUntilItAnswers) {
  world_.unreachable = true;
  world_.messages = 5;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  std::jthread mending{[&] {
    system_clock().wait(300 * millisecond, {});
    EXPECT_THAT(worker.status().conditions, testing::Contains("the stream does not answer"));
    EXPECT_FALSE(worker.status().ready);
    world_.unreachable = false;
  }};
  const auto done = worker.run({});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(worker.status().conditions.empty());
}

TEST_F(ExecutorTest, AServiceThatStaysDownIsToldWhenTheWorkerIsStopped) {
  world_.unreachable = true;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  std::stop_source drain;
  std::jthread stopping{[&] {
    for (int i = 0; i < 3000 && worker.status().conditions.empty(); ++i) system_clock().wait(millisecond, {});
    drain.request_stop();
  }};
  const auto result = worker.run(drain.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Error::Kind::unreachable);
}

TEST_F(ExecutorTest, AnIdleStreamIsMarkedWhenSomethingIsDue) {
  world_.endless = true;
  world_.messages = 5;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  std::stop_source drain;
  std::jthread watcher{[&] {
    for (int i = 0; i < 2000 && world_.marks == 0; ++i) system_clock().wait(millisecond, {});
    drain.request_stop();
  }};
  ASSERT_TRUE(worker.run(drain.get_token()));
  EXPECT_GT(world_.marks, 0);
}

TEST_F(ExecutorTest, AMarkThatFailedOnceIsNoTroubleAfterOneThatDidNot) {
  world_.endless = true;
  world_.messages = 5;
  world_.refused_marks = 1;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  std::stop_source drain;
  std::string during = "none";
  std::string after = "none";
  std::jthread watcher{[&] {
    const auto condition = [&] {
      const auto status = worker.status();
      return status.lanes.empty() ? std::string{} : status.lanes.front().condition;
    };
    for (int i = 0; i < 3000 && (during = condition()).empty(); ++i) system_clock().wait(millisecond, {});
    for (int i = 0; i < 3000 && !(after = condition()).empty(); ++i) system_clock().wait(millisecond, {});
    drain.request_stop();
  }};
  ASSERT_TRUE(worker.run(drain.get_token()));
  EXPECT_EQ(during, "markers may not be written");
  EXPECT_EQ(after, "");
}

TEST_F(ExecutorTest, AStreamMadeAnewStopsTheLane) {
  world_.messages = 10;
  world_.progress = {
      .place = {.position = 10, .arrival = 0}, .fingerprint = pipeline().fingerprint, .stream = {"S", 99}};
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  const auto done = worker.run({});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Error::Kind::changed);
  EXPECT_TRUE(world_.rows.empty());
}

TEST_F(ExecutorTest, WithoutASnapshotTheStreamIsReplayedSilentlyFromItsFirstMessage) {
  world_.messages = 40;
  world_.progress = {
      .place = {.position = 20, .arrival = 0}, .fingerprint = pipeline().fingerprint, .stream = {"S", 1}};
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  ASSERT_TRUE(worker.run({}));
  const auto whole = expected(40);
  EXPECT_EQ(rows_without_letters(), (std::vector<std::string>{whole.begin() + 19, whole.end()}))
      << "rows after message 20, with the sum over all";
}

}  // namespace
}  // namespace weir
