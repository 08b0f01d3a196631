/// Characters of ASCII alone. What <cctype> says of others depends on the locale.
#pragma once

namespace weir {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace weir
