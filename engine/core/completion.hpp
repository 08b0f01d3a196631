/// Brackets to rows: the one piece of code that interpolates and fills.
#pragma once

#include <cstdint>
#include <vector>

#include <weir/batch.hpp>
#include <weir/shapes.hpp>

namespace weir {

/// Completes the brackets of one lane for one sink.
///
/// Threads   one.
class Completion {
 public:
  /// Cells by quality, and rows of NULLs only that were left out. They only grow.
  struct Counts {
    std::uint64_t measured = 0, interpolated = 0, carried = 0, null = 0, empty_rows = 0;
  };

  Completion(std::vector<RowColumn> columns, bool write_empty);

  /// The schema of the rows. Invalid if the input is not brackets, or lacks a column's field or has it as another kind.
  Result<SchemaPtr> settle(const Schema& brackets);

  /// Rows for brackets, in the same order; arrival, reach and origin are kept. After settle().
  BatchPtr complete(const BatchPtr& brackets);

  const Counts& counts() const { return counts_; }

 private:
  std::vector<RowColumn> columns_;
  bool write_empty_;
  SchemaPtr rows_;
  std::vector<brackets::Bracket> layout_;  ///< of columns_, in their order
  Counts counts_;
};

}  // namespace weir
