/// A batch of samples, opened for a loop over its rows.
#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/shapes.hpp>

namespace weir {

/// What a sample says of its field.
struct SampleValue {
  enum class Kind : std::uint8_t { number, point, text, nothing };
  Kind kind = Kind::nothing;
  double x = 0, y = 0, z = 0;  ///< a number has x; z of a point is NaN if it is unknown
  std::string_view text = {};  ///< as long as the batch
};

/// The columns of a batch of shape samples. Refers to the batch, which must live longer.
class SampleRows {
 public:
  explicit SampleRows(const Batch& in)
      : keys{in.columns[samples::key].ids()},
        fields{in.columns[samples::field].ids()},
        arrival{in.arrival},
        message{in.message_of_row},
        times_{in.columns[samples::time]},
        x_{in.columns[samples::x]},
        y_{in.columns[samples::y]},
        z_{in.columns[samples::z]},
        text_{in.columns[samples::text]},
        time_of_{times_.absent() ? nullptr : times_.int64s().data()},
        x_of_{x_.absent() ? nullptr : x_.float64s().data()},
        all_timed_{!times_.absent() && times_.validity().all()},
        all_numbers_{x_of_ != nullptr && x_.validity().all() && y_.absent() && text_.absent()} {}

  std::size_t size() const { return arrival.size(); }

  bool all_timed() const { return all_timed_; }
  bool timed(std::size_t row) const { return all_timed_ || times_.valid(row); }
  Timestamp time(std::size_t row) const { return time_of_[row]; }  ///< of a row that is timed()

  bool all_numbers() const { return all_numbers_; }
  bool is_number(std::size_t row) const {
    return all_numbers_ || (x_.valid(row) && !y_.valid(row) && !text_.valid(row));
  }
  bool has_x(std::size_t row) const { return all_numbers_ || x_.valid(row); }
  bool has_y(std::size_t row) const { return y_.valid(row); }
  bool has_text(std::size_t row) const { return text_.valid(row); }
  double x(std::size_t row) const { return x_of_[row]; }          ///< of a row that has_x()
  double y(std::size_t row) const { return y_.float64s()[row]; }  ///< of a row that has_y()
  double z(std::size_t row) const { return z_.valid(row) ? z_.float64s()[row] : unknown; }
  std::string_view text(std::size_t row) const { return text_.text(row); }  ///< of a row that has_text()

  /// The row as what it says itself to be.
  SampleValue value(std::size_t row) const {
    using enum SampleValue::Kind;
    if (has_text(row)) return {text, 0, 0, 0, this->text(row)};
    if (!has_x(row)) return {};
    return has_y(row) ? SampleValue{point, x(row), y(row), z(row)} : SampleValue{number, x(row)};
  }

  const Ids& keys;
  const Ids& fields;
  std::span<const Timestamp> arrival;
  std::span<const std::uint32_t> message;  ///< see Batch::message_of_row

 private:
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

  const Column &times_, &x_, &y_, &z_, &text_;
  const Timestamp* time_of_;
  const double* x_of_;
  bool all_timed_, all_numbers_;
};

/// The rows of a batch cut where the key or the arrival changes: what is done once per key is done once per run, and
/// keys of the runs to come are known ahead.
class KeyRuns {
 public:
  /// Cuts a batch of at least one row.
  void find(const SampleRows& rows);

  std::size_t size() const { return begins_.size() - 1; }
  std::size_t begin(std::size_t run) const { return begins_[run]; }
  std::size_t end(std::size_t run) const { return begins_[run + 1]; }
  std::uint32_t key(std::size_t run) const { return keys_[begins_[run]]; }

  /// How many runs there are in `rows` rows, on average.
  std::size_t in_rows(std::size_t rows) const { return rows * size() / begins_.back(); }

 private:
  const std::uint32_t* keys_ = nullptr;
  std::vector<std::uint32_t> begins_;  ///< and the end of the last one
};

}  // namespace weir
