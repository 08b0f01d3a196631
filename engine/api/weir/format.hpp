/// std::format without its cost: the standard library compiles all of its formatting anew wherever it is called, about
/// three seconds a file. Here it is compiled once.
#pragma once

#include <format>
#include <string>
#include <string_view>

namespace weir {

/// std::vformat, out of line. `arguments` are only looked at.
std::string format_arguments(std::string_view text, std::format_args arguments);

/// As std::format: the text is checked when it is compiled. Write `weir::format`: unqualified, the standard one would
/// take part.
template <typename... Arguments>
std::string format(std::format_string<Arguments...> text, Arguments&&... arguments) {
  return format_arguments(text.get(), std::make_format_args(arguments...));
}

}  // namespace weir
