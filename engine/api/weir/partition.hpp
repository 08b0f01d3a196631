/// Which part of the fleet a key belongs to: its partition, by the same rule in the engine, in the server's subject
/// mapping and in firmware; or a share that is looked at.
#pragma once

#include <cstdint>
#include <string_view>

#include <weir/checksum.hpp>
#include <weir/types.hpp>

namespace weir {

/// FNV-1a 32 of the key's bytes modulo `partitions`, as `{{partition(n,1)}}` of nats-server computes it. `partitions` >
/// 0.
constexpr Partition partition_of(std::string_view key, std::uint32_t partitions) { return hash_of(key) % partitions; }

/// Whether a key is in this share of all keys, 0 to 1: the same ones whoever asks, and those of a smaller share are in
/// a greater one.
constexpr bool in_share(std::string_view key, double share) {
  constexpr double all_hashes = 4294967296.0;
  // Of short keys that differ in a digit the hash's own bits do not differ enough (the finaliser of MurmurHash3).
  std::uint32_t hash = hash_of(key);
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  hash ^= hash >> 16;
  return share >= 1 || static_cast<double>(hash) < share * all_hashes;
}

}  // namespace weir
