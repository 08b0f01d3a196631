/// Short names for long texts: what two of them being equal says of the texts.
#pragma once

#include <cstdint>
#include <span>
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

/// A part of what a pipeline's state means: a node, or its limits.
struct Part {
  std::string name;
  std::string meaning;
};

/// The fingerprint of all parts in this order, followed by ` name:` and a short one of each, so that a kept one tells
/// what was changed since. Names hold no blanks and colons.
std::string fingerprint(std::span<const Part> parts);

/// `"rows" has changed, "last" is gone` between two such fingerprints; empty if they don't say it.
std::string changed_parts(std::string_view kept, std::string_view now);

/// Appends a value without layout and comments, members sorted: equal texts mean the same.
void write_canonical(const Value& value, std::string& out);

}  // namespace weir
