#include "core/coordination/worker_name.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "fakes/temporary_directory.hpp"

namespace weir {
namespace {

TEST(WorkerName, IsTheHostsWithTheFirstNumberThatIsFree) {
  const fakes::TemporaryDirectory directory;
  const std::string folder = directory.file("names");
  std::optional<WorkerName> first{std::in_place, "fleet", "", folder};
  const WorkerName second{"fleet", "", folder};
  EXPECT_TRUE(first->text().ends_with("-1")) << first->text();
  EXPECT_TRUE(second.text().ends_with("-2")) << second.text();
  EXPECT_EQ((WorkerName{"another", "", folder}.text()), first->text()) << "each pipeline has its own";
  const std::string name = first->text();
  first.reset();
  EXPECT_EQ((WorkerName{"fleet", "", folder}.text()), name) << "as after a crash";
}

TEST(WorkerName, IsWhatTheUserSays) { EXPECT_EQ((WorkerName{"fleet", "left", "/nowhere/at/all"}.text()), "left"); }

TEST(WorkerName, IsTheFirstWhereNothingCanBeWritten) {
  EXPECT_TRUE((WorkerName{"fleet", "", "/proc/none"}.text().ends_with("-1")));
}

}  // namespace
}  // namespace weir
