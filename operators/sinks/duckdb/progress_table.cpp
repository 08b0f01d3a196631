#include "sinks/duckdb/progress_table.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>
#include <weir/utf8.hpp>

#include "clients/table.hpp"

namespace weir::duck {
namespace {

using sql::number;

constexpr std::size_t statement_bytes = 256u << 10;  // about; a statement a letter would take a millisecond each

std::string number(Timestamp t) { return t == no_time ? "NULL" : std::to_string(t); }

}  // namespace

ProgressTable::ProgressTable(std::string schema, std::string pipeline, std::string node, std::string target)
    : schema_{std::move(schema)},
      pipeline_{std::move(pipeline)},
      node_{std::move(node)},
      target_{std::move(target)},
      mine_{weir::format("pipeline = {} AND node = {}", sql::literal(pipeline_), sql::literal(node_))} {}

std::string ProgressTable::place(std::string_view table) const {
  return weir::format("{}.{}", sql::quoted(schema_), sql::quoted(table));
}

std::string ProgressTable::create() const {
  return weir::format(
      "CREATE TABLE IF NOT EXISTS {0} (pipeline VARCHAR, node VARCHAR, partition INTEGER, position BIGINT, arrival "
      "BIGINT, "
      "snapshot VARCHAR DEFAULT '', fingerprint VARCHAR DEFAULT '', stream VARCHAR DEFAULT '', stream_created "
      "BIGINT, stamp BIGINT, consumed BIGINT DEFAULT 0, sinks VARCHAR DEFAULT '', target VARCHAR DEFAULT '', resets INTEGER DEFAULT 0, "
      "latest_tick BIGINT, numbering BIGINT DEFAULT 0, emitted BIGINT DEFAULT 0, updated BIGINT DEFAULT epoch_ns(now()));"
      "CREATE TABLE IF NOT EXISTS {1} (pipeline VARCHAR, node VARCHAR, partition INTEGER, position BIGINT, ordinal "
      "BIGINT, \"row\" BIGINT, arrival_ns BIGINT, reason VARCHAR, detail VARCHAR, subject VARCHAR, payload BLOB, written BIGINT DEFAULT epoch_ns(now()));"
      "ALTER TABLE {0} ADD COLUMN IF NOT EXISTS emitted BIGINT DEFAULT 0;"
      "ALTER TABLE {0} ADD COLUMN IF NOT EXISTS latest_tick BIGINT;"
      "ALTER TABLE {0} ADD COLUMN IF NOT EXISTS numbering BIGINT DEFAULT 0;"
      "ALTER TABLE {1} ADD COLUMN IF NOT EXISTS \"row\" BIGINT;"
      "ALTER TABLE {1} ADD COLUMN IF NOT EXISTS written BIGINT DEFAULT epoch_ns(now());"
      "ALTER TABLE {1} ADD COLUMN IF NOT EXISTS detail VARCHAR;",
      place(sql::progress_table), place(sql::dead_letters_table));
}

Result<bool> ProgressTable::exists(File& file) const {
  return file
      .run(weir::format("SELECT table_name FROM duckdb_tables() WHERE schema_name = {} AND table_name = {}",
                        sql::literal(schema_), sql::literal(sql::progress_table)))
      .transform([](const Rows& rows) { return !rows.empty(); });
}

Result<std::vector<ProgressLine>> ProgressTable::lines(File& file) const {
  const auto there = exists(file);
  if (!there) return std::unexpected(there.error());
  if (!*there) return std::vector<ProgressLine>{};
  return read(file, "(position > 0 OR resets = 0)");
}

Result<std::vector<ProgressLine>> ProgressTable::read(File& file, std::string_view which) const {
  const auto rows = file.run(weir::format(
      "SELECT partition::VARCHAR, position::VARCHAR, arrival::VARCHAR, snapshot, fingerprint, stream, "
      "stream_created::VARCHAR, updated::VARCHAR, stamp::VARCHAR, consumed::VARCHAR, "
      "sinks, resets::VARCHAR, emitted::VARCHAR, latest_tick::VARCHAR, numbering::VARCHAR FROM {} WHERE {} AND {} ORDER BY partition",
      place(sql::progress_table), mine_, which));
  if (!rows) return std::unexpected(rows.error());
  std::vector<ProgressLine> out;
  for (const Row& row : *rows) {
    ProgressLine& line = out.emplace_back();
    line.partition = static_cast<Partition>(number(row[0]));
    line.progress = {.place = {.position = static_cast<Position>(number(row[1])),
                               .arrival = number(row[2], no_time),
                               .stamp = number(row[8], no_time),
                               .consumed = static_cast<std::uint64_t>(number(row[9])),
                               .emitted = static_cast<std::uint64_t>(number(row[12])),
                               .latest_tick = number(row[13], no_time)},
                     .snapshot = row[3].value_or(""),
                     .fingerprint = row[4].value_or(""),
                     .stream = {row[5].value_or(""), number(row[6], no_time)},
                     .sinks = row[10].value_or(""),
                     .resets = static_cast<std::uint32_t>(number(row[11])),
                     .numbering = static_cast<std::uint32_t>(number(row[14]))};
    line.updated = number(row[7], no_time);
  }
  return out;
}

Result<Progress> ProgressTable::acquire(File& file, Partition partition) const {
  const auto made = file.run(
      weir::format("INSERT INTO {0} (pipeline, node, partition, position) SELECT {1}, {2}, {3}, 0 WHERE NOT EXISTS "
                   "(SELECT 1 FROM {0} WHERE {4} AND partition = {3})",
                   place(sql::progress_table), sql::literal(pipeline_), sql::literal(node_), partition, mine_));
  if (!made) return std::unexpected(made.error());
  const auto told = file.run(weir::format("UPDATE {} SET target = {} WHERE {} AND partition = {} AND target <> {}",
                                          place(sql::progress_table), sql::literal(target_), mine_, partition,
                                          sql::literal(target_)));
  if (!told) return std::unexpected(told.error());
  return read(file, weir::format("partition = {}", partition)).transform([](const std::vector<ProgressLine>& there) {
    return there.front().progress;
  });
}

Result<std::vector<Peer>> ProgressTable::peers(File& file, Partition partition) const {
  return file
      .run(weir::format("SELECT pipeline, node, (target = {2})::VARCHAR, stream FROM {0} WHERE partition = {1} AND "
                        "position > 0 AND NOT ({3}) AND (pipeline = {4} OR target = {2}) ORDER BY pipeline, node",
                        place(sql::progress_table), partition, sql::literal(target_), mine_, sql::literal(pipeline_)))
      .transform([](const Rows& rows) {
        std::vector<Peer> out;
        for (const Row& row : rows)
          out.push_back({row[0].value_or(""), row[1].value_or(""), row[2] == "true", row[3].value_or("")});
        return out;
      });
}

Result<bool> ProgressTable::advance(File& file, const LaneCommit& lane, const Progress& from) const {
  const auto& [partition, next] = lane;
  return file
      .run(weir::format(
          "UPDATE {} SET position = {}, arrival = coalesce({}, arrival), snapshot = {}, fingerprint = {}, stream = {}, "
          "stream_created = {}, stamp = {}, consumed = {}, sinks = {}, resets = greatest(resets, {}), "
          "latest_tick = greatest(latest_tick, {}), numbering = {}, emitted = {}, updated = epoch_ns(now()) WHERE {} AND partition = {} AND position = {} AND emitted = {} RETURNING partition::VARCHAR",
          place(sql::progress_table), next.place.position, number(next.place.arrival), sql::literal(next.snapshot),
          sql::literal(next.fingerprint), sql::literal(next.stream.stream), number(next.stream.created),
          number(next.place.stamp), next.place.consumed, sql::literal(next.sinks), next.resets,
          number(next.place.latest_tick), next.numbering, next.place.emitted, mine_, partition, from.place.position,
          from.place.emitted))
      .transform([](const Rows& rows) { return !rows.empty(); });
}

Result<std::size_t> ProgressTable::forget(File& file, std::optional<Partition> partition) const {
  const auto there = exists(file);
  if (!there) return std::unexpected(there.error());
  if (!*there) return 0;
  const std::string which = partition ? weir::format(" AND partition = {}", *partition) : "";
  return file
      .run(weir::format(
          "UPDATE {} SET position = 0, arrival = NULL, snapshot = '', fingerprint = '', stream = '', "
          "stream_created = NULL, stamp = NULL, consumed = 0, latest_tick = NULL, numbering = 0, emitted = 0, sinks = '', resets = resets + 1, "
          "updated = epoch_ns(now()) WHERE {} AND (position > 0 OR resets = 0){} RETURNING partition::VARCHAR",
          place(sql::progress_table), mine_, which))
      .transform([](const Rows& rows) { return rows.size(); });
}

std::string ProgressTable::values_of(const Sink::DeadLetter& letter) const {
  std::string hex;
  for (const char c : letter.payload) hex += weir::format("{:02x}", static_cast<unsigned char>(c));
  return weir::format(
      "({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, unhex('{}'))", sql::literal(pipeline_), sql::literal(letter.node),
      letter.partition, letter.position, letter.row ? "NULL" : std::to_string(letter.ordinal),
      letter.row ? std::to_string(*letter.row) : "NULL", number(letter.arrival),
      sql::literal(storable_utf8(letter.reason.code)), sql::literal(storable_utf8(letter.reason.detail)),
      sql::literal(storable_utf8(letter.subject)), hex);
}

Result<void> ProgressTable::expire(File& file, Duration retention) const {
  return file
      .run(weir::format("DELETE FROM {} WHERE pipeline = {} AND written < epoch_ns(now()) - {}",
                        place(sql::dead_letters_table), sql::literal(pipeline_), retention))
      .transform([](const Rows&) {});
}

Result<void> ProgressTable::keep(File& file, std::span<const Sink::DeadLetter> letters) const {
  const std::string head = weir::format(
      "INSERT INTO {} (pipeline, node, partition, position, ordinal, \"row\", arrival_ns, reason, detail, subject, payload) "
      "VALUES ",
      place(sql::dead_letters_table));
  for (std::size_t next = 0; next < letters.size();) {
    std::string sql = head + values_of(letters[next++]);
    while (next < letters.size() && sql.size() < statement_bytes) sql += ", " + values_of(letters[next++]);
    if (auto kept = file.run(sql); !kept) return std::unexpected(kept.error());
  }
  return {};
}

}  // namespace weir::duck
