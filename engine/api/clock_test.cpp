#include <weir/clock.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace weir {
namespace {

TEST(SystemClock, TellsTimeInNanosecondsAndNeverGoesBack) {
  const Clock& clock = system_clock();
  EXPECT_GT(clock.now(), 1'600'000'000 * second);
  EXPECT_LT(clock.now(), 9'000'000'000 * second);
  const Timestamp before = clock.steady();
  EXPECT_TRUE(clock.wait(2 * millisecond, {}));
  EXPECT_GE(clock.steady(), before + 2 * millisecond);
}

TEST(SystemClock, AStopEndsAWait) {
  const Clock& clock = system_clock();
  std::stop_source stop;
  bool passed = true;
  std::thread waiter{[&] { passed = clock.wait(INT64_MAX, stop.get_token()); }};
  stop.request_stop();
  waiter.join();
  EXPECT_FALSE(passed);
  EXPECT_TRUE(clock.wait(-5, {}));
}

}  // namespace
}  // namespace weir
