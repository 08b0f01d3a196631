#include "core/runtime/stream_clock.hpp"

#include <gtest/gtest.h>

#include "fakes/log.hpp"

namespace weir {
namespace {

/// A machine whose clock is not the server's.
class OffClock final : public Clock {
 public:
  Timestamp server = 1'767'226'600 * second;
  Duration ahead = 0;
  Timestamp now() const override { return server + ahead; }
  Timestamp steady() const override { return server - 1'767'226'000 * second; }
  bool wait(Duration, std::stop_token) const override { return true; }
};

/// A stream that takes a marker whenever one may be written, with a round trip of 2 ms.
class StreamClockTest : public testing::Test {
 protected:
  void hear(Timestamp stamp, bool marker, bool own = true) {
    Messages messages;
    messages.items.push_back({.sequence = ++last_, .arrival = stamp, .marker = marker, .own_marker = marker && own});
    stream_.heard(messages);
  }
  /// How many markers it takes until arrival time has come to `due`; it is asked every 100 ms at most.
  int markers_until(Timestamp due) {
    int markers = 0;
    for (Timestamp reached = 0; reached < due;) {
      if (const Duration left = stream_.until(due); left > 0) {
        clock_.server += std::min(left, 100 * millisecond);
        continue;
      }
      stream_.asked();
      ++markers;
      clock_.server += millisecond;
      reached = clock_.server;
      clock_.server += millisecond;
      hear(reached, true);
      if (reached < due) clock_.server += 98 * millisecond;
    }
    return markers;
  }

  OffClock clock_;
  StreamClock stream_{clock_, 0};
  Position last_ = 0;
  const fakes::Log log_;
};

TEST_F(StreamClockTest, AMachineWhoseClockIsRightIsNotHeldUp) {
  for (int i = 0; i < 100; ++i) {
    const Timestamp due = clock_.server + 700 * millisecond;
    EXPECT_EQ(markers_until(due), 1);
    EXPECT_LT(clock_.server - due, 5 * millisecond);
  }
  EXPECT_EQ(log_.text(), "");
}

TEST_F(StreamClockTest, AMachineWhoseClockIsAheadStoresAMarkerAMinuteTooEarlyAndIsOnTime) {
  clock_.ahead = 60 * minute;
  const Timestamp due = clock_.server + 50 * minute;
  EXPECT_LE(markers_until(due), 52);
  EXPECT_LT(clock_.server - due, 200 * millisecond);
  EXPECT_EQ(log_.lines("this machine's clock is 59m59.99"), 1) << log_.text();
  clock_.ahead = 0;
  EXPECT_EQ(markers_until(clock_.server + 10 * second), 1);
  EXPECT_EQ(log_.lines("agree again"), 1) << log_.text();
}

TEST_F(StreamClockTest, WhatAMarkerToldIsForgottenAsAServerMayChange) {
  clock_.ahead = 60 * minute;
  (void)markers_until(clock_.server + second);
  const Timestamp due = clock_.server + 30 * minute;
  EXPECT_GT(stream_.until(due), 29 * minute);
  clock_.server += StreamClock::believed_for;
  EXPECT_LE(stream_.until(due), 0);
}

TEST_F(StreamClockTest, AMarkerThatWasLongUnderWayHoldsNothingUp) {
  stream_.asked();
  const Timestamp stamp = clock_.server;
  clock_.server += 20 * second;
  hear(stamp, true);
  EXPECT_LE(stream_.until(clock_.server), 0);
  EXPECT_EQ(log_.text(), "");
}

/// On catch-up the link may pause before what is left to read, and the lane then asks for a marker.
TEST_F(StreamClockTest, AMarkerOfAnEarlierLifeDoesNotAnswer) {
  stream_.asked();
  hear(clock_.server - 156 * second, true, false);
  EXPECT_EQ(log_.text(), "");
  EXPECT_LE(stream_.until(clock_.server), 0);
}

TEST_F(StreamClockTest, AServerThatIsAheadIsToldOfOnceAndWhenItIsRightAgain) {
  for (int i = 0; i < 3; ++i) hear(clock_.server + 5 * second, false);
  EXPECT_EQ(log_.lines("arrival times are 5s ahead of this machine's clock"), 1) << log_.text();
  hear(clock_.server - minute, false);  // stored long ago: it tells nothing
  EXPECT_FALSE(log_.contains("agree again"));
  hear(clock_.server, false);
  EXPECT_EQ(log_.lines("agree again"), 1);
}

}  // namespace
}  // namespace weir
