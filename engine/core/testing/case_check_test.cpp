#include "core/testing/case_check.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

/// An outcome that has counted this much of a sink's rows, and of commits.
CaseOutcome counted(std::uint64_t rows, std::uint64_t commits) {
  CaseOutcome out;
  out.counters_of_commits = {{.node = "db", .name = "rows", .reason = {}, .doc = {}, .value = rows},
                             {.node = "", .name = "commits", .reason = {}, .doc = {}, .value = commits}};
  return out;
}

TEST(CaseCheck, RunsDifferInWhatIsCountedOfCommittedRows) {
  const Pipeline none;
  EXPECT_EQ(compare(counted(3, 1), counted(3, 1), none, true), "");
  EXPECT_EQ(compare(counted(3, 1), counted(4, 1), none, true), "db.rows is 4, not 3\n");
  EXPECT_EQ(compare(counted(3, 1), counted(3, 2), none, true), "") << "how often goes by the batches";
  EXPECT_EQ(compare(counted(3, 1), counted(4, 1), none, false), "") << "after a crash";
}

}  // namespace
}  // namespace weir
