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
Sink::DeadLetter letter_of(const Batch& in, std::size_t row, std::string_view node, const Reason& reason, bool whole) {
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
  if (const auto key = in.schema->find("key"); key && letter.key.empty() && in.columns[*key].valid(row))
    letter.key = in.columns[*key].text(row);
  if (whole)
    letter.payload = message->payload;
  else
    json::append_row(in, row, letter.payload, json::Style::evidence);
  return letter;
}

}  // namespace

Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, const Reason& reason) {
  return letter_of(in, row, node, reason, has_message(in, row));
}

Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, const Reason& reason) {
  const Batch& batch = *rows.batch;
  const bool known = has_message(batch, row);
  Sink::DeadLetter letter = letter_of(batch, row, node, reason, known && is_alone(batch, row));
  letter.partition = rows.partition;
  if (!known) letter.position = rows.last;
  letter.row = rows.number + row;
  return letter;
}

bool DeadLetterQuota::takes(const Sink::DeadLetter& letter) {
  // A letter's own arrival may go back, as a new leader's clock does.
  if (const std::int64_t minute_now = letter.arrival / minute; minute_now > minute_) {
    minute_ = minute_now;
    kept_.clear();
  }
  if (const std::int64_t day_now = letter.arrival / (24 * 60 * minute); day_now > day_) {
    day_ = day_now;
    today_ = 0;
  }
  if (today_ >= bounds_.per_day) return false;
  Cause cause{letter.node, letter.reason.code};
  if (kept_.size() >= most_reasons && !kept_.contains(cause)) cause = {};
  Kept& kept = kept_[std::move(cause)];
  if (kept.letters >= bounds_.per_reason) return false;
  std::uint32_t& of_key = kept.by_key[letter.key];
  if (of_key >= bounds_.per_key) return false;
  ++of_key;
  ++kept.letters;
  ++today_;
  return true;
}

void DeadLetterQuota::save(StateWriter& out) const {
  out.put(minute_);
  out.put(day_);
  out.put(today_);
  out.put(static_cast<std::uint32_t>(kept_.size()));
  for (const auto& [cause, kept] : kept_) {
    out.put_text(cause.first);
    out.put_text(cause.second);
    out.put(static_cast<std::uint32_t>(kept.by_key.size()));
    for (const auto& [key, letters] : kept.by_key) {
      out.put_text(key);
      out.put(letters);
    }
  }
}

void DeadLetterQuota::load(StateReader& in) {
  minute_ = in.get<std::int64_t>();
  day_ = in.get<std::int64_t>();
  today_ = in.get<std::uint32_t>();
  kept_.clear();
  for (auto reasons = in.get<std::uint32_t>(); reasons > 0 && in.ok(); --reasons) {
    std::string node{in.get_text()};
    Kept& kept = kept_[{std::move(node), std::string{in.get_text()}}];
    for (auto keys = in.get<std::uint32_t>(); keys > 0 && in.ok(); --keys) {
      std::string key{in.get_text()};
      kept.letters += kept.by_key[std::move(key)] = in.get<std::uint32_t>();
    }
  }
}

}  // namespace weir
