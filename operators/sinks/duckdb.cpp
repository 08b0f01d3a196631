/// Rows into a DuckDB file: no server, rows and progress in one transaction.
#include <weir/dead_letter.hpp>
#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <utility>

#include "clients/handover.hpp"
#include "clients/refusal.hpp"
#include "clients/table.hpp"
#include "sinks/duckdb/duckdb.hpp"
#include "sinks/duckdb/progress_table.hpp"
#include "sinks/duckdb/rows.hpp"

namespace {
using namespace weir;

sql::TableName table_of(const Settings& settings) {
  sql::TableName out = sql::parse_table(settings.text("table")).value_or(sql::TableName{});
  if (out.schema.empty()) out.schema = "main";
  return out;
}

class DuckDb final : public Sink, public Ledger {
 public:
  DuckDb(const Settings& settings, Context& context)
      : context_{context},
        path_{settings.text("path")},
        memory_{settings.size("memory")},
        naming_{settings.text("key_column"), settings.text("time_column")},
        table_{table_of(settings)},
        add_columns_{sql::adds_columns(settings)},
        quota_{context.dead_letter_bounds()},
        progress_{table_.schema, std::string{context.pipeline()}, std::string{context.node()}, table_.name} {
    name_ = weir::format("{}.{}", sql::quoted(table_.schema), sql::quoted(table_.name));
  }

  Result<void> bind_schema(const SchemaPtr& input) override {
    columns_ = sql::table_columns(*input, naming_, duck::type_name);
    names_.clear();
    for (const auto& column : columns_) names_.push_back(column.name);
    static constexpr std::string_view system[]{"rowid"};
    return sql::check_columns(columns_, system);
  }

  Result<void> open() override {
    handed_ = {};
    const std::scoped_lock guard{mutex_};
    acquired_.clear();
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

  bool write_dead_letter(const DeadLetter& letter) override {
    handed_.add(letter);
    return true;
  }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override;

  Ledger* ledger() override { return this; }

  Result<Progress> acquire(Partition partition) override {
    const std::scoped_lock guard{mutex_};
    if (!file_) return fail(Error::Kind::unreachable, path_ + " is not open");
    const auto lock = file_->alone();
    auto progress = progress_.acquire(*file_, partition);
    if (!progress) return std::unexpected(progress.error());
    acquired_[partition] = *progress;
    return progress;
  }

  Result<std::vector<Peer>> peers(Partition partition) override {
    const std::scoped_lock guard{mutex_};
    if (!file_) return fail(Error::Kind::unreachable, path_ + " is not open");
    const auto lock = file_->alone();
    return progress_.peers(*file_, partition);
  }

  void release(Partition partition) override {
    const std::scoped_lock guard{mutex_};
    acquired_.erase(partition);
  }

  Result<std::vector<ProgressLine>> progress() override {
    return with_file([&](duck::File& file) { return progress_.lines(file); });
  }

  Result<std::size_t> reset(std::optional<Partition> partition) override {
    return with_file([&](duck::File& file) {
      const auto lock = file.alone();
      return progress_.forget(file, partition);
    });
  }

 private:
  Result<duck::Rows> run(const std::string& sql) { return file_->run(sql); }

  Result<void> tables() {
    const auto lock = file_->alone();
    return run("BEGIN; CREATE SCHEMA IF NOT EXISTS " + sql::quoted(table_.schema))
        .and_then([&](const duck::Rows&) { return table(); })
        .and_then([&] { return run(progress_.create() + "COMMIT"); })
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
      return run(weir::format("CREATE TABLE {} ({});", name_, sql::column_definitions(columns_)) +
                 sql::comments(name_, columns_))
          .transform([](const duck::Rows&) {});
    }
    std::vector<sql::TableColumn> there;
    for (const duck::Row& row : *found)
      there.push_back({row[0].value_or(""), row[1].value_or(""), row[2] == "true", row[3] == "true"});
    auto difference = sql::compare(name_, columns_, there);
    if (add_columns_ && !difference.missing.empty()) {
      if (auto added = run(sql::add_columns(name_, difference.missing)); !added) return std::unexpected(added.error());
      context_.tell(weir::format("table {}: added {}", name_, sql::column_names(difference.missing)));
      there.append_range(difference.missing);
      difference = sql::compare(name_, columns_, there);
    }
    if (difference.words.empty()) return {};
    return std::unexpected(difference.error(weir::format("{} in {}", name_, path_)));
  }

