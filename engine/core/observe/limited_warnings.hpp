/// Warnings of one node, so that neither does a flood of them drown the log, nor is one lost without a trace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <weir/clock.hpp>

namespace weir {

/// A warning is logged at once, unless the same text was within the last second, or there is no room. There is room for
/// `burst` warnings, each of which takes a second to come free again: texts that all differ, as they name a vehicle
/// each, are limited too. How many were not logged is told with the next one that is, or at the end; their texts are
/// lost.
///
/// Threads   any.
class LimitedWarnings {
 public:
  static constexpr std::size_t burst = 8;

  /// `with`: what the log's lines begin with. The clock must outlive it.
  LimitedWarnings(std::string with, const Clock& clock) : with_{std::move(with)}, clock_{clock} {}
  ~LimitedWarnings();
  LimitedWarnings(const LimitedWarnings&) = delete;
  LimitedWarnings& operator=(const LimitedWarnings&) = delete;

  void say(std::string_view text);

 private:
  bool may_say(std::string_view text, Timestamp now);

  struct Said {
    std::string text;
    Timestamp at = no_time;
  };
  const std::string with_;
  const Clock& clock_;
  std::mutex mutex_;
  std::deque<Said> recent_;       // of the last second; the room bounds them
  Timestamp all_free_ = no_time;  // when all room is free again
  std::uint64_t unsaid_ = 0;
};

}  // namespace weir
