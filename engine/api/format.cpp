#include <weir/format.hpp>

#include <fmt/format.h>

namespace weir {

std::string format_arguments(std::string_view text, fmt::format_args arguments) {
  return fmt::vformat({text.data(), text.size()}, arguments);
}

}  // namespace weir