  template <typename Use>
  auto with_file(Use use) -> decltype(use(std::declval<duck::File&>())) {
    if (file_) return use(*file_);
    std::error_code problem;
    if (!std::filesystem::exists(path_, problem)) {
      if (problem)
        return fail(Error::Kind::refused, weir::format("can't open {}: {}", path_, problem.message()), "path");
      return {};
    }
    auto file = duck::File::open(path_, memory_);
    if (file) return use(*file);
    // Who has it open can tell, and nobody else.
    if (file.error().kind == Error::Kind::unreachable) file.error().kind = Error::Kind::held;
    return std::unexpected(file.error());
  }

  Result<std::vector<Partition>> transact(const sql::Handover& handed, std::span<const LaneCommit> lanes,
                                          Committed& out);
  void finish(std::span<const LaneCommit> lanes, const Committed& out);
  Result<void> append(const Encoded& rows, RejectedRowQuota& quota, Committed& out);

  Context& context_;
  std::string path_;
  std::uint64_t memory_;
  sql::Naming naming_;
  sql::TableName table_;
  bool add_columns_;
  RejectedRowQuota quota_;
  duck::ProgressTable progress_;
  std::vector<sql::TableColumn> columns_;
  std::vector<std::string> names_;
  std::string name_;  // of the table, quoted
  std::mutex mutex_;  // of the file's connection, over which others acquire
  std::optional<duck::File> file_;
  std::map<Partition, Progress> acquired_;
  Timestamp expired_ = no_time;  // steady time at which old dead letters were deleted last
  sql::Handover handed_;
};

Result<Committed> DuckDb::commit(std::span<const LaneCommit> all) {
  auto handed = handed_.take();
  const std::scoped_lock guard{mutex_};
  if (!file_) return fail(Error::Kind::unreachable, path_ + " is not open");
  const auto lock = file_->alone();
  std::vector<LaneCommit> lanes{all.begin(), all.end()};
  std::vector<Partition> refused;
  for (const LaneCommit& lane : lanes) {
    if (!acquired_.contains(lane.partition)) refused.push_back(lane.partition);
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
      finish(lanes, out);
      out.refused = std::move(refused);
      return out;
    }
    for (const LaneCommit& lane : lanes) {
      if (std::ranges::contains(*moved, lane.partition)) continue;
      refused.push_back(lane.partition);
      acquired_.erase(lane.partition);
    }
  }
}

void DuckDb::finish(std::span<const LaneCommit> lanes, const Committed& out) {
  for (const auto& [partition, next] : lanes) acquired_[partition] = next;
  context_.count(context_.counter("transactions"), 1);
  context_.count(context_.counter("dead_letters_over_limit"), out.letters_left_out);
}

/// One transaction, committed if every lane stood where it was left, rolled back otherwise. Answers the lanes that did.
Result<std::vector<Partition>> DuckDb::transact(const sql::Handover& handed, std::span<const LaneCommit> lanes,
                                                Committed& out) {
  if (auto begun = run("BEGIN"); !begun) return std::unexpected(begun.error());
  RejectedRowQuota quota = quota_;
  for (const Encoded* part : handed.rows) {
    if (auto done = append(*part, quota, out); !done) return std::unexpected(done.error());
  }
  if (const Timestamp now = context_.clock().steady(); expired_ == no_time || now - expired_ >= 60 * minute) {
    expired_ = now;
    if (auto gone = progress_.expire(*file_, context_.dead_letter_bounds().retention); !gone)
      return std::unexpected(gone.error());
  }
  std::vector<DeadLetter> letters;
  std::ranges::copy_if(handed.dead, std::back_inserter(letters), [&](const auto& one) { return quota.takes(one); });
  if (auto kept = progress_.keep(*file_, letters); !kept) return std::unexpected(kept.error());
  out.letters_left_out += handed.dead.size() - letters.size();
  std::vector<Partition> moved;
  for (const auto& [partition, next] : lanes) {
    const auto done = progress_.advance(*file_, {partition, next}, acquired_.at(partition));
    if (!done) return std::unexpected(done.error());
    if (*done) moved.push_back(partition);
  }
  const bool all = moved.size() == lanes.size();
  auto ended = run(all ? "COMMIT" : "ROLLBACK");
  if (ended && all) quota_ = std::move(quota);
  return ended.transform([&](const duck::Rows&) { return moved; });
}

