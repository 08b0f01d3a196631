#include "sinks/timescale/hypertable.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/units.hpp>

namespace weir::postgres {
namespace {

std::string interval(Duration length) { return weir::format("interval '{} microseconds'", length / microsecond); }

/// What is there by the name of the rows' table.
struct Found {
  std::string kind;  ///< pg_class.relkind
  std::vector<sql::TableColumn> columns;
};

Result<Found> columns_of(Connection& connection, const std::string& schema, const std::string& table) {
  const auto rows = connection.query(
      "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR a.attidentity <> '', "
      "c.relkind "
      "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
      {schema, table});
  if (!rows) return std::unexpected(rows.error());
  Found found;
  for (const Row& row : *rows) {
    found.columns.push_back({*row[0], *row[1], row[2] == "t", row[3] == "t"});
    found.kind = *row[4];
  }
  return found;
}

Result<void> compare(const Found& found, const TablePlan& plan, const TableState& state) {
  if (found.kind != "r" && found.kind != "p") {
    return fail(Error::Kind::changed, weir::format("{} is not a table that can be copied into", state.table), "table");
  }
  const auto difference = sql::compare(state.table, plan.columns, found.columns);
  if (difference.words.empty()) return {};
  return std::unexpected(difference.error(state.table));
}

/// One run of open_table().
class Opening {
 public:
  Opening(Connection& connection, const TablePlan& plan, const std::function<void(std::string_view)>& warn)
      : connection_{connection}, plan_{plan}, warn_{warn} {}

  Result<TableState> run(ProgressTable& progress_table) {
    // Workers that start together make things one after the other.
    return step("BEGIN; SELECT pg_advisory_xact_lock(hashtext('weir'))")
        .and_then([&] { return check_encoding(); })
        .and_then([&] { return schema_of(connection_, plan_.table); })
        .and_then([&](const std::string& schema) { return enter(schema); })
        .and_then([&] { return look_for_timescale(); })
        .and_then([&] { return table(); })
        .and_then([&] { return ensure(sql::progress_table, "numbering", progress_table.create(schema_)); })
        .and_then([&] { return ensure(sql::workers_table, "lease", progress_table.create(schema_)); })
        .and_then([&] { return dead_letters(); })
        .and_then([&] { return step("COMMIT"); })
        .and_then([&] { return community(); })
        .transform([&] { return state_; });
  }

 private:
  Result<void> step(const std::string& sql) {
    return connection_.run(sql).transform([](const Rows&) {});
  }

  Result<bool> holds(const std::string& sql, const Params& params) {
    return connection_.query(sql, params).transform([](const Rows& rows) {
      return !rows.empty() && rows[0][0] == "t";
    });
  }

  /// Keys and texts are UTF-8; one that another encoding lacks could neither be a row nor a dead letter.
  Result<void> check_encoding() {
    return connection_.run("SELECT getdatabaseencoding(), current_database()").and_then([](const Rows& rows) {
      const std::string encoding = rows[0][0].value_or("");
      if (encoding == "UTF8" || encoding == "SQL_ASCII") return Result<void>{};
      return Result<void>{fail(Error::Kind::invalid,
                               weir::format("database {} has encoding {}, which lacks characters that keys and texts "
                                            "may have; use one that was created with ENCODING 'UTF8'",
                                            rows[0][1].value_or(""), encoding),
                               "url")};
    });
  }

  Result<void> enter(const std::string& schema) {
    schema_ = schema;
    state_.schema = schema;
    state_.table = weir::format("{}.{}", sql::quoted(schema), sql::quoted(plan_.table.name));
    return holds("SELECT to_regnamespace($1) IS NOT NULL", {sql::quoted(schema)}).and_then([&](bool there) {
      if (there) return Result<void>{};
      state_.news = "schema " + sql::quoted(schema) + " and ";
      return step("CREATE SCHEMA " + sql::quoted(schema));
    });
  }

  Result<void> look_for_timescale() {
    if (plan_.hypertable == Hypertable::never || !plan_.time_column) return {};
    const auto rows = connection_.run(
        "SELECT quote_ident(n.nspname), current_setting('timescaledb.license', true) FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'");
    if (!rows) return std::unexpected(rows.error());
    if (!rows->empty()) {
      timescale_ = *rows->front()[0];
      licensed_ = rows->front()[1] == "timescale";
    } else if (plan_.hypertable == Hypertable::always) {
      return fail(Error::Kind::invalid,
                  "this database has no TimescaleDB; run CREATE EXTENSION timescaledb, or set hypertable to \"auto\"",
                  "hypertable");
    }
    return {};
  }

