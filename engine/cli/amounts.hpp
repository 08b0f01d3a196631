/// Amounts as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace weir::cli {

/// 1234567 as 1,234,567.
std::string grouped(std::uint64_t number);

/// "1.2 MB"
std::string shown_bytes(std::uint64_t bytes);

}  // namespace weir::cli
