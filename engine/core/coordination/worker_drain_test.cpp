/// What a worker that drains commits, and of what it takes snapshots.
#include <gmock/gmock.h>

#include "fakes/worker_at_work.hpp"

namespace weir {
namespace {

using WorkerDrain = fakes::WorkerAtWork;

/// Its state has what the operator did of a batch before it threw.
TEST_F(WorkerDrain, ADrainTakesNoSnapshotOfALaneThatBrokeInTheMiddleOfABatch) {
  world_.breaks_at = 38;
  start();
  send(28);
  ASSERT_TRUE(wait_until_committed(28));
  // It breaks, and the drain comes, while the commit of all that stands before is under way.
  in_world([](fakes::World& world) {
    world.slow = 300 * millisecond;
    world.messages += 7;
  });
  ASSERT_TRUE(wait_until_stepped(35));
  system_clock().wait(50 * millisecond, {});
  send(15);
  system_clock().wait(50 * millisecond, {});
  EXPECT_FALSE(drain());
  EXPECT_EQ(position(), 35u);
  world_.breaks_at = -1;
  world_.slow = 0;
  start();
  ASSERT_TRUE(wait_until_committed(50));
  EXPECT_EQ(rows_without_letters(), expected(50));
}

TEST_F(WorkerDrain, DrainsRowsBeforeItWritesSnapshots) {
  start();
  send(50);
  ASSERT_TRUE(wait_until_committed(50));
  in_world([](fakes::World& world) {
    world.slow = 50 * millisecond;
    world.messages += 50;
  });
  ASSERT_TRUE(wait_until_stepped(100));
  EXPECT_TRUE(drain());
  EXPECT_EQ(position(), 100u);
  EXPECT_EQ(world_.committed_when_stored, 100u) << "a store that does not answer must not take the rows' time";
}

}  // namespace
}  // namespace weir
