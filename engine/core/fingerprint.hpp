/// Short names for long texts: what two of them being equal says of the texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text.hpp"

namespace weir {

/// FNV-1a, 64 bit (Fowler, Noll, Vo): finds what was changed or cut short by accident.
constexpr std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// The checksum as 16 hexadecimal digits.
std::string fingerprint(std::string_view text);

/// Appends a value without layout and comments, members sorted: equal texts mean the same.
void write_canonical(const Value& value, std::string& out);

}  // namespace weir