  Result<void> table() {
    const auto found = columns_of(connection_, schema_, plan_.table.name);
    if (!found) return std::unexpected(found.error());
    if (found->columns.empty()) return create();
    const auto missing = sql::compare(state_.table, plan_.columns, found->columns).missing;
    if (!plan_.add_columns || missing.empty()) return check(*found);
    return step(sql::add_columns(state_.table, missing)).and_then([&] {
      state_.news += weir::format("{}table {}: added {}", state_.news.empty() ? "" : "; ", state_.table,
                                  sql::column_names(missing));
      return columns_of(connection_, schema_, plan_.table.name).and_then([&](const Found& now) { return check(now); });
    });
  }

  Result<void> create() {
    made_ = true;
    state_.news += weir::format("table {} {} not there; created {}", state_.table, state_.news.empty() ? "was" : "were",
                                state_.news.empty() ? "it" : "them");
    std::string sql = weir::format("CREATE TABLE {} ({});", state_.table, sql::column_definitions(plan_.columns));
    sql += sql::comments(state_.table, plan_.columns);
    if (timescale_) {
      hypertable_ = true;
      sql += weir::format("SELECT {0}.create_hypertable({1}, {0}.by_range({2}, {3}), create_default_indexes => false);",
                          *timescale_, sql::literal(state_.table), sql::literal(*plan_.time_column),
                          interval(plan_.chunk));
    }
    if (plan_.index == Index::key && plan_.key_column && plan_.time_column) {
      sql += weir::format("CREATE INDEX ON {} ({}, {} DESC);", state_.table, sql::quoted(*plan_.key_column),
                          sql::quoted(*plan_.time_column));
    }
    if (plan_.index != Index::none && plan_.time_column) {
      sql += weir::format("CREATE INDEX ON {} USING brin ({});", state_.table, sql::quoted(*plan_.time_column));
    }
    return step(sql);
  }

  Result<void> check(const Found& found) {
    if (auto fits = compare(found, plan_, state_); !fits) return fits;
    if (!timescale_) return {};
    const auto hyper = connection_.query(
        weir::format("SELECT column_name, time_interval = {}, time_interval, compression_enabled "
                     "FROM timescaledb_information.hypertables JOIN timescaledb_information.dimensions "
                     "USING (hypertable_schema, hypertable_name) "
                     "WHERE hypertable_schema = $1 AND hypertable_name = $2 AND dimension_number = 1",
                     interval(plan_.chunk)),
        {schema_, plan_.table.name});
    if (!hyper) return std::unexpected(hyper.error());
    hypertable_ = !hyper->empty();
    if (hypertable_) return compare_chunks(hyper->front());
    if (plan_.hypertable != Hypertable::always) return {};
    return fail(
        Error::Kind::changed,
        weir::format("table {0} is not a hypertable; set hypertable to \"auto\", or run: SELECT create_hypertable({1}, "
                     "by_range({2}, {3}), "
                     "migrate_data => true);",
                     state_.table, sql::literal(state_.table), sql::literal(*plan_.time_column), interval(plan_.chunk)),
        "hypertable");
  }

  /// Of a hypertable that is there: its column of time, whether its chunks are as long as the pipeline says, how long
  /// they are, whether they may be compressed.
  Result<void> compare_chunks(const Row& row) {
    compressible_ = row[3] == "t";
    if (row[0] != plan_.time_column) {
      return fail(
          Error::Kind::changed,
          weir::format("hypertable {} is cut into chunks by its column {}, not by {}; set time_column to it, or "
                       "name another table",
                       state_.table, row[0].value_or(""), *plan_.time_column),
          "time_column");
    }
    if (row[1] == "t") return {};
    warn_(
        weir::format("chunk: new chunks of {} span {}, the pipeline says {}; change the pipeline, or run: SELECT "
                     "{}.set_chunk_time_interval({}, {});",
                     state_.table, row[2].value_or("whole numbers"), format_duration(plan_.chunk), *timescale_,
                     sql::literal(state_.table), interval(plan_.chunk)));
    return {};
  }

  /// The newest column of one of weir's own tables tells whether it is there as this version makes it. Only then is no
  /// right to create or alter it needed.
  Result<void> ensure(std::string_view name, std::string_view newest_column, const std::string& sql) {
    return holds("SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2)",
                 {weir::format("{}.{}", sql::quoted(schema_), name), std::string{newest_column}})
        .and_then([&](bool there) { return there ? Result<void>{} : step(sql); });
  }