Result<void> DuckDb::append(const Encoded& rows, RejectedRowQuota& quota, Committed& out) {
  const Batch& batch = *rows.batch;
  std::vector<bool> skip;
  std::vector<DeadLetter> letters;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    Reason why = refusal::objection(batch, row);
    if (why.empty()) continue;
    skip.resize(batch.rows);
    skip[row] = true;
    if (auto letter = dead_letter_of(rows, row, context_.node(), why); quota.takes(letter))
      letters.push_back(std::move(letter));
    else
      ++out.letters_left_out;
    out.rejected.push_back({rows.batch, row, std::move(why), true});
  }
  if (auto kept = progress_.keep(*file_, letters); !kept) return kept;
  return file_->append(table_.schema, table_.name, names_, batch, skip);
}

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  if (auto table = sql::parse_table(settings.text("table")); !table)
    out.push_back({Error::Kind::invalid, table.error().message, "table"});
  if (settings.text("path").empty()) out.push_back({Error::Kind::invalid, "a file needs a name", "path"});
  out.append_range(sql::naming_problems(settings));
  return out;
}

/// The file of a sink that no worker has open.
Result<duck::File> kept_file(const Settings& settings) {
  return duck::File::open(settings.text("path"), settings.size("memory"));
}

Result<duck::KeptTable> kept_table(const Settings& settings) {
  const sql::TableName table = table_of(settings);
  // What the table has of them tells its rows apart: those of events have a tick, those of samples a field.
  std::vector<std::string> identity{settings.text("time_column"), "tick", settings.text("key_column"), "field"};
  if (settings.has("columns")) identity = {identity[0], identity[2]};
  return kept_file(settings).transform(
      [&](duck::File file) { return duck::KeptTable{std::move(file), table.schema, table.name, std::move(identity)}; });
}

const KeptRows kept_rows{
    .save =
        [](const Settings& settings, const std::string& path) {
          return kept_table(settings).and_then([&](duck::KeptTable table) { return table.save(path); });
        },
    .compare =
        [](const Settings& settings, const std::string& expected, std::size_t most) {
          return kept_table(settings).and_then([&](duck::KeptTable table) { return table.compare(expected, most); });
        },
    .dead_letters =
        [](const Settings& settings) {
          return kept_file(settings)
              .and_then([&](duck::File file) {
                return file.run(weir::format("SELECT count(*)::VARCHAR FROM {}.{}",
                                             sql::quoted(table_of(settings).schema), sql::dead_letters_table));
              })
              .transform(
                  [](const duck::Rows& rows) { return static_cast<std::uint64_t>(sql::number(rows.at(0).at(0))); });
        },
    .saved_as = {".parquet", ".csv", ".jsonl"},
    .compared_with = {".parquet", ".csv", ".jsonl", ".duckdb"},
};

const Spec spec =
    Spec::sink("writes rows to a DuckDB file, exactly once, with no server")
        .details(
            "Rows and progress commit in one transaction. One process at a time may hold the file; several sinks of "
            "one process may write to it, each to a table of its own. Times are stored in "
            "UTC as whole microseconds "
            "(cut off, towards the past). The table is created if it is absent, and checked if it is not. Any client of "
            "DuckDB (of 2.0 or later) reads the file when no weir holds it; to see rows without one, print them: -s "
            "NODE.sink=stdout -s NODE.path=null -s NODE.table=null")
        .field("path", kind::text(), "the file; made if it is not there")
        .field("table", kind::text(), "\"table\" or \"schema.table\"", "rows")
        .optional(
            "columns", kind::columns(),
            "columns of the rows, and how each is completed; without them the input's columns are written as they are")
        .field("key_column", kind::text(), "name of the column that holds the key", "key")
        .field("time_column", kind::text(), "name of the column that holds the rows' time", "time")
        .field("schema", sql::schema_kind(), sql::schema_doc, "check")
        .field("memory", kind::size(), "the most that DuckDB may use", "256MiB")
        .between(double(16u << 20), 1e12)
        .counter("transactions", "transactions that were committed")
        .counter("dead_letters_over_limit",
                 "dead letters of rejected rows that were not kept, as \"limits\" bound them")
        .check(problems)
        .keeps_rows(kept_rows)
        .claims([](const Settings& settings) {
          return Claims{.transactional = true,
                        .target = weir::format("{} {}", settings.text("path"), settings.text("table")),
                        .exclusive = true,
                        .because = "rows and progress commit in one transaction"};
        })
        .example(
            R"({ "id": "db", "sink": "duckdb", "from": "rows", "path": "fleet.duckdb", "columns": { "speed": {} } })");
}  // namespace

WEIR_OPERATOR(sinks, duckdb, DuckDb, spec)
