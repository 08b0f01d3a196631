#include "core/coordination/supervisor.hpp"

#include <gmock/gmock.h>

#include <iostream>

#include "fakes/log.hpp"
#include "fakes/world.hpp"

namespace weir {
namespace {

class SupervisorTest : public fakes::WorldTest {
 public:
  ~SupervisorTest() override {
    supervisor_.drain();
    while (supervisor_.advance()) system_clock().wait(millisecond, {});
    if (HasFailure()) std::cerr << log_.text();
  }

 protected:
  SupervisorTest() {
    world_.endless = true;
    supervisor_.install(made(""));
    supervisor_.start(false);
  }

  Supervisor::PipelinePtr made(std::string_view sum, std::string_view root = "") const {
    return std::make_shared<const Pipeline>(pipeline(sum, root));
  }
  void send(Position messages) {
    const std::scoped_lock lock{world_.mutex};
    world_.messages += messages;
  }
  template <typename F>
  bool advance_until(F&& so) {
    for (int i = 0; i < 10'000; ++i) {
      if (!supervisor_.advance()) return false;
      if (so()) return true;
      system_clock().wait(millisecond, {});
    }
    return false;
  }
  bool advance_until_committed(Position position) {
    return advance_until([&] {
      const std::scoped_lock lock{world_.mutex};
      return world_.progress.place.position == position;
    });
  }

  const fakes::Log log_;
  Supervisor supervisor_{registry_, counters_, system_clock(), nullptr};
};

TEST_F(SupervisorTest, AReloadGoesOnBehindWhatIsCommittedAndCountsOn) {
  send(20);
  ASSERT_TRUE(advance_until_committed(20));
  const auto rows = expected(20).size();
  ASSERT_TRUE(advance_until([&] { return supervisor_.status().rows == rows; }));
  const auto next = made("", R"( "shutdown_timeout": "7s",)");
  ASSERT_TRUE(supervisor_.reload(next));
  ASSERT_TRUE(advance_until([&] { return log_.contains("reload: the new pipeline runs"); }));
  EXPECT_EQ(supervisor_.pipeline(), next);
  EXPECT_EQ(supervisor_.status().rows, rows);
  send(10);
  EXPECT_TRUE(advance_until_committed(30));
  EXPECT_EQ(rows_without_letters(), expected(30));
}

TEST_F(SupervisorTest, APipelineThatCanNotStartGivesWayToTheOneBefore) {
  send(20);
  ASSERT_TRUE(advance_until_committed(20));
  const auto before = supervisor_.pipeline();
  {
    const std::scoped_lock lock{world_.mutex};
    world_.stream.created = 2;  // the stream is another one when the new pipeline comes
  }
  ASSERT_TRUE(supervisor_.reload(made("", R"( "shutdown_timeout": "7s",)")));
  ASSERT_TRUE(advance_until([&] { return log_.contains("running the previous pipeline again"); }));
  EXPECT_EQ(supervisor_.pipeline(), before);
}

TEST_F(SupervisorTest, AnotherNameIsAnotherPipeline) {
  const auto before = supervisor_.pipeline();
  Pipeline other = pipeline();
  other.name = "q";
  const auto refused = supervisor_.reload(std::make_shared<const Pipeline>(std::move(other)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("from \"p\" to \"q\""));
  EXPECT_EQ(supervisor_.pipeline(), before);
}

TEST_F(SupervisorTest, WhileTheOldPipelineCanNotCommitNoReloadBegins) {
  send(20);
  ASSERT_TRUE(advance_until_committed(20));
  {
    const std::scoped_lock lock{world_.mutex};
    world_.down = true;
    world_.messages += 10;
  }
  ASSERT_TRUE(advance_until([&] { return !supervisor_.status().commit_condition.empty(); }));
  EXPECT_FALSE(supervisor_.reload(made("")));
  {
    const std::scoped_lock lock{world_.mutex};
    world_.down = false;
  }
  EXPECT_TRUE(advance_until_committed(30));
}

TEST_F(SupervisorTest, ADrainEndsAReloadThatIsUnderWay) {
  send(20);
  ASSERT_TRUE(advance_until_committed(20));
  const auto before = supervisor_.pipeline();
  ASSERT_TRUE(supervisor_.reload(made("", R"( "shutdown_timeout": "7s",)")));
  supervisor_.drain();
  EXPECT_FALSE(advance_until([] { return false; }));
  EXPECT_EQ(supervisor_.pipeline(), before);
  EXPECT_TRUE(supervisor_.result());
}

}  // namespace
}  // namespace weir
