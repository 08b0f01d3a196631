#include "clients/copy.hpp"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstring>
#include <format>

namespace weir::copy {
namespace {

/// From 1970 to 2000, where PostgreSQL counts from.
constexpr std::int64_t epoch = 946'684'800'000'000;

std::int64_t microseconds(Timestamp t) {
  std::int64_t whole = t / microsecond;
  if (t % microsecond < 0) --whole;
  return whole - epoch;
}

template <std::integral T>
char* put(char* at, T value) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

char* put_value(char* at, std::int64_t value) { return put(put(at, std::int32_t{8}), value); }

char* put_text(char* at, std::string_view text) {
  at = put(at, static_cast<std::int32_t>(text.size()));
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// One column, with what the inner loop needs at hand.
struct Cells {
  explicit Cells(const Column& c) : column{&c}, absent{c.absent()}, whole{!absent && c.validity().all()} {
    if (absent) return;
    type = c.type();
    switch (type) {
      case Type::int64:
      case Type::timestamp:
        integers = c.int64s().data();
        break;
      case Type::float64:
        doubles = c.float64s().data();
        break;
      case Type::boolean:
        flags = c.booleans().data();
        break;
      case Type::string:
        texts = &c.texts();
        break;
      case Type::dictionary:
        ids = &c.ids();
        break;
    }
  }

  /// Upper bound of the bytes that this column's values take in `rows` tuples.
  std::size_t most(std::size_t rows) const {
    if (absent) return 4 * rows;
    if (texts != nullptr) return 4 * rows + texts->chars.size();
    if (ids == nullptr) return 12 * rows;
    std::size_t bytes = 4 * rows;
    for (const std::uint32_t id : ids->ids) bytes += ids->dictionary->at(id).size();
    return bytes;
  }

  char* put_row(char* at, std::size_t row) const {
    if (absent || (!whole && !column->validity()[row])) return put(at, std::int32_t{-1});
    switch (type) {
      case Type::int64:
        return put_value(at, integers[row]);
      case Type::timestamp:
        return put_value(at, microseconds(integers[row]));
      case Type::float64:
        return put_value(at, std::bit_cast<std::int64_t>(doubles[row]));
      case Type::boolean:
        return put(put(at, std::int32_t{1}), static_cast<std::int8_t>(flags[row] != 0));
      case Type::string:
        return put_text(at, (*texts)[row]);
      case Type::dictionary:
        return put_text(at, (*ids)[row]);
    }
    return at;
  }

  const Column* column;
  bool absent;
  bool whole;
  Type type = Type::int64;
  const std::int64_t* integers = nullptr;
  const double* doubles = nullptr;
  const std::uint8_t* flags = nullptr;
  const Texts* texts = nullptr;
  const Ids* ids = nullptr;
};

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
      out += std::format("\\u{:04x}", static_cast<unsigned char>(c));
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
      return std::isfinite(value) ? std::format("{}", value) : std::format("\"{}\"", value);
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

std::string_view header() { return {"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19}; }
std::string_view trailer() { return {"\377\377", 2}; }

std::string encode(const Batch& batch) {
  std::vector<Cells> columns(batch.columns.begin(), batch.columns.end());
  std::size_t most = 2 * batch.rows;
  for (const Cells& column : columns) most += column.most(batch.rows);
  std::string out;
  out.resize_and_overwrite(most, [&](char* begin, std::size_t) {
    char* at = begin;
    for (std::size_t row = 0; row < batch.rows; ++row) {
      at = put(at, static_cast<std::int16_t>(columns.size()));
      for (const Cells& column : columns) at = column.put_row(at, row);
    }
    return static_cast<std::size_t>(at - begin);
  });
  return out;
}

std::vector<std::size_t> ends(std::string_view tuples) {
  std::vector<std::size_t> out;
  const auto number = [&]<std::integral T>(std::size_t at, T value) {
    std::memcpy(&value, tuples.data() + at, sizeof value);
    return std::endian::native == std::endian::little ? std::byteswap(value) : value;
  };
  for (std::size_t at = 0; at < tuples.size();) {
    const std::int16_t columns = number(at, std::int16_t{});
    at += 2;
    for (std::int16_t c = 0; c < columns; ++c) {
      const std::int32_t size = number(at, std::int32_t{});
      at += 4 + (size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    out.push_back(at);
  }
  return out;
}

std::string objection(const Batch& batch, std::size_t row) {
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    const Column& column = batch.columns[c];
    if (!column.valid(row) || (column.type() != Type::string && column.type() != Type::dictionary)) continue;
    std::string_view text = column.text(row);
    const std::string& name = batch.schema->columns[c].name;
    if (text.contains('\0')) return std::format("{}: text with a NUL byte", name);
    while (!text.empty()) {
      const std::size_t size = character(text);
      if (size == 0) return std::format("{}: text that is not UTF-8", name);
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

Tuples& Tuples::begin(std::uint16_t columns) {
  char bytes[2];
  bytes_.append(bytes, static_cast<std::size_t>(put(bytes, columns) - bytes));
  return *this;
}

Tuples& Tuples::null() {
  bytes_.append("\377\377\377\377", 4);
  return *this;
}

Tuples& Tuples::text(std::string_view value) {
  char bytes[4];
  bytes_.append(bytes, static_cast<std::size_t>(put(bytes, static_cast<std::int32_t>(value.size())) - bytes))
      .append(value);
  return *this;
}

Tuples& Tuples::int32(std::int32_t value) {
  char bytes[8];
  bytes_.append(bytes, static_cast<std::size_t>(put(put(bytes, std::int32_t{4}), value) - bytes));
  return *this;
}

Tuples& Tuples::int64(std::int64_t value) {
  char bytes[12];
  bytes_.append(bytes, static_cast<std::size_t>(put_value(bytes, value) - bytes));
  return *this;
}

Tuples& Tuples::timestamp(Timestamp value) { return value == no_time ? null() : int64(microseconds(value)); }

}  // namespace weir::copy
