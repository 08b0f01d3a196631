/// Instants as text that people and other programs read: RFC 3339, UTC.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <weir/types.hpp>

namespace weir {

/// "2026-01-01T00:00:00Z", with as many decimals as the instant needs and no more (up to nine).
std::string format_rfc3339(Timestamp time);

/// Reads "2026-01-01T00:00:00Z", "2026-01-01T01:00:00.25+01:00": any offset, up to nine decimals, "T" or a blank
/// between. Nothing if the text is not that, is no date of the calendar, or lies outside what a Timestamp holds (1677
/// to 2262).
std::optional<Timestamp> parse_rfc3339(std::string_view text);

}  // namespace weir