  Result<void> dead_letters() {
    state_.dead_letters = sql::quoted(schema_) + ".weir_dead_letters";
    return ensure(
        sql::dead_letters_table, "detail",
        weir::format(
            "CREATE TABLE IF NOT EXISTS {0} (pipeline text NOT NULL, node text NOT NULL, partition integer NOT "
            "NULL, position bigint NOT NULL, ordinal bigint, \"row\" bigint, arrival timestamptz, arrival_ns "
            "bigint, reason text NOT NULL, detail text NOT NULL DEFAULT '', subject text NOT NULL, payload bytea NOT NULL, "
            "written timestamptz NOT NULL DEFAULT clock_timestamp());"
            "ALTER TABLE {0} ADD COLUMN IF NOT EXISTS \"row\" bigint, ADD COLUMN IF NOT EXISTS written timestamptz "
            "NOT NULL DEFAULT clock_timestamp(), ADD COLUMN IF NOT EXISTS detail text NOT NULL DEFAULT '', "
            "ALTER COLUMN ordinal DROP NOT NULL;"
            "COMMENT ON COLUMN {0}.arrival_ns IS 'ns since 1970: arrival, exactly';"
            "COMMENT ON COLUMN {0}.ordinal IS 'among the letters of this position; not of rows';"
            "COMMENT ON COLUMN {0}.\"row\" IS 'of a row that the sink''s table refused: its number "
            "among all rows of its partition for this sink'",
            state_.dead_letters));
  }

  /// What only some servers and licences have; nothing here stops the rows.
  Result<void> community() {
    const bool compresses = hypertable_ && differs("compress", "compression", "compresses", plan_.compress);
    const bool drops = hypertable_ && differs("retention", "retention", "drops", plan_.retention);
    if (plan_.compress > 0 && !compresses) {
      if (!licensed_ || !hypertable_) {
        warn_(weir::format("compress: {} {}; nothing is compressed", state_.table, missing()));
      } else {
        compress();
      }
    }
    if (plan_.retention == 0 || drops) return {};
    if (!hypertable_) {
      warn_(weir::format("retention: {} {}; nothing is deleted", state_.table, missing()));
    } else if (licensed_) {
      try_step("retention", weir::format("SELECT {}.add_retention_policy({}, {}, if_not_exists => true)", *timescale_,
                                         sql::literal(state_.table), interval(plan_.retention)));
    } else {
      state_.expired_chunks = weir::format(
          "SELECT DISTINCT ON (range_end, range_start) format('SELECT {}.drop_chunks(%L, older_than => %L::timestamptz, "
          "newer_than => %L::timestamptz)', {}, range_end, range_start) FROM timescaledb_information.chunks WHERE "
          "hypertable_schema = {} AND hypertable_name = {} AND range_end <= now() - {} ORDER BY range_end, range_start",
          *timescale_, sql::literal(state_.table), sql::literal(schema_), sql::literal(plan_.table.name),
          interval(plan_.retention));
    }
    return {};
  }

  /// A table that was there is not altered, so one that can't be compressed stays so.
  void compress() {
    const std::string alter = weir::format(
        "ALTER TABLE {} SET (timescaledb.compress{});", state_.table,
        plan_.key_column ? ", timescaledb.compress_segmentby = " + sql::literal(sql::quoted(*plan_.key_column)) : "");
    if (!made_ && !compressible_) {
      warn_(weir::format("compress: {} was there and is not set up for it; nothing is compressed until you run: {}",
                         state_.table, alter));
      return;
    }
    try_step("compress",
             weir::format("{} SELECT {}.add_compression_policy({}, {}, if_not_exists => true)", made_ ? alter : "",
                          *timescale_, sql::literal(state_.table), interval(plan_.compress)));
  }

