#include <weir/batch.hpp>

#include <algorithm>
#include <cassert>
#include <type_traits>

namespace weir {
namespace {

std::size_t words_for(std::size_t rows) { return (rows + 63) / 64; }

template <typename T>
std::vector<T> gather(const std::vector<T>& from, std::span<const std::uint32_t> rows) {
  std::vector<T> out(rows.size());
  const T* source = from.data();
  T* to = out.data();
  for (std::size_t i = 0; i < rows.size(); ++i) to[i] = source[rows[i]];
  return out;
}

Texts gather(const Texts& from, std::span<const std::uint32_t> rows) {
  Texts out;
  out.ends.resize(rows.size());
  std::size_t total = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    total += from[rows[i]].size();
    out.ends[i] = static_cast<std::uint32_t>(total);
  }
  out.chars.reserve(total);
  for (const std::uint32_t row : rows) out.chars.append(from[row]);
  return out;
}

template <typename T>
std::vector<T> cut(const std::vector<T>& from, std::size_t begin, std::size_t end) {
  return {from.begin() + static_cast<std::ptrdiff_t>(begin), from.begin() + static_cast<std::ptrdiff_t>(end)};
}

Texts cut(const Texts& from, std::size_t begin, std::size_t end) {
  const std::uint32_t skipped = begin == 0 ? 0 : from.ends[begin - 1];
  Texts out{cut(from.ends, begin, end), {}};
  if (begin != end) out.chars = from.chars.substr(skipped, from.ends[end - 1] - skipped);
  for (std::uint32_t& text_end : out.ends) text_end -= skipped;
  return out;
}

/// Numbers of the rows whose flag is not 0.
std::vector<std::uint32_t> kept(std::span<const std::uint8_t> keep) {
  std::vector<std::uint32_t> out(keep.size() + 1);
  std::size_t n = 0;
  for (std::size_t row = 0; row < keep.size(); ++row) {
    out[n] = static_cast<std::uint32_t>(row);  // written always, counted if kept: no branch to mispredict
    n += keep[row] != 0;
  }
  out.resize(n);
  return out;
}

std::size_t count_kept(std::span<const std::uint8_t> keep) {
  std::size_t n = 0;
  for (const std::uint8_t flag : keep) n += flag != 0;
  return n;
}

/// Flags of `count` rows, the i-th being that of row_of(i). None at all if every one is set.
template <typename RowOf>
std::vector<std::uint64_t> picked_bits(const std::vector<std::uint64_t>& words, std::size_t count, RowOf row_of) {
  if (words.empty()) return {};
  std::vector<std::uint64_t> out(words_for(count), 0);
  std::size_t n = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = row_of(i);
    const std::uint64_t bit = (words[row >> 6] >> (row & 63)) & 1;
    out[i >> 6] |= bit << (i & 63);
    n += bit;
  }
  return n == count ? std::vector<std::uint64_t>{} : out;
}

/// A column's values with what `pick` makes of each array of them.
template <typename Values, typename Pick>
Values picked_values(const Values& values, Pick pick) {
  return std::visit(
      [&](const auto& held) -> Values {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::monostate>) {
          return held;
        } else if constexpr (std::is_same_v<Held, Ids>) {
          return Ids{pick(held.ids), held.dictionary};
        } else {
          return pick(held);
        }
      },
      values);
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::int64:
      return "int64";
    case Type::float64:
      return "float64";
    case Type::boolean:
      return "boolean";
    case Type::timestamp:
      return "timestamp";
    case Type::string:
      return "string";
    case Type::dictionary:
      return "dictionary";
  }
  return "?";
}

std::string_view to_string(Shape shape) {
  switch (shape) {
    case Shape::samples:
      return "samples";
    case Shape::brackets:
      return "brackets";
    case Shape::rows:
      return "rows";
    case Shape::events:
      return "events";
    case Shape::other:
      return "other";
  }
  return "?";
}

void Validity::push(bool valid, std::size_t rows) {
  if (words_.empty()) {
    if (valid) return;
    words_.assign(words_for(rows + 1), ~std::uint64_t{0});
  }
  if (words_.size() < words_for(rows + 1)) words_.push_back(0);
  const std::uint64_t bit = std::uint64_t{1} << (rows & 63);
  if (valid) {
    words_[rows >> 6] |= bit;
  } else {
    words_[rows >> 6] &= ~bit;
  }
}

void Validity::clear(std::size_t row, std::size_t rows) {
  assert(row < rows);
  if (words_.empty()) words_.assign(words_for(rows), ~std::uint64_t{0});
  words_[row >> 6] &= ~(std::uint64_t{1} << (row & 63));
}

