/// What the engine needs of passing time. Rows never depend on it; timeouts, leases, pacing and metrics do.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>

#include <weir/types.hpp>

namespace weir {

/// The only way to know the time of day or to wait. A virtual one moves when a test says so.
/// Threads   any.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall time.
  virtual Timestamp now() const = 0;
  /// Never goes back; for measuring lengths of time.
  virtual Timestamp steady() const = 0;
  /// Waits until `length` has passed or a stop is asked for; true if the time has passed.
  virtual bool wait(Duration length, std::stop_token stop) const = 0;
};

/// The machine's clock.
const Clock& system_clock();

}  // namespace weir
