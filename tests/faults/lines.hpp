/// Lines of a table against those that must be in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <weir/types.hpp>

namespace weir::faults {

/// A line of a table, as the reference or the table has it.
struct Line {
  std::string key;
  Timestamp time = 0;
  std::string word;                ///< what else tells it from others: a session's event, a letter's partition
  std::string text = {};           ///< what it says, if words
  std::vector<double> cells = {};  ///< or numbers; NaN is NULL
  /// That wrote it, or its place in the stream: ascends with the order of commits of one key.
  std::uint64_t transaction = 0;
  auto id() const { return std::tie(key, time, word); }
};

/// What became of the lines of one table.
struct Comparison {
  std::uint64_t expected = 0, lost = 0, duplicated = 0, changed = 0, foreign = 0, misordered = 0;
  bool fine() const { return lost + duplicated + changed + foreign + misordered == 0; }
};

/// Compares lines of any order. Adds the first differences, each with `table`.
Comparison compare(std::string_view table, std::vector<Line> wanted, std::vector<Line> found,
                   std::vector<std::string>& differences);

}  // namespace weir::faults
