/// Rows into a DuckDB file: no server, rows and progress in one transaction.
#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <utility>

#include "clients/duckdb.hpp"
#include "clients/handover.hpp"
#include "clients/refusal.hpp"
#include "clients/table.hpp"

namespace {
using namespace weir;

std::string number(Timestamp t) { return t == no_time ? "NULL" : std::to_string(t); }

std::int64_t number(const std::optional<std::string>& text, std::int64_t otherwise) {
  if (text) std::from_chars(text->data(), text->data() + text->size(), otherwise);
  return otherwise;
}

class DuckDb final : public Sink {
 public:
  DuckDb(const Settings& settings, Context& context)
      : context_{context},
        path_{settings.text("path")},
        memory_{settings.size("memory")},
        naming_{settings.text("key_column"), settings.text("time_column")},
        table_{sql::parse_table(settings.text("table")).value_or(sql::TableName{})} {
    if (settings.has("columns")) described_ = settings.columns("columns");
    if (table_.schema.empty()) table_.schema = "main";
    name_ = place(table_.name);
    mine_ = weir::format("pipeline = {} AND node = {}", sql::literal(context.pipeline()), sql::literal(context.node()));
  }

  Result<void> settle(const SchemaPtr& input) override {
    columns_ = sql::table_columns(*input, naming_, described_, duck::type_name);
    names_.clear();
    for (const auto& column : columns_) names_.push_back(column.name);
    return sql::check_columns(columns_);
  }

  Result<void> open() override {
    handed_ = {};
    claimed_.clear();
    file_.reset();
    auto file = duck::File::open(path_, memory_);
    if (!file) return std::unexpected(file.error());
    file_ = *std::move(file);
    auto made = tables();
    if (!made) file_.reset();
    return made;
  }

  Result<void> write(const Encoded& rows) override {
    handed_.add(rows);
    return {};
  }

  bool bury(const DeadLetter& letter) override {
    handed_.add(letter);
    return true;
  }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override;

  Result<Progress> claim(Partition partition) override {
    if (!file_) return fail(Error::Kind::unreachable, path_ + " is not open");
    const auto lock = file_->alone();
    const auto made = run(
        weir::format("INSERT INTO {0} (pipeline, node, partition, position) SELECT {1}, {2}, {3}, 0 WHERE NOT EXISTS "
                     "(SELECT 1 FROM {0} WHERE {4} AND partition = {3})",
                     place(sql::progress_table), sql::literal(context_.pipeline()), sql::literal(context_.node()),
                     partition, mine_));
    if (!made) return broken(made.error());
    auto there = lines(*file_);
    if (!there) return broken(there.error());
    const auto line = std::ranges::find(*there, partition, &ProgressLine::partition);
    claimed_[partition] = line->progress.position;
    return line->progress;
  }

  void release(Partition partition) override { claimed_.erase(partition); }

  Result<std::vector<ProgressLine>> progress() override {
    return with_file([&](duck::File& file) { return lines(file); });
  }

  Result<std::size_t> reset(std::optional<Partition> partition) override {
    return with_file([&](duck::File& file) -> Result<std::size_t> {
      const auto lock = file.alone();
      auto there = lines(file);
      if (!there) return std::unexpected(there.error());
      if (partition) std::erase_if(*there, [&](const ProgressLine& line) { return line.partition != *partition; });
      if (there->empty()) return 0;
      const std::string which = partition ? weir::format(" AND partition = {}", *partition) : "";
      return file.run(weir::format("DELETE FROM {} WHERE {}{}", place(sql::progress_table), mine_, which))
          .transform([&](const duck::Rows&) { return there->size(); });
    });
  }

 private:
  /// Refused would mean that another worker owns the lane; of a file nobody else can.
  static std::unexpected<Error> broken(Error error) {
    if (error.kind == Error::Kind::refused) error.kind = Error::Kind::internal;
    return std::unexpected(std::move(error));
  }
  std::string place(std::string_view table) const { return sql::quoted(table_.schema) + "." + sql::quoted(table); }
  Result<duck::Rows> run(const std::string& sql) { return file_->run(sql); }

