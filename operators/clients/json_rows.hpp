/// Rows of any schema as texts and JSON objects, the same for every sink that writes them.
#pragma once

#include <string>

#include <weir/batch.hpp>

namespace weir::json {

/// True for types whose value is a JSON string: times, strings, keys.
bool is_text(Type type);

/// A valid row's value as both people and JSON read it, without quotes; empty for NaN and infinity, which JSON has not.
std::string plain(const Column& column, std::size_t row);

/// Appends one row as a JSON object without a line break: NULL, NaN and infinity are null, times are RFC 3339 in UTC.
void append_row(const Batch& batch, std::size_t row, std::string& out);

}  // namespace weir::json
