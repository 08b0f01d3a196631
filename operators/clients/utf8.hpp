/// Bytes that claim to be text. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::utf8 {

/// Bytes of the UTF-8 character that a text, which is not empty, begins with; 0 if it begins with none.
std::size_t character(std::string_view text);

/// Text that any database takes: what is not UTF-8, and NUL, becomes U+FFFD.
std::string clean(std::string_view text);

}  // namespace weir::utf8
