/// The memory of this process.
#pragma once

#include <cstdint>

namespace weir {

/// Bytes that it holds now; 0 where the system does not tell.
std::uint64_t resident_bytes();

}  // namespace weir