  Result<void> tables() {
    const auto lock = file_->alone();
    return run("BEGIN; CREATE SCHEMA IF NOT EXISTS " + sql::quoted(table_.schema))
        .and_then([&](const duck::Rows&) { return table(); })
        .and_then([&] { return run(side_tables() + "COMMIT"); })
        .transform([](const duck::Rows&) {})
        .or_else([&](const Error& error) -> Result<void> {
          (void)run("ROLLBACK");
          return std::unexpected(error);
        });
  }

  Result<void> table() {
    const auto found = run(weir::format(
        "SELECT column_name, data_type, (NOT is_nullable)::VARCHAR, (column_default IS NOT NULL)::VARCHAR "
        "FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = {} AND table_name = {}",
        sql::literal(table_.schema), sql::literal(table_.name)));
    if (!found) return std::unexpected(found.error());
    if (found->empty()) {
      std::string sql = weir::format("CREATE TABLE {} ({});", name_, sql::column_definitions(columns_));
      for (const auto& column : columns_) {
        if (!column.unit.empty())
          sql += weir::format("COMMENT ON COLUMN {}.{} IS {};", name_, sql::quoted(column.name),
                              sql::literal(column.unit));
      }
      return run(sql).transform([](const duck::Rows&) {});
    }
    std::vector<sql::TableColumn> there;
    for (const duck::Row& row : *found)
      there.push_back({row[0].value_or(""), row[1].value_or(""), row[2] == "true", row[3] == "true"});
    const auto difference = sql::compare(name_, columns_, there);
    if (difference.words.empty()) return {};
    return fail(
        Error::Kind::changed,
        weir::format("table {} in {} differs from what this pipeline writes: {}; change the pipeline, or run: {}",
                     name_, path_, difference.words, difference.alter),
        "table");
  }

  std::string side_tables() const {
    return weir::format(
        "CREATE TABLE IF NOT EXISTS {} (pipeline VARCHAR, node VARCHAR, partition INTEGER, position BIGINT, arrival "
        "BIGINT, "
        "snapshot VARCHAR DEFAULT '', fingerprint VARCHAR DEFAULT '', stream VARCHAR DEFAULT '', stream_created "
        "BIGINT, stamp BIGINT, consumed BIGINT DEFAULT 0, incarnation INTEGER DEFAULT 0, "
        "updated BIGINT DEFAULT epoch_ns(now()));"
        "CREATE TABLE IF NOT EXISTS {} (pipeline VARCHAR, node VARCHAR, partition INTEGER, position BIGINT, ordinal "
        "BIGINT, "
        "arrival_ns BIGINT, reason VARCHAR, subject VARCHAR, payload BLOB);",
        place(sql::progress_table), place(sql::dead_letters_table));
  }

  Result<std::vector<ProgressLine>> lines(duck::File& file) const {
    const auto there = file.run(
        weir::format("SELECT table_name FROM duckdb_tables() WHERE schema_name = {} AND table_name = 'weir_progress'",
                     sql::literal(table_.schema)));
    if (!there) return std::unexpected(there.error());
    if (there->empty()) return std::vector<ProgressLine>{};
    const auto rows = file.run(
        weir::format("SELECT partition::VARCHAR, position::VARCHAR, arrival::VARCHAR, snapshot, fingerprint, stream, "
                     "stream_created::VARCHAR, updated::VARCHAR, stamp::VARCHAR, consumed::VARCHAR, "
                     "incarnation::VARCHAR FROM {} WHERE {} ORDER BY partition",
                     place(sql::progress_table), mine_));
    if (!rows) return std::unexpected(rows.error());
    std::vector<ProgressLine> out;
    for (const duck::Row& row : *rows) {
      ProgressLine& line = out.emplace_back();
      line.partition = static_cast<Partition>(number(row[0], 0));
      line.progress = {static_cast<Position>(number(row[1], 0)),
                       number(row[2], no_time),
                       row[3].value_or(""),
                       row[4].value_or(""),
                       {row[5].value_or(""), number(row[6], no_time)},
                       number(row[8], no_time),
                       static_cast<std::uint64_t>(number(row[9], 0)),
                       static_cast<std::uint32_t>(number(row[10], 0))};
      line.updated = number(row[7], no_time);
    }
    return out;
  }

