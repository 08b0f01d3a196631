/// The dead letter of a row.
#pragma once

#include <string_view>

#include <weir/batch.hpp>
#include <weir/sink.hpp>

namespace weir {

/// A letter for a row of a batch. Where the message behind the row is known, its position and bytes are the letter's,
/// wherever batches were cut; else the position is the last of the batch, and the payload the row as JSON.
Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, std::string_view reason);

/// The letter of a row that a sink would not take, told from others by the row's number.
Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason);

}  // namespace weir
