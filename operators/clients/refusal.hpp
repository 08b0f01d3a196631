/// Rows that no database takes: why, and how they are kept instead. Pure.
#pragma once

#include <string>
#include <string_view>

#include <weir/batch.hpp>
#include <weir/sink.hpp>

namespace weir::refusal {

/// Why a database would refuse a row's texts: NUL bytes, text that is not UTF-8. Empty if it would not.
std::string objection(const Batch& batch, std::size_t row);

/// The dead letter of a row that was refused, told from others by the row's number.
Sink::DeadLetter letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason);

}  // namespace weir::refusal
