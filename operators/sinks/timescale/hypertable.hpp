/// Makes, or checks, the table that rows go to, and the tables that weir keeps beside it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/postgres.hpp"
#include "clients/table.hpp"
#include "sinks/timescale/progress_table.hpp"

namespace weir::postgres {

enum class Hypertable : std::uint8_t {
  automatic,  ///< if TimescaleDB is there
  always,     ///< else an error
  never,
};

/// What a new table is indexed by. COPY of 400,000 rows of 8 columns: none 0.5 s, time 0.55 s, key 2.4 s (a B-tree on
/// the time alone: 1.0 s).
enum class Index : std::uint8_t {
  none,
  time,  ///< BRIN on the time
  key,   ///< the same, and a B-tree on the key and, newest first, the time
};

struct TablePlan {
  sql::TableName table;
  std::vector<sql::TableColumn> columns;
  std::optional<std::string> key_column;   ///< of rows
  std::optional<std::string> time_column;  ///< without one there is no hypertable
  Hypertable hypertable = Hypertable::automatic;
  Index index = Index::time;
  bool add_columns = false;  ///< to a table that lacks some
  Duration chunk = 0;        ///< time that one chunk of the hypertable covers
  Duration retention = 0;    ///< chunks wholly older than this go; 0: none does
  Duration compress = 0;     ///< chunks older than this are compressed; 0: none is
};

/// What open_table() found or made.
struct TableState {
  std::string schema;        ///< that the table is in, as it is called
  std::string table;         ///< in SQL, qualified and quoted
  std::string dead_letters;  ///< likewise
  std::string news;          ///< what was made, as a sentence; empty: nothing
  /// SQL that answers a statement for each stretch of time that is over, oldest first; to be run now and then, where
  /// the licence has no job for it. Empty: nothing is to be dropped.
  std::string expired_chunks;
};

/// "bigint", "double precision", …
std::string_view type_name(Type type);

/// Creates what is absent, in one transaction; checks what is there. changed: it differs; the message names every
/// difference and the ALTER TABLE to run. `warn` hears of features that this server or its licence lacks.
Result<TableState> open_table(Connection& connection, const TablePlan& plan, ProgressTable& progress_table,
                              const std::function<void(std::string_view)>& warn);

/// Error::changed if the table is gone, or differs by now; as open_table() says it.
Result<void> check_table(Connection& connection, const TablePlan& plan, const TableState& state);

/// SQL to run once on every connection that copies, so that confirm_columns can be run.
std::string prepare_confirmation(const TablePlan& plan, const TableState& state);
/// SQL to run behind a COPY, in its transaction: fails as if for data (SQLSTATE 22) if a column is missing or of
/// another type. Eight bytes that were a double would fit into a bigint as well.
inline constexpr std::string_view confirm_columns = "EXECUTE weir_columns;";

/// The schema in which open_table() would put weir_progress.
Result<std::string> schema_of(Connection& connection, const sql::TableName& table);

/// A query for statements that delete a pipeline's dead letters that are older, some thousands at a time.
std::string expired_letters(const TableState& state, std::string_view pipeline, Duration retention);

/// Columns of weir_dead_letters, in the order in which they are copied.
inline constexpr std::string_view dead_letter_columns =
    "pipeline, node, partition, position, ordinal, \"row\", arrival, arrival_ns, reason, detail, subject, payload";
inline constexpr std::uint16_t dead_letter_column_count = 12;

}  // namespace weir::postgres
