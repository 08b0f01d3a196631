/// The table that a SQL sink writes to: what it must look like, and how what is there differs. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/settings.hpp>
#include <weir/shapes.hpp>
#include <weir/spec.hpp>
#include <weir/types.hpp>

namespace weir::sql {

/// The tables that weir keeps in the schema of the rows' table: how far each lane has come, who runs the lanes, and
/// what was refused.
inline constexpr std::string_view progress_table = "weir_progress";
inline constexpr std::string_view workers_table = "weir_workers";
inline constexpr std::string_view dead_letters_table = "weir_dead_letters";

/// A table's name as in the settings: "table" or "schema.table", letters as written (they are quoted in SQL).
struct TableName {
  std::string schema;  ///< empty: where the connection's search_path points
  std::string name;
};
/// Refuses what no table could be called, and weir's own tables.
Result<TableName> parse_table(std::string_view text);

struct TableColumn {
  std::string name;
  std::string type;        ///< as the database writes it
  bool required = false;   ///< NOT NULL
  bool defaulted = false;  ///< found only: filled in when left out
  std::string unit = {};
};

/// What a table calls the columns of the key, and of the time or tick, whatever the shape.
struct Naming {
  std::string key = "key";
  std::string time = "time";
};

/// What is wrong with the settings key_column and time_column, which name columns.
std::vector<Error> naming_problems(const Settings& settings);

/// The columns for a schema, in its order. `type_name` says what the database calls a type.
std::vector<TableColumn> table_columns(const Schema& schema, const Naming& naming, std::string_view (*type_name)(Type));

/// What no table could have: columns of the same name, names longer than 63 bytes or among `system`, too many or no
/// columns.
Result<void> check_columns(const std::vector<TableColumn>& columns, std::span<const std::string_view> system = {});

/// The first column of rows of text, as both databases' clients give them; NULL is empty.
std::vector<std::string> first_column(const std::vector<std::vector<std::optional<std::string>>>& rows);

/// A number in such a row; NULL, or no number, is `otherwise`.
std::int64_t number(const std::optional<std::string>& text, std::int64_t otherwise = 0);

/// "a double precision, b text NOT NULL", names quoted.
std::string column_definitions(const std::vector<TableColumn>& columns);
/// "a, b", names quoted.
std::string column_names(const std::vector<TableColumn>& columns);

/// How the table that was found differs, in words, and the ALTER TABLEs that would make it fit; both empty if it fits.
/// Further columns may be there if rows without them can be stored.
struct Difference {
  std::string words;
  std::string alter;
  /// Of these, columns that can be added without touching a row.
  std::vector<TableColumn> missing = {};

  /// The error of a sink whose table it is: what differs, and the ways out.
  Error error(std::string_view table) const;
};
Difference compare(const std::string& table, const std::vector<TableColumn>& wanted,
                   const std::vector<TableColumn>& found);

/// SQL that adds columns, with their units, to a table that is there.
std::string add_columns(const std::string& table, const std::vector<TableColumn>& columns);
/// SQL that gives columns their units as comments.
std::string comments(const std::string& table, const std::vector<TableColumn>& columns);

/// The setting "schema" of sinks with a table: its kind, what it means, and whether it lets the sink add columns.
Kind schema_kind();
inline constexpr const char* schema_doc =
    "what to do where the table lacks columns: check refuses to start and says how to add them; add-columns adds them, "
    "NULL in the rows that are there. Neither drops nor changes a column";
bool adds_columns(const Settings& settings);

/// A name in double quotes.
std::string quoted(std::string_view name);
/// A text in single quotes; it must not hold NUL.
std::string literal(std::string_view text);

}  // namespace weir::sql
