/// What weir keeps beside the rows in a DuckDB file: how far each lane has come, and what was refused.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>

#include "sinks/duckdb/duckdb.hpp"

namespace weir::duck {

/// One sink node's lines of weir_progress and weir_dead_letters, in the schema of its rows. A file has one owner, so
/// there is no lease: the position alone tells whether a lane stands where it was left.
///
/// Threads   any; whoever changes something holds the file's alone().
class ProgressTable {
 public:
  /// `target`: the table of the sink's rows, without its schema.
  ProgressTable(std::string schema, std::string pipeline, std::string node, std::string target);

  /// SQL that makes both tables if they are not there, and brings those of an earlier version up to date.
  std::string create() const;

  /// The lane's progress; a line for it is made if there is none.
  Result<Progress> acquire(File& file, Partition partition) const;
  /// As Ledger::peers().
  Result<std::vector<Peer>> peers(File& file, Partition partition) const;
  /// Within the open transaction: moves a lane on, if it still stands where `from` does. Answers whether it did.
  Result<bool> advance(File& file, const LaneCommit& lane, const Progress& from) const;
  /// Within the open transaction: stores dead letters, cleaned of what is no text.
  Result<void> keep(File& file, std::span<const Sink::DeadLetter> letters) const;

  /// Within the open transaction: deletes this pipeline's letters that are older.
  Result<void> expire(File& file, Duration retention) const;

  /// Lines of all partitions but those that were reset. No table: no lines.
  Result<std::vector<ProgressLine>> lines(File& file) const;
  /// Forgets a partition (nothing: all); answers how many were forgotten.
  Result<std::size_t> forget(File& file, std::optional<Partition> partition) const;

 private:
  /// Whether the file has a table of progress.
  Result<bool> exists(File& file) const;
  Result<std::vector<ProgressLine>> read(File& file, std::string_view which) const;
  std::string place(std::string_view table) const;
  std::string values_of(const Sink::DeadLetter& letter) const;

  std::string schema_;
  std::string pipeline_;
  std::string node_;
  std::string target_;
  std::string mine_;  // which lines are this node's
};

}  // namespace weir::duck
