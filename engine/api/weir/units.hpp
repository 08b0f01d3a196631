/// Durations, sizes and rates as people write them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <weir/types.hpp>

namespace weir {

/// "10ms", "1.5s", "1m30s", "1h", "1d"; units ns us ms s m h d, each once and descending; exact, never negative.
/// The errors of all three say what to write, and begin with the text.
std::expected<Duration, std::string> parse_duration(std::string_view text);

/// "512", "512B", "512kB", "64MB", "1GB" (powers of 1000), "64KiB", "1MiB", "1GiB" (powers of 1024), in bytes.
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);

/// "5/s", "60/m", "100k/s", "2M/h", per second; units as in durations.
std::expected<double, std::string> parse_rate(std::string_view text);

/// The shortest form that parse_duration() reads back to the same: 90 s is "1m30s", 1500 ms is "1.5s".
std::string format_duration(Duration duration);

}  // namespace weir
