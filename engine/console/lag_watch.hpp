/// A pipeline's lag for pages that are asked often and must answer soon, whatever the servers behind it do.
#pragma once

#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include <weir/clock.hpp>

#include "core/coordination/lag.hpp"
#include "core/observe/trouble.hpp"

namespace weir {

/// Measures when asked, on a thread of its own, one measurement at a time.
///
/// Threads   any. The destructor waits for a measurement that is under way.
class LagWatch {
 public:
  static constexpr Duration fresh = 2 * second;       ///< an answer of this age is given again, …
  static constexpr Duration patience = second / 2;    ///< … a new one is waited for that long, …
  static constexpr Duration stands_in = 30 * second;  ///< … and one of this age given if it takes longer

  /// `clock` must outlive it.
  LagWatch(std::function<Result<Lag>()> measure, const Clock& clock) : measure_{std::move(measure)}, clock_{clock} {}
  LagWatch(const LagWatch&) = delete;
  LagWatch& operator=(const LagWatch&) = delete;

  /// unreachable: it is not known in time. While a measurement hangs, only the first who ask wait.
  Result<Lag> lag();

 private:
  void begin();
  void take(Result<Lag> answer);

  const std::function<Result<Lag>()> measure_;
  const Clock& clock_;
  Trouble trouble_{"lag"};

  std::mutex mutex_;
  Result<Lag> answer_ = fail(Error::Kind::unreachable, "not measured yet");  // the last one, of …
  Timestamp answered_at_ = no_time;                                          // … this steady time
  bool measuring_ = false;
  Timestamp since_ = no_time;
  std::stop_source answered_;  // of the measurement under way: those who wait for it wait for this stop
  std::jthread thread_;        // last: it ends first
};

}  // namespace weir
