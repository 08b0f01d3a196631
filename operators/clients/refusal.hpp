/// Rows that no database takes: why, and how they are kept instead. Pure.
#pragma once

#include <string>
#include <string_view>

#include <weir/batch.hpp>
#include <weir/sink.hpp>

namespace weir::refusal {

/// Why a database would refuse a row's texts: NUL bytes, text that is not UTF-8. Empty if it would not.
std::string objection(const Batch& batch, std::size_t row);

/// The dead letter of a row that was refused, told from others by the row's number. Where the message behind the row is
/// known, its position and bytes are the letter's, wherever batches were cut; else the position is the last of the
/// row's batch, and the payload the row as JSON.
Sink::DeadLetter letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason);

}  // namespace weir::refusal
