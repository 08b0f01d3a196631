/// A clock for tests without threads.
#pragma once

#include <weir/clock.hpp>

namespace weir::fakes {

/// Time that passes only when somebody waits.
class WaitingClock final : public Clock {
 public:
  Timestamp now() const override { return now_; }
  Timestamp steady() const override { return now_; }
  bool wait(Duration length, std::stop_token stop) const override {
    if (stop.stop_requested()) return false;
    now_ += length;
    return true;
  }

 private:
  mutable Timestamp now_ = 1'767'226'600 * second;
};

}  // namespace weir::fakes
