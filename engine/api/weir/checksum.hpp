/// Short names for bytes: FNV-1a of Fowler, Noll and Vo (RFC 9923).
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

/// 64 bit: finds what was changed or cut short by accident.
constexpr std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// 32 bit: spreads keys, over partitions and within them.
constexpr std::uint32_t hash_of(std::string_view key) {
  std::uint32_t hash = 2166136261u;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

}  // namespace weir
