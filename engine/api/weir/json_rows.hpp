/// Rows of any schema as texts and JSON objects, the same for every sink that writes them.
#pragma once

#include <cstdint>
#include <string>

#include <weir/batch.hpp>
#include <weir/types.hpp>

namespace weir::json {

/// True for types whose value is a JSON string: times, strings, keys.
bool is_text(Type type);

/// Whether each column has a name of its own, as each member of an object must; columns are named after fields, and
/// after what is made of them ("position_lat", "speed_quality").
Result<void> distinct_names(const Schema& schema);

/// A valid row's value as both people and JSON read it, without quotes; empty for NaN and infinity, which JSON has not.
std::string plain(const Column& column, std::size_t row);

/// What becomes of values that JSON, or the texts of a database, can't hold.
enum class Style : std::uint8_t {
  data,      ///< NaN and infinity are null; texts are as they are
  evidence,  ///< NaN and infinity are "nan" and "inf"; what is not UTF-8, and NUL, becomes U+FFFD
};

/// Appends one row as a JSON object without a line break; times are RFC 3339 in UTC.
void append_row(const Batch& batch, std::size_t row, std::string& out, Style style = Style::data);

}  // namespace weir::json
