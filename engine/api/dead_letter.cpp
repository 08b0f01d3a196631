#include <weir/dead_letter.hpp>
#include <weir/json_rows.hpp>

namespace weir {

Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, std::string_view reason) {
  Sink::DeadLetter letter;
  letter.partition = in.origin.partition;
  letter.position = in.origin.last;
  letter.arrival = row < in.arrival.size() ? in.arrival[row] : in.reached;
  letter.node = node;
  letter.reason = reason;
  if (in.messages && row < in.message_of_row.size()) {
    const Message& message = in.messages->items[in.message_of_row[row]];
    letter.position = message.sequence;
    letter.subject = message.subject;
    letter.payload = message.payload;
  } else {
    json::append_row(in, row, letter.payload, json::Style::evidence);
  }
  return letter;
}

Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason) {
  const Batch& batch = *rows.batch;
  Sink::DeadLetter letter = dead_letter_of(batch, row, node, reason);
  letter.partition = rows.partition;
  if (!batch.messages || row >= batch.message_of_row.size()) letter.position = rows.last;
  letter.row = rows.number + row;
  return letter;
}

}  // namespace weir
