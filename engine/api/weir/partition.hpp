/// Which partition a key belongs to: the same rule in the engine, in the server's subject mapping and in firmware.
#pragma once

#include <cstdint>
#include <string_view>

#include <weir/checksum.hpp>
#include <weir/types.hpp>

namespace weir {

/// FNV-1a 32 of the key's bytes modulo `partitions`, as `{{partition(n,1)}}` of nats-server computes it. `partitions` >
/// 0.
constexpr Partition partition_of(std::string_view key, std::uint32_t partitions) { return hash_of(key) % partitions; }

}  // namespace weir
