/// What can be done with the rows that a sink keeps in a file: writing them elsewhere, and comparing them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <weir/settings.hpp>
#include <weir/types.hpp>

namespace weir {

/// How rows differ from those that were expected. All values are texts, floats with all of their digits; nothing stands
/// for NULL.
struct Comparison {
  struct Cell {
    std::string column;
    std::optional<std::string> expected, got;
  };
  struct Row {
    enum class What : std::uint8_t { missing, unexpected, changed } what = What::changed;
    std::string at;           ///< its key and time
    std::vector<Cell> cells;  ///< those that differ; of a missing or unexpected row all that are not NULL
  };

  std::uint64_t rows = 0, expected = 0;
  /// A row that is there twice and expected once is unexpected once.
  std::uint64_t missing = 0, unexpected = 0, changed = 0;
  std::vector<std::string> columns_missing, columns_unexpected;  ///< the rows are compared without them
  std::vector<Row> first;                                        ///< by time, then key

  bool equal() const {
    return missing + unexpected + changed == 0 && columns_missing.empty() && columns_unexpected.empty();
  }
};

/// Of a sink that keeps its rows in a file of its own, while no worker has that open. Functions answer `refused` or
/// `unreachable` with what the system said, `invalid` where a file is of no kind that they know.
struct KeptRows {
  /// Writes all rows to a file, in order of time and key; its name's ending says how. One that is there is replaced.
  /// Answers how many rows there were.
  std::function<Result<std::uint64_t>(const Settings&, const std::string& path)> save;
  /// Compares all rows with those of a file. The answer has no more than `most` single rows.
  std::function<Result<Comparison>(const Settings&, const std::string& expected, std::size_t most)> compare;
  /// How many dead letters lie beside the rows.
  std::function<Result<std::uint64_t>(const Settings&)> dead_letters;
  /// What the names of files that save() and compare() take may end in: ".parquet".
  std::vector<std::string> saved_as, compared_with;
};

}  // namespace weir
