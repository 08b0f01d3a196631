/// The dead letter of a row.
#pragma once

#include <string>
#include <string_view>

#include <weir/batch.hpp>
#include <weir/sink.hpp>

namespace weir {

/// A letter for a row of a batch. Where the message behind the row is known, its position and bytes are the letter's,
/// wherever batches were cut; else the position is the last of the batch, and the payload the row as JSON.
Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, std::string_view reason);

/// What a reason is counted by: its text up to a ':'.
std::string_view counted_by(std::string_view reason);

/// Adds to a reason what does not change how it is counted.
void add_detail(std::string& reason, std::string_view detail);

/// The letter of a row that a sink would not take, told from others by the row's number. Of a message with several rows
/// the payload is the row as JSON: a frame of a thousand samples, all refused, is not kept a thousand times.
Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason);

}  // namespace weir
