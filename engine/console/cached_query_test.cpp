// First: fmt/format.h, which spdlog includes, must come before any text is formatted.
#include "fakes/log.hpp"

#include "console/cached_query.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace weir {
namespace {

/// Stands still. Who waits, waits for the stop, for ten real seconds at most; or not at all, as if the time had passed.
class StandingClock final : public Clock {
 public:
  Timestamp now() const override { return steady(); }
  Timestamp steady() const override { return time; }
  bool wait(Duration length, std::stop_token stop) const override {
    ++waits;
    if (patient) return system_clock().wait(10 * second, std::move(stop));
    time += length;
    return true;
  }

  mutable std::atomic<Timestamp> time{0};
  mutable std::atomic<int> waits{0};
  std::atomic<bool> patient{true};
};

/// A query takes until it is let go.
class Cached : public testing::Test {
 public:
  ~Cached() override { let_go(); }

 protected:
  void hold() {
    clock_.patient = false;
    gate_ = std::promise<void>{};
    open_ = gate_.get_future();
    held_ = true;
  }
  void let_go() {
    if (held_.exchange(false)) gate_.set_value();
    clock_.patient = true;
  }
  /// The answer, or why there is none.
  std::string ask() {
    const auto answer = query_.get();
    return answer ? std::to_string(*answer) : answer.error().message;
  }

  fakes::Log log_;
  StandingClock clock_;
  std::atomic<int> asked_{0};
  std::atomic<bool> held_{false}, broken_{false};
  std::promise<void> gate_;
  std::shared_future<void> open_;
  CachedQuery<int> query_{"lag",
                          [this]() -> Result<int> {
                            if (held_) open_.wait();
                            const int n = ++asked_;
                            if (broken_) return fail(Error::Kind::unreachable, "no server");
                            return n;
                          },
                          clock_};
};

constexpr const char* no_answer = "lag: no answer yet from the servers that know it; ask again";

TEST_F(Cached, IsRunWhenAskedAndNotMoreOftenThanEveryTwoSeconds) {
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(ask(), "1");
  clock_.time += 1999 * millisecond;
  EXPECT_EQ(ask(), "1");
  clock_.time += millisecond;
  EXPECT_EQ(ask(), "2");
}

TEST_F(Cached, OnlyTheFirstWaitForServersThatHang) {
  hold();
  EXPECT_EQ(ask(), no_answer);
  EXPECT_EQ(clock_.waits, 1);
  EXPECT_EQ(ask(), no_answer);
  EXPECT_EQ(clock_.waits, 1);
  let_go();
  for (int i = 0; i < 1000 && ask() == no_answer; ++i) system_clock().wait(10 * millisecond, {});
  EXPECT_EQ(ask(), "1");
}

TEST_F(Cached, AnEarlierAnswerStandsInForAWhile) {
  EXPECT_EQ(ask(), "1");
  clock_.time += 20 * second;
  hold();
  EXPECT_EQ(ask(), "1");
  clock_.time += 9 * second;
  EXPECT_EQ(ask(), "1");
  clock_.time += second;
  EXPECT_EQ(ask(), no_answer);
}

TEST_F(Cached, ARefusalIsAnAnswerAndToldOnce) {
  EXPECT_EQ(ask(), "1");
  broken_ = true;
  for (int i = 0; i < 3; ++i) {
    clock_.time += 2 * second;
    EXPECT_EQ(ask(), "no server");
  }
  EXPECT_EQ(log_.lines("lag: no server"), 1);
  broken_ = false;
  EXPECT_EQ(ask(), "no server");
  clock_.time += 2 * second;
  EXPECT_EQ(ask(), "5");
  EXPECT_TRUE(log_.contains("lag: works again"));
}

}  // namespace
}  // namespace weir
