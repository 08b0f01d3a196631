/// Numbers of payloads, and times: what a number or a text counts since 1970.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include <weir/types.hpp>

namespace weir::json {

/// A number as JSON writes it. One that is too small is 0; of one that is too large, a reason.
std::expected<double, Reason> number(std::string_view text);

/// Whether a text is a number, as JSON or nearly as JSON writes it.
bool is_decimal(std::string_view text);

/// Of "s", "ms", "us", "ns"; 0 of any other name.
Duration unit_of(std::string_view name);

/// Decimal text times a unit, exactly; digits below a nanosecond are cut off. Nothing if it is none, or too large.
std::optional<Timestamp> scaled(std::string_view text, Duration unit);

/// The text that scaled() reads; of unit 0 RFC 3339 in quotes.
std::string time_text(Timestamp time, Duration unit);

/// What to do about a time that is too large in its unit, or has none: the largest unit in which it is of this
/// millennium; of a text that is nearly RFC 3339, that text. May be empty.
std::string time_advice(std::string_view text);

}  // namespace weir::json
