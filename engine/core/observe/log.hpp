/// Lines for whoever runs the engine. Only log.cpp, and what sets the log up, knows the library behind them, whose
/// headers take two seconds a file to compile.
///
/// Threads   any.
#pragma once

#include <string_view>
#include <utility>

#include <weir/format.hpp>

namespace weir::log {

enum class Level { info, warn, error };

void write(Level level, std::string_view line);

inline void info(std::string_view line) { write(Level::info, line); }
inline void warn(std::string_view line) { write(Level::warn, line); }
inline void error(std::string_view line) { write(Level::error, line); }

/// As weir::format().
template <typename First, typename... Others>
void info(FormatText<First, Others...> text, First&& first, Others&&... others) {
  write(Level::info, weir::format(text, std::forward<First>(first), std::forward<Others>(others)...));
}
template <typename First, typename... Others>
void warn(FormatText<First, Others...> text, First&& first, Others&&... others) {
  write(Level::warn, weir::format(text, std::forward<First>(first), std::forward<Others>(others)...));
}
template <typename First, typename... Others>
void error(FormatText<First, Others...> text, First&& first, Others&&... others) {
  write(Level::error, weir::format(text, std::forward<First>(first), std::forward<Others>(others)...));
}

}  // namespace weir::log
