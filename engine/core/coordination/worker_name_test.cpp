#include "core/coordination/worker_name.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

namespace weir {
namespace {

TEST(WorkerName, IsTheHostsWithTheFirstNumberThatIsFree) {
  const std::string pipeline = "fleet of process " + std::to_string(::getpid());
  std::optional<WorkerName> first{std::in_place, pipeline};
  const WorkerName second{pipeline};
  EXPECT_TRUE(first->text().ends_with("-1")) << first->text();
  EXPECT_TRUE(second.text().ends_with("-2")) << second.text();
  EXPECT_EQ(WorkerName{pipeline + ", another"}.text(), first->text()) << "each pipeline has its own";
  const std::string name = first->text();
  first.reset();
  EXPECT_EQ(WorkerName{pipeline}.text(), name) << "as after a crash";
}

TEST(WorkerName, IsWhatTheUserSays) { EXPECT_EQ((WorkerName{"fleet", "left"}.text()), "left"); }

}  // namespace
}  // namespace weir