  /// Whether a job of the hypertable does it, but not as the pipeline says. It stays as it is; what differs is told.
  bool differs(std::string_view setting, std::string_view policy, std::string_view does, Duration wanted) {
    const std::string after = weir::format("config ->> '{}_after'", setting == "retention" ? "drop" : "compress");
    const auto jobs = connection_.query(
        weir::format("SELECT {0}, ({0})::interval = {1} FROM timescaledb_information.jobs "
                     "WHERE hypertable_schema = $1 AND hypertable_name = $2 AND proc_name = 'policy_{2}'",
                     after, interval(wanted), policy),
        {schema_, plan_.table.name});
    if (!jobs || jobs->empty() || jobs->front()[1] == "t") return false;
    const std::string table = sql::literal(state_.table);
    std::string change = weir::format("SELECT {}.remove_{}_policy({});", *timescale_, policy, table);
    if (wanted > 0)
      change += weir::format(" SELECT {}.add_{}_policy({}, {});", *timescale_, policy, table, interval(wanted));
    warn_(weir::format("{}: a job {} chunks of {} after {}, the pipeline says {}; change the pipeline, or run: {}",
                       setting, does, state_.table, jobs->front()[0].value_or("another time"),
                       wanted > 0 ? format_duration(wanted) : "nothing of it", change));
    return true;
  }

  std::string_view missing() const {
    return hypertable_ ? "needs TimescaleDB's community licence (timescaledb.license = timescale)"
                       : "is not a hypertable";
  }

  void try_step(std::string_view setting, const std::string& sql) {
    if (const auto done = step(sql); !done) warn_(weir::format("{}: {}", setting, done.error().message));
  }

  Connection& connection_;
  const TablePlan& plan_;
  const std::function<void(std::string_view)>& warn_;
  std::string schema_;
  std::optional<std::string> timescale_;  // the extension's schema
  bool licensed_ = false;
  bool made_ = false;  // by this opening
  bool hypertable_ = false;
  bool compressible_ = false;
  TableState state_;
};

}  // namespace

std::string_view type_name(Type type) {
  switch (type) {
    case Type::int64:
      return "bigint";
    case Type::float64:
      return "double precision";
    case Type::boolean:
      return "boolean";
    case Type::timestamp:
      return "timestamp with time zone";
    case Type::string:
    case Type::dictionary:
      return "text";
  }
  return "text";
}

Result<TableState> open_table(Connection& connection, const TablePlan& plan, ProgressTable& progress_table,
                              const std::function<void(std::string_view)>& warn) {
  auto opened = Opening{connection, plan, warn}.run(progress_table);
  if (!opened && connection.alive()) (void)connection.run("ROLLBACK");
  return opened;
}

Result<void> check_table(Connection& connection, const TablePlan& plan, const TableState& state) {
  const auto found = columns_of(connection, state.schema, plan.table.name);
  if (!found) return std::unexpected(found.error());
  if (!found->columns.empty()) return compare(*found, plan, state);
  return fail(
      Error::Kind::changed,
      weir::format("table {} is gone: a new one is made, and goes on behind the rows that were in it; to have those "
                   "made again, too, end the workers and run `weir progress reset`",
                   state.table),
      "table");
}

std::string prepare_confirmation(const TablePlan& plan, const TableState& state) {
  std::vector<std::optional<std::string>> names;
  std::vector<std::optional<std::string>> types;
  for (const sql::TableColumn& column : plan.columns) {
    names.emplace_back(column.name);
    types.emplace_back(column.type);
  }
  // Answers no row, or divides by zero.
  return weir::format(
      "PREPARE weir_columns AS SELECT 1 FROM pg_attribute a JOIN unnest({}::text[], {}::text[]) AS w (name, type) "
      "ON a.attname = w.name AND format_type(a.atttypid, a.atttypmod) = w.type "
      "WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped "
      "HAVING 1 / (count(*) = {})::integer < 0;",
      quote_array(names), quote_array(types), sql::literal(state.table), names.size());
}

Result<std::string> schema_of(Connection& connection, const sql::TableName& table) {
  if (!table.schema.empty()) return table.schema;
  const auto rows = connection.run("SELECT current_schema()");
  if (!rows) return std::unexpected(rows.error());
  if (!rows->front()[0])
    return fail(Error::Kind::invalid, "search_path names no schema that exists; write \"schema.table\"", "table");
  return *rows->front()[0];
}

std::string expired_letters(const TableState& state, std::string_view pipeline, Duration retention) {
  const std::string which = weir::format("FROM {} WHERE pipeline = {} AND written < now() - {}", state.dead_letters,
                                         sql::literal(pipeline), interval(retention));
  constexpr int at_once = 10'000;
  const std::string some = weir::format("DELETE FROM {} WHERE ctid = ANY (ARRAY(SELECT ctid {} LIMIT {}))",
                                        state.dead_letters, which, at_once);
  return weir::format("SELECT {} FROM generate_series(1, (SELECT (count(*) + {} - 1) / {} {}))", sql::literal(some),
                      at_once, at_once, which);
}

}  // namespace weir::postgres
