#include "clients/refusal.hpp"

#include <cmath>

#include <weir/format.hpp>

namespace weir::refusal {
namespace {

/// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
  return size;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : clean(text)) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += weir::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string value_json(const Column& column, std::size_t row) {
  if (!column.valid(row)) return "null";
  switch (column.type()) {
    case Type::int64:
    case Type::timestamp:
      return std::to_string(column.int64s()[row]);
    case Type::float64: {
      const double value = column.float64s()[row];
      return std::isfinite(value) ? weir::format("{}", value) : weir::format("\"{}\"", value);
    }
    case Type::boolean:
      return column.booleans()[row] != 0 ? "true" : "false";
    case Type::string:
    case Type::dictionary:
      return quoted(column.text(row));
  }
  return "null";
}

}  // namespace

std::string objection(const Batch& batch, std::size_t row) {
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    const Column& column = batch.columns[c];
    if (!column.valid(row) || (column.type() != Type::string && column.type() != Type::dictionary)) continue;
    std::string_view text = column.text(row);
    const std::string& name = batch.schema->columns[c].name;
    if (text.contains('\0')) return weir::format("{}: text with a NUL byte", name);
    while (!text.empty()) {
      const std::size_t size = character(text);
      if (size == 0) return weir::format("{}: text that is not UTF-8", name);
      text.remove_prefix(size);
    }
  }
  return {};
}

std::string clean(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = text[0] == '\0' ? 0 : character(text);
    out += size == 0 ? std::string_view{"\xEF\xBF\xBD"} : text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::string to_json(const Batch& batch, std::size_t row) {
  std::string out = "{";
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    if (c > 0) out += ',';
    out += quoted(batch.schema->columns[c].name) + ':';
    out += value_json(batch.columns[c], row);
  }
  return out + '}';
}

Sink::DeadLetter letter_of(const Encoded& rows, std::size_t row, std::string_view node, std::string_view reason) {
  Sink::DeadLetter letter;
  letter.partition = rows.partition;
  letter.position = rows.last;
  if (row < rows.batch->arrival.size()) letter.arrival = rows.batch->arrival[row];
  letter.node = node;
  letter.reason = reason;
  letter.payload = to_json(*rows.batch, row);
  return letter;
}

}  // namespace weir::refusal
