#include "sinks/timescale/copy.hpp"

#include <bit>
#include <concepts>
#include <cstring>

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
