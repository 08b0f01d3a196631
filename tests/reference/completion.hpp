/// The slow, obvious reference of row completion: brackets to cells, as section 6 of the design says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <weir/shapes.hpp>

#include "reference/window_join.hpp"

namespace weir::reference {

/// A field's part of a row. A number is in value.x; a point in x, y, z.
struct Cell {
  Quality quality = Quality::null;
  Value value = {};  ///< means nothing if the quality is null
};

Cell complete(const Bracket& bracket, Timestamp tick, const RowColumn& column);

struct Row {
  std::string key;
  Timestamp tick = 0;
  Timestamp arrival = 0;
  std::vector<Cell> cells;  ///< one per column
};

/// `fields` are the names of the brackets' fields in order. Rows of NULLs only are left out unless `write_empty`.
std::vector<Row> complete(const std::vector<BracketRow>& rows, const std::vector<std::string>& fields,
                          const std::vector<RowColumn>& columns, bool write_empty);

}  // namespace weir::reference