  template <typename Use>
  auto with_file(Use use) -> decltype(use(std::declval<duck::File&>())) {
    if (file_) return use(*file_);
    if (!std::filesystem::exists(path_)) return {};
    auto file = duck::File::open(path_, memory_);
    if (!file) return std::unexpected(file.error());
    return use(*file);
  }

  Result<std::vector<Partition>> transact(const sql::Handover& handed, std::span<const LaneCommit> lanes,
                                          Committed& out);
  void finish(const sql::Handover& handed, std::span<const LaneCommit> lanes, const Committed& out);
  Result<void> append(const Encoded& rows, Committed& out);
  Result<void> keep(const DeadLetter& letter, std::uint64_t ordinal);

  Context& context_;
  std::string path_;
  std::uint64_t memory_;
  sql::Naming naming_;
  sql::TableName table_;
  std::vector<RowColumn> described_;
  std::vector<sql::TableColumn> columns_;
  std::vector<std::string> names_;
  std::string name_;  // of the table, quoted
  std::string mine_;  // which lines of the side tables are this sink's
  std::optional<duck::File> file_;
  std::map<Partition, Position> claimed_;
  sql::Handover handed_;
};

Result<Committed> DuckDb::commit(std::span<const LaneCommit> all) {
  auto handed = handed_.take();
  if (!file_) return fail(Error::Kind::unreachable, path_ + " is not open");
  const auto lock = file_->alone();
  std::vector<LaneCommit> lanes{all.begin(), all.end()};
  std::vector<Partition> refused;
  for (const LaneCommit& lane : lanes) {
    if (!claimed_.contains(lane.partition)) refused.push_back(lane.partition);
  }
  for (;;) {
    std::erase_if(lanes, [&](const LaneCommit& lane) { return std::ranges::contains(refused, lane.partition); });
    handed.leave_out(refused);
    Committed out;
    const auto moved = transact(handed, lanes, out);
    if (!moved) {
      (void)run("ROLLBACK");
      return std::unexpected(moved.error());
    }
    if (moved->size() == lanes.size()) {
      finish(handed, lanes, out);
      out.refused = std::move(refused);
      return out;
    }
    for (const LaneCommit& lane : lanes) {
      if (std::ranges::contains(*moved, lane.partition)) continue;
      refused.push_back(lane.partition);
      claimed_.erase(lane.partition);
    }
  }
}

void DuckDb::finish(const sql::Handover& handed, std::span<const LaneCommit> lanes, const Committed& out) {
  for (const auto& [partition, next] : lanes) claimed_[partition] = next.position;
  context_.count(context_.counter("commits"), 1);
  context_.count(context_.counter("rows_written"), handed.row_count() - out.rejected.size());
  context_.count(context_.counter("rejected_rows"), out.rejected.size());
}

/// One transaction, committed if every lane stood where it was left, rolled back otherwise. Answers the lanes that did.
Result<std::vector<Partition>> DuckDb::transact(const sql::Handover& handed, std::span<const LaneCommit> lanes,
                                                Committed& out) {
  if (auto begun = run("BEGIN"); !begun) return std::unexpected(begun.error());
  for (const Encoded* part : handed.rows) {
    if (auto done = append(*part, out); !done) return std::unexpected(done.error());
  }
  for (const DeadLetter& letter : handed.dead) {
    if (auto done = keep(letter, letter.ordinal); !done) return std::unexpected(done.error());
  }
  std::vector<Partition> moved;
  for (const auto& [partition, next] : lanes) {
    const auto done = run(weir::format(
        "UPDATE {} SET position = {}, arrival = coalesce({}, arrival), snapshot = {}, fingerprint = {}, stream = {}, "
        "stream_created = {}, stamp = {}, consumed = {}, incarnation = {}, "
        "updated = epoch_ns(now()) WHERE {} AND partition = {} AND position = {} RETURNING partition::VARCHAR",
        place(sql::progress_table), next.position, number(next.arrival), sql::literal(next.snapshot),
        sql::literal(next.fingerprint), sql::literal(next.stream.stream), number(next.stream.created),
        number(next.stamp), next.consumed, next.incarnation, mine_, partition, claimed_.at(partition)));
    if (!done) return std::unexpected(done.error());
    if (!done->empty()) moved.push_back(partition);
  }
  return run(moved.size() == lanes.size() ? "COMMIT" : "ROLLBACK").transform([&](const duck::Rows&) { return moved; });
}

Result<void> DuckDb::append(const Encoded& rows, Committed& out) {
  const Batch& batch = *rows.batch;
  std::vector<bool> skip;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    std::string why = refusal::objection(batch, row);
    if (why.empty()) continue;
    skip.resize(batch.rows);
    skip[row] = true;
    const DeadLetter letter = refusal::letter_of(rows, row, context_.node(), why);
    if (auto kept = keep(letter, rows.number + row); !kept) return kept;
    out.rejected.push_back({rows.batch, row, std::move(why), true});
  }
  return file_->append(table_.schema, table_.name, names_, batch, skip);
}

