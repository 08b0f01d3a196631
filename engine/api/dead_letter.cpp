#include <weir/dead_letter.hpp>
#include <weir/json_rows.hpp>

namespace weir {
namespace {

bool has_message(const Batch& in, std::size_t row) { return in.messages && row < in.message_of_row.size(); }

/// Whether the rows beside it are of other messages.
bool is_alone(const Batch& in, std::size_t row) {
  const auto& message = in.message_of_row;
  return (row == 0 || message[row - 1] != message[row]) &&
         (row + 1 == message.size() || message[row + 1] != message[row]);
}

/// `whole`: with the bytes of the row's message, else with the row.
Sink::DeadLetter letter_of(const Batch& in, std::size_t row, std::string_view node, std::string_view reason,
                           bool whole) {
  Sink::DeadLetter letter;
  letter.partition = in.origin.partition;
  letter.position = in.origin.last;
  letter.arrival = row < in.arrival.size() ? in.arrival[row] : in.reached;
  letter.node = node;
  letter.reason = reason;
  const Message* message = has_message(in, row) ? &in.messages->items[in.message_of_row[row]] : nullptr;
  if (message != nullptr) {
    letter.position = message->sequence;
    letter.subject = message->subject;
    letter.key = message->key;
  }
  if (whole)
    letter.payload = message->payload;
  else
    json::append_row(in, row, letter.payload, json::Style::evidence);
  return letter;
}

}  // namespace

std::string_view counted_by(std::string_view reason) { return reason.substr(0, reason.find(':')); }

void add_detail(std::string& reason, std::string_view detail) {
  reason += reason.contains(':') ? "; " : ": ";
  reason += detail;
}

Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, std::string_view reason) {
  return letter_of(in, row, node, reason, has_message(in, row));
}

Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason) {
  const Batch& batch = *rows.batch;
  const bool known = has_message(batch, row);
  Sink::DeadLetter letter = letter_of(batch, row, node, reason, known && is_alone(batch, row));
  letter.partition = rows.partition;
  if (!known) letter.position = rows.last;
  letter.row = rows.number + row;
  return letter;
}

}  // namespace weir
