/// What others may see of lanes at work.
#include <gmock/gmock.h>

#include "core/observe/counted.hpp"
#include "core/runtime/inspection.hpp"
#include "fakes/worker_at_work.hpp"

namespace weir {
namespace {

class InspectedTest : public fakes::WorkerAtWork {
 protected:
  void start_inspected() {
    if (!pipeline_) pipeline_.emplace(pipeline());
    inspection_.taps.runs(*pipeline_);
    worker_ = std::make_unique<Worker>(*pipeline_, registry_, counters_, system_clock(), "w", &inspection_);
    stop_ = {};
    thread_ = std::thread{[this] { result_ = worker_->run(stop_.get_token()); }};
  }
  std::uint64_t worked(const char* node, const CounterSpec& what) { return inspection_.work.value(node, what.name); }
  static std::size_t rows_of(const Tap::Seen& seen) {
    std::size_t rows = 0;
    for (const BatchPtr& batch : seen.batches) rows += batch->rows;
    return rows;
  }

  Inspection inspection_;
};

TEST_F(InspectedTest, ANodeTellsWhatItTakesAndGives) {
  start_inspected();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  for (const char* node : {"in", "sum", "out"}) {
    EXPECT_GT(worked(node, counted::node_batches), 0u) << node;
    EXPECT_GT(worked(node, counted::node_busy_seconds), 0u) << node;
  }
  EXPECT_EQ(worked("in", counted::node_rows_in), 50u);
  EXPECT_EQ(worked("in", counted::node_rows_out), 49u) << "one can't be decoded";
  EXPECT_EQ(worked("sum", counted::node_rows_in), 49u);
  EXPECT_EQ(worked("sum", counted::node_rows_out), 49u);
  EXPECT_EQ(worked("out", counted::node_rows_in), 49u);
  EXPECT_EQ(counters_.value("in", counted::node_batches.name), 0u) << "it differs from run to run";
}

TEST_F(InspectedTest, RowsThatPassAreSeenAndStillArrive) {
  start_inspected();
  const auto of_sum = inspection_.taps.open("sum"), of_sink = inspection_.taps.open("out");
  ASSERT_TRUE(of_sum && of_sink);
  send(20);
  ASSERT_TRUE(wait_until_committed(20));
  EXPECT_EQ(rows_of((*of_sum)->take(0)), 19u);
  EXPECT_EQ(rows_of((*of_sink)->take(0)), 19u);
  EXPECT_EQ(rows_without_letters(), expected(20));
}

TEST_F(InspectedTest, WhoDoesNotReadHoldsNothingUp) {
  start_inspected();
  const auto tap = inspection_.taps.open("sum");
  send(20'000);
  ASSERT_TRUE(wait_until_committed(20'000));
  EXPECT_TRUE(rows_without_letters() == expected(20'000));
  const auto seen = (*tap)->take(0);
  EXPECT_LE(seen.batches.size(), Tap::most_batches);
  EXPECT_EQ(rows_of(seen) + seen.missed, 19'999u);
}

TEST_F(InspectedTest, ASilentReplayIsNotSeenButCounted) {
  snapshot_every_ = "1h";
  world_.durable = false;  // no state: the next worker replays from the first message
  start_inspected();
  send(30);
  ASSERT_TRUE(wait_until_committed(30));
  ASSERT_TRUE(drain());
  const auto tap = inspection_.taps.open("sum");
  const auto before = worked("sum", counted::node_rows_in);
  start_inspected();
  send(10);
  ASSERT_TRUE(wait_until_committed(40));
  EXPECT_EQ(rows_of((*tap)->take(0)), 10u);
  EXPECT_EQ(worked("sum", counted::node_rows_in), before + 39);
  EXPECT_EQ(rows_without_letters(), expected(40));
}

}  // namespace
}  // namespace weir