Result<void> DuckDb::keep(const DeadLetter& letter, std::uint64_t ordinal) {
  std::string hex;
  for (const char c : letter.payload) hex += weir::format("{:02x}", static_cast<unsigned char>(c));
  return run(weir::format("INSERT INTO {} VALUES ({}, {}, {}, {}, {}, {}, {}, {}, unhex('{}'))",
                          place(sql::dead_letters_table), sql::literal(context_.pipeline()), sql::literal(letter.node),
                          letter.partition, letter.position, ordinal, number(letter.arrival),
                          sql::literal(refusal::clean(letter.reason)), sql::literal(refusal::clean(letter.subject)),
                          hex))
      .transform([](const duck::Rows&) {});
}

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  if (auto table = sql::parse_table(settings.text("table")); !table)
    out.push_back({Error::Kind::invalid, table.error().message, "table"});
  if (settings.text("path").empty()) out.push_back({Error::Kind::invalid, "a file needs a name", "path"});
  return out;
}

const Spec spec =
    Spec::sink("writes rows to a DuckDB file, exactly once, with no server")
        .details(
            "Rows and progress commit in one transaction. One process at a time may hold the file; several sinks of "
            "one process may write to it, each to a table of its own. Times are stored in "
            "UTC as whole microseconds "
            "(cut off, towards the past). The table is created if it is absent, and checked if it is not. Read it "
            "with: duckdb FILE")
        .field("path", kind::text(), "the file; made if it is not there")
        .field("table", kind::text(), "\"table\" or \"schema.table\"", "rows")
        .optional(
            "columns", kind::columns(),
            "columns of the rows, and how each is completed; without them the input's columns are written as they are")
        .field("key_column", kind::text(), "name of the column that holds the rows' key", "vehicle")
        .field("time_column", kind::text(), "name of the column that holds the rows' time", "time")
        .field("memory", kind::size(), "the most that DuckDB may use", "256MiB")
        .between(double(16u << 20), 1e12)
        .counter("rows_written", "rows that were committed")
        .counter("commits", "transactions that were committed")
        .counter("rejected_rows", "rows whose texts can't be stored; they are in weir_dead_letters")
        .check(problems)
        .claims([](const Settings&) {
          return Claims{.transactional = true, .because = "rows and progress commit in one transaction"};
        })
        .example(
            R"({ "id": "db", "sink": "duckdb", "from": "rows", "path": "fleet.duckdb", "columns": { "speed": {} } })");
}  // namespace

WEIR_OPERATOR(sinks, duckdb, DuckDb, spec)
