/// Columns of values, and batches of them: what flows along the edges of a pipeline.
#pragma once

#include <bit>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weir/dictionary.hpp>
#include <weir/message.hpp>
#include <weir/types.hpp>

namespace weir {

enum class Type : std::uint8_t { int64, float64, boolean, timestamp, string, dictionary };
std::string_view to_string(Type);

/// Which rows of a column hold a value. Empty means that all do, which costs nothing.
class Validity {
 public:
  bool all() const { return words_.empty(); }
  bool operator[](std::size_t row) const { return words_.empty() || ((words_[row >> 6] >> (row & 63)) & 1) != 0; }
  /// Appends one row's flag, when the column has `rows` rows so far.
  void push(bool valid, std::size_t rows);
  /// Marks a row as NULL in a column of `rows` rows.
  void clear(std::size_t row, std::size_t rows);
  std::size_t count(std::size_t rows) const;                 ///< rows that hold a value
  static Validity none(std::size_t rows);                    ///< every row NULL
  Validity take(std::span<const std::uint32_t> rows) const;  ///< the flags of these rows, in this order
  Validity slice(std::size_t begin, std::size_t end) const;  ///< the flags of the rows [begin, end)
  std::size_t bytes() const { return words_.capacity() * sizeof(std::uint64_t); }

 private:
  std::vector<std::uint64_t> words_;
};

/// Variable-length texts, one after the other.
struct Texts {
  std::vector<std::uint32_t> ends;  ///< ends[i] is where text i ends in chars
  std::string chars;
  std::string_view operator[](std::size_t row) const {
    const std::uint32_t begin = row == 0 ? 0 : ends[row - 1];
    return std::string_view{chars}.substr(begin, ends[row] - begin);
  }
  void push(std::string_view text) {
    chars.append(text);
    ends.push_back(static_cast<std::uint32_t>(chars.size()));
  }
  std::size_t size() const { return ends.size(); }
};

/// Ids into a dictionary. An id means something only together with its dictionary.
struct Ids {
  std::vector<std::uint32_t> ids;
  std::shared_ptr<const Dictionary> dictionary;
  std::string_view operator[](std::size_t row) const { return dictionary->at(ids[row]); }
};

/// One column. A default-constructed column is absent: as long as its batch, every row NULL, no storage.
class Column {
 public:
  Column() = default;
  static Column int64(std::vector<std::int64_t> values, Validity valid = {});
  static Column float64(std::vector<double> values, Validity valid = {});
  static Column boolean(std::vector<std::uint8_t> values, Validity valid = {});
  static Column timestamp(std::vector<Timestamp> values, Validity valid = {});
  static Column string(Texts values, Validity valid = {});
  static Column dictionary(Ids values, Validity valid = {});

  bool absent() const { return std::holds_alternative<std::monostate>(values_); }
  Type type() const { return type_; }  ///< not for an absent column
  bool valid(std::size_t row) const { return !absent() && valid_[row]; }
  const Validity& validity() const { return valid_; }
  std::size_t bytes() const;

  /// The values; what stands in NULL rows is unspecified but readable. Asking for another type than type() is a bug.
  std::span<const std::int64_t> int64s() const {
    return std::get<std::vector<std::int64_t>>(values_);
  }  ///< int64, timestamp
  std::span<const double> float64s() const { return std::get<std::vector<double>>(values_); }
  std::span<const std::uint8_t> booleans() const { return std::get<std::vector<std::uint8_t>>(values_); }
  const Texts& texts() const { return std::get<Texts>(values_); }
  const Ids& ids() const { return std::get<Ids>(values_); }
  /// The text of a string or dictionary column's row.
  std::string_view text(std::size_t row) const { return type_ == Type::dictionary ? ids()[row] : texts()[row]; }

  /// The rows whose flag is not 0, in order.
  Column select(std::span<const std::uint8_t> keep) const;
  /// The rows with these numbers, in this order; a number may come twice.
  Column take(std::span<const std::uint32_t> rows) const;
  /// The rows [begin, end).
  Column slice(std::size_t begin, std::size_t end) const;

 private:
  using Values = std::variant<std::monostate, std::vector<std::int64_t>, std::vector<double>, std::vector<std::uint8_t>,
                              Texts, Ids>;
  Column(Type type, Values values, Validity valid);

  Type type_ = Type::int64;
  Validity valid_;
  Values values_;
};

/// What a batch of a port means. Sinks and joins ask for a shape; `other` is any named columns.
enum class Shape : std::uint8_t { samples, brackets, rows, events, other };
std::string_view to_string(Shape);

struct ColumnType {
  std::string name;
  Type type = Type::float64;
  std::string unit = {};  ///< documentation: what a table says of the column; empty: nothing
  /// Whatever the unit.
  bool operator==(const ColumnType& other) const { return name == other.name && type == other.type; }
};

/// The named, typed columns of a port. Bound once, before anything runs; shared by all its batches.
struct Schema {
  Shape shape = Shape::other;
  std::vector<ColumnType> columns;

  std::optional<std::size_t> find(std::string_view name) const;
  bool operator==(const Schema&) const = default;
};
using SchemaPtr = std::shared_ptr<const Schema>;

/// Where a batch comes from: the messages (behind `after`, up to `last`] of one partition are in it, and wholly.
struct Origin {
  Partition partition = 0;
  Position after = 0;  ///< its first message stands behind this one
  Position last = 0;
};

/// Of a row that no message caused: it was due. It stands before the messages of its arrival.
inline constexpr std::uint32_t of_deadline = UINT32_MAX;

/// Rows on their way. Immutable once emitted, shared by pointer, readable from any thread.
struct Batch {
  SchemaPtr schema;
  std::size_t rows = 0;
  std::vector<Column> columns;     ///< as many as the schema has
  std::vector<Timestamp> arrival;  ///< per row, never descending; the arrival time of the message that caused the row
  Timestamp reached =
      no_time;  ///< arrival time has reached this much when the batch ends (markers move it without rows)
  Origin origin;
  /// Raw messages behind the rows of a decoded batch, for dead letters; null further down.
  std::shared_ptr<const Messages> messages;
  /// Per row the number of the message that caused it among those of the source's batch, or of_deadline. Never
  /// descending within an arrival. Where rows of several nodes meet, this decides their order.
  std::vector<std::uint32_t> message_of_row;

  const Column& column(std::string_view name) const;  ///< the column must be in the schema
  std::size_t bytes() const;

  /// A batch with only the rows whose flag is not 0; columns of the same schema, same origin and reach.
  std::shared_ptr<const Batch> select(std::span<const std::uint8_t> keep) const;
};
using BatchPtr = std::shared_ptr<const Batch>;

/// As Batch::select, but the same batch again if every row is kept.
BatchPtr select(const BatchPtr& batch, std::span<const std::uint8_t> keep);

}  // namespace weir
