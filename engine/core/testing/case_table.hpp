/// Compact tables of test cases: a header, then rows of cells, each row a text; ranges stand for many rows.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>

#include "core/config/findings.hpp"

namespace weir {

/// An instant of a case: "1s", "0.5s", "1m30s", "-2h" after 1970-01-01T00:00:00Z, or RFC 3339. Nothing if it is
/// neither.
std::optional<Timestamp> parse_instant(std::string_view text);

/// The shortest text that parse_instant() reads back: "1.5s", "20ms", "1m30s"; RFC 3339 from the year 2000 on.
std::string format_instant(Timestamp time);

/// One row. A cell is the text itself without quotes; `null` cells are written `-`.
struct TableCell {
  std::string text;
  bool null = false;
  bool quoted = false;  ///< was written in quotes: a text whatever it looks like
};
struct TableRow {
  std::vector<TableCell> cells;
  std::size_t line = 0;  ///< which of the texts it comes from
};

struct Table {
  std::vector<std::string> columns;
  std::vector<TableRow> rows;
};

/// What is wrong with which text.
struct TableError {
  std::size_t line = 0;
  std::size_t offset = 0;  ///< in that text, in bytes
  std::string message;
};

/// Reads a table. The first text names the columns; each further one has a cell for each. Cells are separated by
/// blanks; 'single quotes' hold blanks together ('' is one quote).
///
/// A cell of the form `1s..10s/1s` (from, to, step; instants or numbers) makes a row per step. Beside it `1..10` goes
/// evenly from the first to the last of those rows, `1,2,5` names the value of each, anything else stands in all of
/// them.
std::expected<Table, TableError> read_table(std::span<const std::string> lines);

/// The number that is all of a text: "1.5", "-2e3", "nan".
std::optional<double> number_in(std::string_view text);

/// One cell of a batch as text: instants as above, numbers as short as they can be read back exactly.
TableCell cell_of(const Column& column, std::size_t row);

/// Whether a cell says what another holds: those of type float64, also a point's (`52.5/13.4`), may differ by 1e-12 of
/// their size, below 1 by 1e-12.
bool cell_matches(const TableCell& want, const TableCell& got, Type type);

/// Whether each cell of a row says what the same cell of another holds; `types` are those of the columns.
bool row_matches(const TableRow& want, const TableRow& got, std::span<const Type> types);

/// A table as text in columns, the header first; `mark` stands before each row, a blank before all.
std::string show_table(const Table& table, char mark);

/// Tables side by side as text, the lines of one preceded by "- " (only expected), "+ " (only got) or "  " (both).
/// Empty if they are equal. `types` are those of the columns.
std::string diff_tables(const Table& want, const Table& got, std::span<const Type> types);

}  // namespace weir
