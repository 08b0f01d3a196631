/// Text from values, in the notation of std::format, by the library that it came from: <format> alone costs a second of
/// every file that includes it, and each call another share of what it compiles again.
#pragma once

#include <fmt/base.h>

#include <string>
#include <string_view>

namespace weir {

/// Text in which each "{}" stands for an argument: checked when it is compiled.
template <typename... Arguments>
using FormatText = fmt::format_string<Arguments...>;

/// fmt::vformat, out of line. `arguments` are only looked at.
std::string format_arguments(std::string_view text, fmt::format_args arguments);

/// As std::format. Write `weir::format`: unqualified, the standard one would take part.
template <typename... Arguments>
std::string format(FormatText<Arguments...> text, Arguments&&... arguments) {
  const fmt::string_view notation = text;
  return format_arguments({notation.data(), notation.size()}, fmt::make_format_args(arguments...));
}

}  // namespace weir
