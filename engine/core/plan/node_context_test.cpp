#include "core/plan/node_context.hpp"

#include <gmock/gmock.h>

#include "fakes/log.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

class Warnings : public testing::Test {
 protected:
  void pass(Duration time) { clock_.wait(time, {}); }
  void end() { context_.reset(); }

  const fakes::Log log_;
  const fakes::WaitingClock clock_;
  const Pipeline pipeline_;
  const Registry registry_;
  Counters counters_;
  const Node node_ = [] {
    Node made;
    made.id = "db";
    return made;
  }();
  std::unique_ptr<NodeContext> context_ =
      std::make_unique<NodeContext>(NodeContext::Shared{pipeline_, registry_, counters_, clock_}, node_);
};

TEST_F(Warnings, ThatDifferAreAllSaidAtOnce) {
  context_->warn("compress: this server can't; nothing is compressed");
  pass(millisecond);
  context_->warn("retention: this server can't; nothing is deleted");
  EXPECT_EQ(log_.lines("db/0: compress: this server can't; nothing is compressed"), 1);
  EXPECT_EQ(log_.lines("db/0: retention: this server can't; nothing is deleted"), 1);
  end();
  EXPECT_EQ(log_.lines("db/0"), 2) << "nothing was left unsaid";
}

TEST_F(Warnings, ThatRepeatThemselvesAreSaidOnceASecond) {
  for (int i = 0; i < 2000; ++i) {
    context_->warn("the table does not answer");
    pass(millisecond);
  }
  EXPECT_EQ(log_.lines("the table does not answer"), 2);
  EXPECT_TRUE(log_.contains("db/0: the table does not answer (999 more warnings since the last one)")) << log_.text();
  context_->warn("the table is full");
  EXPECT_TRUE(log_.contains("db/0: the table is full (999 more warnings since the last one)")) << log_.text();
}

TEST_F(Warnings, ThatFloodAreAFewAndThenOneASecond) {
  for (int i = 0; i < 10'000; ++i) {
    context_->warn("v" + std::to_string(i) + ".speed is not published");
    pass(millisecond);
  }
  EXPECT_EQ(log_.lines("is not published"), 8 + 9);
  EXPECT_TRUE(log_.contains("db/0: v7.speed is not published\n")) << log_.text();
  EXPECT_TRUE(log_.contains("db/0: v1000.speed is not published (992 more warnings since the last one)"))
      << log_.text();
}

TEST_F(Warnings, ThatWereNotSaidAreCountedAtTheEnd) {
  for (int i = 0; i < 100; ++i) context_->warn("v" + std::to_string(i) + ".speed is not published");
  end();
  EXPECT_EQ(log_.lines("is not published"), 8);
  EXPECT_TRUE(log_.contains("db/0: 92 more warnings since the last one\n")) << log_.text();
}

TEST_F(Warnings, MayComeInAFloodAgainAfterAPause) {
  for (int i = 0; i < 100; ++i) context_->warn("first " + std::to_string(i));
  pass(8 * second);
  for (int i = 0; i < 100; ++i) context_->warn("then " + std::to_string(i));
  EXPECT_EQ(log_.lines("db/0: then"), 8);
}

}  // namespace
}  // namespace weir
