/// A DuckDB file: SQL, and batches appended to its tables.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/types.hpp>

namespace weir::duck {

/// One row of text columns; nothing stands for NULL.
using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;

/// An open file. The library itself is loaded when the first one is opened, and costs nothing before that. Files of one
/// process that are the same on disk, by whatever path, share one database and its memory: two databases on one file
/// would write over each other.
///
/// Threads   one each; whoever changes something holds alone() from before BEGIN to after COMMIT.
/// Errors    unreachable: another process holds the file, the disk is full, or the memory does not suffice; fewer rows
///           may fit. refused: anything else.
class File {
 public:
  /// Opens or makes it. `memory` is the most that DuckDB may use, in bytes; of those who share it the largest counts.
  static Result<File> open(const std::string& path, std::uint64_t memory);

  /// Waits for the others of this process that have the same file open, and keeps them out for as long as it is held.
  /// The File must outlive it.
  std::unique_lock<std::mutex> alone();

  /// Runs statements, separated by semicolons; answers the rows of the last one if it is a query or has RETURNING. All
  /// its columns must be text (VARCHAR); internal if one is not.
  Result<Rows> run(const std::string& sql);

  /// Appends rows of a batch, except those whose flag in `skip` is set (empty: none), to these columns of a table,
  /// within the open transaction. Types as type_name() says; timestamps are cut to microseconds, towards the past.
  /// Texts must be UTF-8.
  Result<void> append(const std::string& schema, const std::string& table, const std::vector<std::string>& columns,
                      const Batch& batch, const std::vector<bool>& skip);

 private:
  struct Handles;
  explicit File(std::shared_ptr<Handles> handles) : handles_{std::move(handles)} {}
  std::shared_ptr<Handles> handles_;
};

/// "BIGINT", "DOUBLE", …
std::string_view type_name(Type type);

}  // namespace weir::duck
