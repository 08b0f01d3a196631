#include "core/observe/counters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {
using namespace weir;

TEST(Counters, knows_a_counter_by_node_name_and_reason) {
  Counters counters;
  const std::size_t bad = counters.declare("a", "refused", "doc", "bad");
  EXPECT_EQ(counters.declare("a", "refused", "doc", "bad"), bad);
  const std::size_t worse = counters.declare("a", "refused", "doc", "worse");
  const std::size_t others = counters.declare("b", "refused", "doc", "bad");
  EXPECT_THAT((std::vector{bad, worse, others}), testing::ElementsAre(0u, 1u, 2u));
  counters.add(bad, 2);
  counters.add(worse, 3);
  counters.add(others, 5);
  EXPECT_EQ(counters.value("a", "refused"), 5u);
  EXPECT_EQ(counters.lines()[0].reason, "bad");
}

TEST(Counters, counts_reasons_beyond_the_bound_as_other) {
  Counters counters;
  for (int i = 0; i < 100; ++i) counters.add(counters.declare("a", "refused", "doc", "reason " + std::to_string(i)), 1);
  EXPECT_EQ(counters.value("a", "refused"), 100u);
  const auto lines = counters.lines();
  ASSERT_EQ(lines.size(), 64u);
  EXPECT_EQ(lines[62].reason, "reason 62");
  EXPECT_EQ(lines[63].reason, "other");
  EXPECT_EQ(lines[63].value, 37u);
  EXPECT_EQ(counters.declare("a", "refused", "doc", "reason 5"), 5u);
}

TEST(Counters, counts_what_is_beyond_the_bound_as_other) {
  Counters counters;
  for (std::size_t i = 0; i < Counters::most + 100; ++i)
    counters.add(counters.declare("node " + std::to_string(i), "rows", "doc"), 1);
  const auto lines = counters.lines();
  ASSERT_EQ(lines.size(), Counters::most);
  EXPECT_EQ(lines[Counters::most - 2].node, "node 4094");
  EXPECT_EQ(lines.back().name, "other");
  EXPECT_EQ(lines.back().value, 101u);
  EXPECT_EQ(counters.declare("node 7", "rows", "doc"), 7u);
}

}  // namespace
