/// The rows of a table in a DuckDB file: saved to other files, and compared with theirs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/kept_rows.hpp>

#include "sinks/duckdb/duckdb.hpp"

namespace weir::duck {

/// A table of a file that is open, and the columns that together say which row is which: the time, the key, others;
/// those that the table does not have are passed over.
///
/// Threads   one.
class KeptTable {
 public:
  KeptTable(File file, std::string schema, std::string table, std::vector<std::string> identity);

  /// See KeptRows: .parquet, .csv and .jsonl.
  Result<std::uint64_t> save(const std::string& path);
  /// Also .duckdb, whose table of the same name is meant.
  Result<Comparison> compare(const std::string& expected, std::size_t most);

 private:
  struct Column {
    std::string name, type;
  };
  /// Columns of the table and of what is expected that are to be the same.
  struct Pair {
    Column ours;
    std::string theirs;
  };

  Result<void> prepare();
  Result<std::string> relation(const std::string& path);
  Result<std::vector<Column>> columns_of(const std::string& relation);
  std::vector<std::string> identity_of(const std::vector<Column>& columns) const;
  /// Copies both into tables of texts, and pairs what differs.
  Result<void> pair_up(const std::vector<Pair>& pairs, std::size_t identifying, const std::string& theirs);
  Result<void> count(Comparison& out);
  Result<void> show(const std::vector<Pair>& pairs, std::size_t identifying, std::size_t most, Comparison& out);

  File file_;
  std::string schema_, table_, name_;
  std::vector<std::string> identity_;
};

}  // namespace weir::duck
