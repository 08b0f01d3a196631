#include <weir/clock.hpp>

#include <algorithm>
#include <chrono>

namespace weir {
namespace {

class SystemClock final : public Clock {
 public:
  Timestamp now() const override { return since_epoch<std::chrono::system_clock>(); }
  Timestamp steady() const override { return since_epoch<std::chrono::steady_clock>(); }

  bool wait(Duration length, std::stop_token stop) const override {
    constexpr Duration longest = Duration{1} << 61;  // 73 years; the deadline must not overflow
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::nanoseconds{std::clamp(length, Duration{0}, longest)};
    std::mutex mutex;
    std::condition_variable_any condition;
    std::unique_lock lock{mutex};
    condition.wait_until(lock, stop, until, [] { return false; });
    return !stop.stop_requested();
  }

 private:
  template <typename Of>
  static Timestamp since_epoch() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Of::now().time_since_epoch()).count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace weir
