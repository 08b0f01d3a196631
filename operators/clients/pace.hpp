/// How fast a source gives out what lies ready: as fast as possible, in real time, or so many times faster.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include <weir/clock.hpp>
#include <weir/types.hpp>

namespace weir {

/// Threads   one.
class Pace {
 public:
  static constexpr const char* doc = "\"max\", \"1x\" for real time, \"60x\" for sixty times that";
  static constexpr const char* mistake = "write \"max\", \"1x\" for real time, or \"60x\"";

  /// How much faster than time; 0: as fast as possible; nothing if the text is neither.
  static std::optional<double> parse(std::string_view text) {
    if (text == "max") return 0;
    double times = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), times, std::chars_format::fixed);
    if (error != std::errc{} || end + 1 != text.data() + text.size() || *end != 'x' || !(times > 0) ||
        !std::isfinite(times))
      return {};
    return times;
  }

  explicit Pace(double times) : times_{times} {}

  bool limited() const { return times_ != 0; }

  /// What arrives at this time is due now.
  void begin(Timestamp arrival, const Clock& clock) {
    origin_ = arrival;
    origin_steady_ = now_ = clock.steady();
  }

  /// How long it is until something that arrives then is due; 0 if it is. Reads the clock only if it may not be.
  Duration ahead(Timestamp arrival, const Clock& clock) {
    if (times_ == 0) return 0;
    // A slow speed, or a strange arrival, makes more of it than fits into a Duration.
    constexpr double century = 100.0 * 365 * 24 * 60 * static_cast<double>(minute);
    Duration recorded = 0;
    if (__builtin_sub_overflow(arrival, origin_, &recorded)) recorded = arrival > origin_ ? INT64_MAX : INT64_MIN;
    const double gone = static_cast<double>(recorded) / times_;
    const Timestamp due = origin_steady_ + static_cast<Duration>(std::clamp(gone, -century, century));
    if (due > now_) now_ = clock.steady();
    return std::max<Duration>(0, due - now_);
  }

 private:
  double times_;
  Timestamp origin_ = 0, origin_steady_ = 0, now_ = 0;
};

}  // namespace weir
