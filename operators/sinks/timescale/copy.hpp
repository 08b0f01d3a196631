/// PostgreSQL's binary COPY format, made from batches. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>

namespace weir::copy {

/// What stands before the first and after the last tuple of a COPY.
std::string_view header();
std::string_view trailer();

/// The rows of a batch as tuples, without header and trailer. Types: int64 → bigint, float64 → double precision,
/// boolean → boolean, timestamp → timestamptz (whole microseconds, towards the past), string and dictionary → text.
std::string encode(const Batch& batch);

/// Where each tuple ends in what encode() made: element i is the end of row i.
std::vector<std::size_t> ends(std::string_view tuples);

/// Writes tuples value by value, where there is no batch.
class Tuples {
 public:
  Tuples& begin(std::uint16_t columns);
  Tuples& null();
  Tuples& text(std::string_view value);  ///< text, bytea
  Tuples& int32(std::int32_t value);
  Tuples& int64(std::int64_t value);
  Tuples& timestamp(Timestamp value);  ///< no_time is NULL
  const std::string& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

}  // namespace weir::copy
