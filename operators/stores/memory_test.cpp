#include <gmock/gmock.h>

#include <weir/operator.hpp>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_stores_memory();

namespace {

TEST(Memory, KeepsValuesByName) {
  fakes::FakeContext context;
  const auto store = weir_operator_stores_memory().make_store(Settings{"state"}, context);
  ASSERT_TRUE(store->open());
  EXPECT_EQ(store->get("a/1"), std::nullopt);
  ASSERT_TRUE(store->put("b", "other"));
  ASSERT_TRUE(store->put("a/2", "two"));
  ASSERT_TRUE(store->put("a/1", "one"));
  ASSERT_TRUE(store->put("a/1", "one again"));
  EXPECT_EQ(store->get("a/1"), "one again");
  EXPECT_THAT(*store->names("a/"), testing::ElementsAre("a/1", "a/2"));
  EXPECT_THAT(*store->names(""), testing::ElementsAre("a/1", "a/2", "b"));
  ASSERT_TRUE(store->remove("a/1"));
  ASSERT_TRUE(store->remove("a/1"));
  EXPECT_EQ(store->get("a/1"), std::nullopt);
  EXPECT_FALSE(store->durable());
}

}  // namespace
}  // namespace weir
