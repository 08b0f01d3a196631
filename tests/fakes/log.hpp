/// What the engine logs, for a test to read.
#pragma once

#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

namespace weir::fakes {

/// Takes the default logger's place as long as it lives.
///
/// Threads   is to begin and end while no thread logs; contains() from any.
class Log {
 public:
  Log() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", lines_)); }
  ~Log() { spdlog::set_default_logger(before_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool contains(std::string_view text) const {
    return std::ranges::any_of(lines_->last_formatted(), [&](const std::string& line) { return line.contains(text); });
  }
  /// How many lines have it.
  std::ptrdiff_t lines(std::string_view text) const {
    return std::ranges::count_if(lines_->last_formatted(), [&](const auto& line) { return line.contains(text); });
  }
  /// All of it.
  std::string text() const {
    std::string out;
    for (const std::string& line : lines_->last_formatted()) out += line;
    return out;
  }

 private:
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> lines_ = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

}  // namespace weir::fakes
