/// UTF-8, strictly: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir {

/// Bytes of the code point that the text begins with; 0 if it begins with none, or is empty.
std::size_t utf8_length(std::string_view text);

/// Appends a code point; one that can't be encoded becomes U+FFFD.
void append_utf8(std::string& text, char32_t point);

/// The text with every byte that belongs to no code point replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

/// Whether it is all code points, none of them NUL: what every output can hold.
bool is_storable_utf8(std::string_view text);

/// valid_utf8() with NUL replaced too, which databases refuse.
std::string storable_utf8(std::string_view text);

}  // namespace weir
