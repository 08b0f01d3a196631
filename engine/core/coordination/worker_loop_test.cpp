#include "core/coordination/worker_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/registry.hpp"
#include "fakes/commit_fixture.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::ElementsAre;

/// Lanes that do nothing but note what they are asked for.
class NotedLanes final : public LaneHost {
 public:
  void acquire(LaneId) override { asked.emplace_back("acquire"); }
  Result<Position> run(LaneId) override {
    asked.emplace_back("run");
    return 0;
  }
  void stop(LaneId) override { asked.emplace_back("stop"); }
  void save(LaneId) override { asked.emplace_back("save"); }
  void release(LaneId) override { asked.emplace_back("release"); }
  void committed(Partition, Position) override {}
  void want_snapshots(Timestamp) override {}
  void snapshot_done(Partition) override { asked.emplace_back("snapshot done"); }
  Position at(Partition) const override { return 0; }
  void finish_all() override {}
  void save_all(Timestamp) override {}

  std::vector<std::string> take() { return std::exchange(asked, {}); }
  std::vector<std::string> asked;
};

class WorkerLoopTest : public fakes::CommitTest {
 protected:
  WorkerLoopTest() {
    source_.spec.claims([](const Settings&) { return Claims{.partitions = 1}; });
    Node& source = pipeline_.nodes.emplace_back();
    source.role = Role::source;
    source.op = &source_;
  }

  Operator source_{.spec = Spec::source("one partition")};
  NotedLanes lanes_;
  Credits credits_{1000};
  fakes::WaitingClock clock_;
};

/// One that was on its way when the lane was revoked is not the one of where it ended.
TEST_F(WorkerLoopTest, ARevokedPartitionWaitsForItsFinalSnapshot) {
  WorkerLoop loop{pipeline_, *cycle_, lanes_, credits_, clock_};
  const LaneId lane{0, 1};
  loop.handle(event::Heartbeat{});
  ASSERT_TRUE(loop.turn());
  loop.handle(event::Restored{lane, {}});
  EXPECT_THAT(lanes_.take(), ElementsAre("acquire", "run"));
  loop.handle(event::Heartbeat{{.workers = 2, .rank = 1, .taken = {}}});
  loop.handle(event::Ended{lane, {}});
  EXPECT_THAT(lanes_.take(), ElementsAre("stop", "save"));
  loop.handle(event::Stored{.lane = lane, .name = "earlier", .position = 3});
  ASSERT_TRUE(loop.turn());
  EXPECT_THAT(lanes_.take(), ElementsAre("snapshot done"));
  loop.handle(event::Stored{.lane = lane, .name = {}, .final = true});
  ASSERT_TRUE(loop.turn());
  EXPECT_THAT(lanes_.take(), ElementsAre("release"));
}

TEST_F(WorkerLoopTest, APartitionWhoseRowsASinkRefusesStopsAloneAndIsTriedAgain) {
  source_.spec.claims([](const Settings&) { return Claims{.partitions = 2}; });
  WorkerLoop loop{pipeline_, *cycle_, lanes_, credits_, clock_};
  loop.handle(event::Heartbeat{});
  ASSERT_TRUE(loop.turn());
  for (const Partition partition : {0, 1}) {
    ASSERT_TRUE(fakes::acquire(*cycle_, partition));
    loop.handle(event::Restored{{partition, 1}, {}});
  }
  lanes_.take();
  for (const Partition partition : {0, 1}) {
    LaneStep made = step(partition, 5, "row");
    credits_.take(made.bytes);
    loop.handle(event::Stepped{{partition, 1}, std::move(made)});
  }
  sink_->refuses = {1};
  clock_.wait(second, {});
  ASSERT_TRUE(loop.turn());
  EXPECT_EQ(database_.places[0].progress.place.position, 5u);
  EXPECT_EQ(credits_.used(), 0u) << "what was refused holds none either";
  EXPECT_THAT(lanes_.take(), ElementsAre("release"));
  loop.handle(event::Released{{1, 1}});
  clock_.wait(PartitionManager::first_retry, {});
  ASSERT_TRUE(loop.turn());
  EXPECT_THAT(lanes_.take(), ElementsAre("acquire"));
}

}  // namespace
}  // namespace weir