std::size_t Validity::count(std::size_t rows) const {
  if (words_.empty()) return rows;
  std::size_t n = 0;
  for (std::size_t i = 0; i < rows >> 6; ++i) n += static_cast<std::size_t>(std::popcount(words_[i]));
  const std::size_t rest = rows & 63;
  if (rest != 0) n += static_cast<std::size_t>(std::popcount(words_[rows >> 6] & ((std::uint64_t{1} << rest) - 1)));
  return n;
}

Validity Validity::none(std::size_t rows) {
  Validity out;
  out.words_.assign(words_for(rows), 0);
  return out;
}

Validity Validity::take(std::span<const std::uint32_t> rows) const {
  Validity out;
  out.words_ = picked_bits(words_, rows.size(), [&](std::size_t i) { return rows[i]; });
  return out;
}

Validity Validity::slice(std::size_t begin, std::size_t end) const {
  Validity out;
  out.words_ = picked_bits(words_, end - begin, [&](std::size_t i) { return begin + i; });
  return out;
}

Column::Column(Type type, Values values, Validity valid)
    : type_{type}, valid_{std::move(valid)}, values_{std::move(values)} {}

Column Column::int64(std::vector<std::int64_t> values, Validity valid) {
  return {Type::int64, std::move(values), std::move(valid)};
}
Column Column::float64(std::vector<double> values, Validity valid) {
  return {Type::float64, std::move(values), std::move(valid)};
}
Column Column::boolean(std::vector<std::uint8_t> values, Validity valid) {
  return {Type::boolean, std::move(values), std::move(valid)};
}
Column Column::timestamp(std::vector<Timestamp> values, Validity valid) {
  return {Type::timestamp, std::move(values), std::move(valid)};
}
Column Column::string(Texts values, Validity valid) { return {Type::string, std::move(values), std::move(valid)}; }
Column Column::dictionary(Ids values, Validity valid) {
  return {Type::dictionary, std::move(values), std::move(valid)};
}

std::size_t Column::bytes() const {
  return valid_.bytes() + std::visit(
                              [](const auto& values) -> std::size_t {
                                using Held = std::decay_t<decltype(values)>;
                                if constexpr (std::is_same_v<Held, std::monostate>) {
                                  return 0;
                                } else if constexpr (std::is_same_v<Held, Texts>) {
                                  return values.ends.capacity() * sizeof(values.ends[0]) + values.chars.capacity();
                                } else if constexpr (std::is_same_v<Held, Ids>) {
                                  return values.ids.capacity() * sizeof(values.ids[0]);
                                } else {
                                  return values.capacity() * sizeof(values[0]);
                                }
                              },
                              values_);
}

Column Column::take(std::span<const std::uint32_t> rows) const {
  return {type_, picked_values(values_, [&](const auto& values) { return gather(values, rows); }), valid_.take(rows)};
}

Column Column::select(std::span<const std::uint8_t> keep) const { return absent() ? Column{} : take(kept(keep)); }

Column Column::slice(std::size_t begin, std::size_t end) const {
  return {type_, picked_values(values_, [&](const auto& values) { return cut(values, begin, end); }),
          valid_.slice(begin, end)};
}

std::optional<std::size_t> Schema::find(std::string_view name) const {
  const auto it = std::ranges::find(columns, name, &ColumnType::name);
  if (it == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(it - columns.begin());
}

const Column& Batch::column(std::string_view name) const {
  const auto number = schema->find(name);
  assert(number && "no such column in the schema");
  return columns[*number];
}

std::size_t Batch::bytes() const {
  std::size_t sum =
      sizeof(Batch) + arrival.capacity() * sizeof(Timestamp) + message_of_row.capacity() * sizeof(std::uint32_t);
  for (const Column& each : columns) sum += sizeof(Column) + each.bytes();
  return sum;
}

std::shared_ptr<const Batch> Batch::select(std::span<const std::uint8_t> keep) const {
  assert(keep.size() == rows);
  const std::vector<std::uint32_t> numbers = kept(keep);
  auto out = std::make_shared<Batch>();
  out->schema = schema;
  out->rows = numbers.size();
  out->columns.reserve(columns.size());
  for (const Column& each : columns) out->columns.push_back(each.take(numbers));
  out->arrival = gather(arrival, numbers);
  out->reached = reached;
  out->origin = origin;
  if (!message_of_row.empty()) {
    out->messages = messages;
    out->message_of_row = gather(message_of_row, numbers);
  }
  return out;
}

BatchPtr select(const BatchPtr& batch, std::span<const std::uint8_t> keep) {
  return count_kept(keep) == batch->rows ? batch : batch->select(keep);
}

}  // namespace weir
