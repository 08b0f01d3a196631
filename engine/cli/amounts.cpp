#include "cli/amounts.hpp"

#include <array>
#include <string_view>

#include <weir/format.hpp>

namespace weir::cli {

std::string grouped(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

std::string shown_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < names.size(); ++unit) value /= 1000;
  return unit == 0 ? weir::format("{} B", bytes) : weir::format("{:.1f} {}", value, names[unit]);
}

}  // namespace weir::cli
