#include "sinks/timescale/progress_table.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <ranges>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "clients/table.hpp"

namespace weir::postgres {
namespace {

using sql::number;

std::int64_t random_number() {
  std::random_device device;
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(device()) << 31 ^ device()) & INT64_MAX);
}

std::optional<std::string> instant(Timestamp t) {
  return t == no_time ? std::nullopt : std::optional{std::to_string(t)};
}

/// Reads progress_columns, the first of a row.
Progress progress_of(const Row& row) {
  return {.place = {.position = static_cast<Position>(number(row[0])),
                    .arrival = number(row[1], no_time),
                    .stamp = number(row[6], no_time),
                    .consumed = static_cast<std::uint64_t>(number(row[7])),
                    .emitted = static_cast<std::uint64_t>(number(row[10])),
                    .latest_tick = number(row[11], no_time)},
          .snapshot = row[2].value_or(""),
          .fingerprint = row[3].value_or(""),
          .stream = {row[4].value_or(""), number(row[5], no_time)},
          .sinks = row[8].value_or(""),
          .resets = static_cast<std::uint32_t>(number(row[9])),
          .numbering = static_cast<std::uint32_t>(number(row[12]))};
}

/// Whether a lease runs. One that ends later than a lease can was given by a clock that has been set back since: its
/// owner, if there still is one, renews it by the new time within a third of a lease.
constexpr std::string_view runs = "lease_until BETWEEN clock_timestamp() AND clock_timestamp() + lease";

constexpr std::string_view progress_columns =
    "position, arrival, snapshot, fingerprint, stream, stream_created, stamp, consumed, sinks, resets, emitted, "
    "latest_tick, numbering";
constexpr std::size_t behind_progress = 13;  // the first column that may follow them

}  // namespace

ProgressTable::ProgressTable(std::string pipeline, std::string node, std::string target, std::string worker,
                             Duration lease)
    : pipeline_{std::move(pipeline)},
      node_{std::move(node)},
      target_{std::move(target)},
      owner_{worker.empty() ? weir::format("weir-{:016x}", random_number()) : std::move(worker)},
      instance_{weir::format("{:08x}", static_cast<std::uint32_t>(random_number()))},
      lease_{lease} {}

std::string ProgressTable::table() const {
  const std::scoped_lock lock{mutex_};
  return table_;
}

std::string ProgressTable::workers() const {
  const std::scoped_lock lock{mutex_};
  return workers_;
}

Result<Progress> ProgressTable::acquire(Connection& connection, Partition partition) {
  const std::string number_text = std::to_string(partition);
  const std::int64_t fence = random_number();
  const auto inserted = connection.query(
      weir::format("INSERT INTO {} (pipeline, node, partition) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", table()),
      {pipeline_, node_, number_text});
  if (!inserted) return std::unexpected(inserted.error());
  const auto former = connection.query(
      weir::format("SELECT instance FROM {} WHERE pipeline = $1 AND node = $2 AND partition = $3 AND instance <> $4",
                   table()),
      {pipeline_, node_, number_text, instance_});
  if (!former) return std::unexpected(former.error());
  const auto note_former = [&](bool theirs) {
    const std::scoped_lock lock{mutex_};
    for (const Row& row : *former) theirs ? (void)former_.erase(*row[0]) : (void)former_.insert(*row[0]);
  };
  note_former(false);  // before the answer, which may be lost on its way
  {
    const std::scoped_lock lock{mutex_};
    const auto [ownership, is_new] = owned_.try_emplace(partition);
    if (is_new) ownership->second.held = false;
    ownership->second.next = fence;
  }
  const auto rows = connection.query(
      weir::format("UPDATE {0} SET since = CASE WHEN owner = $4 AND {1} THEN since ELSE clock_timestamp() END, "
                   "owner = $4, instance = $8, fence = $5, target = $7, lease = $6 * interval '1 microsecond', "
                   "lease_until = clock_timestamp() + $6 * interval '1 microsecond' "
                   "WHERE pipeline = $1 AND node = $2 AND partition = $3 AND (owner IS NULL OR owner = $4 OR "
                   "({1}) IS NOT TRUE) RETURNING {2}",
                   table(), runs, progress_columns),
      {pipeline_, node_, number_text, owner_, std::to_string(fence), std::to_string(lease_ / microsecond), target_,
       instance_});
  if (!rows) return std::unexpected(rows.error());
  if (rows->empty()) {
    note_former(true);
    lose(partition);
    return std::unexpected(held_by_another(connection, partition));
  }
  Progress progress = progress_of(rows->front());
  const std::scoped_lock lock{mutex_};
  owned_[partition] = {fence, 0, progress.place.position, progress.place.emitted, true};
  return progress;
}

Result<void> ProgressTable::end_former(Connection& connection) {
  for (;;) {
    std::string instance;
    {
      const std::scoped_lock lock{mutex_};
      if (former_.empty()) return {};
      instance = *former_.begin();
    }
    // Another role's can't be ended, and need not be for this worker to go on.
    const auto ended = connection.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND usename = "
        "current_user AND xact_start IS NOT NULL",
        {session_of(instance)});
    if (!ended && ended.error().kind == Error::Kind::unreachable) return std::unexpected(ended.error());
    {
      const std::scoped_lock lock{mutex_};
      former_.erase(instance);
    }
    if (!ended) return std::unexpected(ended.error());
  }
}

std::string ProgressTable::session() const { return session_of(instance_); }

std::string ProgressTable::session_of(std::string_view instance) const {
  constexpr std::size_t longest = 63;  // of a name in PostgreSQL, which cuts a longer one
  const std::string tail = weir::format("/{}", instance);
  return weir::format("weir/{}/{}", pipeline_, node_).substr(0, longest - tail.size()) + tail;
}

Result<void> ProgressTable::take_name(Connection& connection) const {
  // A peer that is gone without a word must not keep the name for the two hours of TCP's default.
  const auto seconds = std::max<Duration>(1, lease_ / (4 * second));
  const auto taken = connection.run(
      weir::format("SET tcp_keepalives_idle = {0}; SET tcp_keepalives_interval = {0}; SET tcp_keepalives_count = 2; "
                   "SELECT pg_try_advisory_lock(hashtextextended({1}, 0))",
                   seconds, sql::literal(weir::format("weir/{}/{}/{}", pipeline_, node_, owner_))));
  if (!taken) return std::unexpected(taken.error());
  if (taken->front()[0] == "t") return {};
  return fail(Error::Kind::held, weir::format("a worker {} is connected already; give this one another name by "
                                              "--worker, or end that one",
                                              weir::quoted(owner_)));
}

Result<std::vector<Peer>> ProgressTable::peers(Connection& connection, Partition partition) const {
  return connection
      .query(
          weir::format("SELECT pipeline, node, target = $4, stream FROM {} WHERE partition = $3 AND position > 0 AND "
                       "((pipeline = $1 AND node <> $2) OR (pipeline <> $1 AND target = $4)) "
                       "ORDER BY pipeline, node",
                       table()),
          {pipeline_, node_, std::to_string(partition), target_})
      .transform([](const Rows& rows) {
        std::vector<Peer> out;
        for (const Row& row : rows)
          out.push_back({row[0].value_or(""), row[1].value_or(""), row[2] == "t", row[3].value_or("")});
        return out;
      });
}

Error ProgressTable::held_by_another(Connection& connection, Partition partition) const {
  const auto rows =
      connection.query(weir::format("SELECT owner, ceil(extract(epoch FROM lease_until - clock_timestamp())) FROM {} "
                                    "WHERE pipeline = $1 AND node = $2 AND partition = $3",
                                    table()),
                       {pipeline_, node_, std::to_string(partition)});
  if (!rows) return rows.error();
  const bool known = !rows->empty();
  return {Error::Kind::held, weir::format("partition {} belongs to {}; its lease runs for another {} s", partition,
                                          known ? rows->front()[0].value_or("another worker") : "another worker",
                                          known ? rows->front()[1].value_or("0") : "0")};
}

Result<std::vector<Partition>> ProgressTable::renew(Connection& connection) {
  std::vector<std::optional<std::string>> partitions, fences;
  std::map<Partition, std::int64_t> asked;
  std::string sql;
  {
    const std::scoped_lock lock{mutex_};
    for (const auto& [partition, ownership] : owned_) {
      if (ownership.fence != 0) asked[partition] = ownership.fence;
      for (const std::int64_t fence : {ownership.fence, ownership.next}) {
        if (fence == 0) continue;
        partitions.push_back(std::to_string(partition));
        fences.push_back(std::to_string(fence));
      }
    }
    if (partitions.empty()) return std::vector<Partition>{};
    sql = weir::format(
        "UPDATE {} p SET lease_until = clock_timestamp() + p.lease "
        "FROM unnest({}::integer[], {}::bigint[]) AS n (partition, fence) WHERE p.pipeline = {} AND p.node = {} AND "
        "p.partition = n.partition AND p.fence = n.fence AND p.owner IS NOT NULL RETURNING p.partition",
        table_, quote_array(partitions), quote_array(fences), sql::literal(pipeline_), sql::literal(node_));
  }
  const auto rows = connection.run(sql);
  if (!rows) return std::unexpected(rows.error());
  for (const Row& row : *rows) asked.erase(static_cast<Partition>(number(row[0])));
  // One that was given back meanwhile, or acquired again, also without an answer yet, is not lost.
  const std::scoped_lock lock{mutex_};
  std::erase_if(asked, [&](const auto& one) {
    const auto ownership = owned_.find(one.first);
    return ownership == owned_.end() || ownership->second.fence != one.second || ownership->second.next != 0;
  });
  std::vector<Partition> lost{std::from_range, std::views::keys(asked)};
  for (const Partition partition : lost) owned_[partition] = {.held = false};
  return lost;
}

Result<void> ProgressTable::release(Connection& connection, Partition partition) {
  std::int64_t fence = 0;
  {
    const std::scoped_lock lock{mutex_};
    const auto ownership = owned_.find(partition);
    if (ownership == owned_.end()) return {};
    fence = ownership->second.fence;
    ownership->second = {.held = false};
  }
  return connection
      .query(
          weir::format(
              "UPDATE {} SET owner = NULL, since = NULL, lease_until = NULL WHERE pipeline = $1 AND node = $2 AND partition = $3 "
              "AND fence = $4",
              table()),
          {pipeline_, node_, std::to_string(partition), std::to_string(fence)})
      .transform([](const Rows&) {});
}

Result<Members> ProgressTable::heartbeat(Connection& connection) const {
  // Written again only when a third of the lease has gone by, as asking is much more frequent; or when it runs for
  // longer than a lease can: the server's clock was set back, and who dies would be taken for present until it is there
  // again.
  const auto told = connection.query(
      weir::format(
          "INSERT INTO {} AS w (pipeline, node, name, lease_until, lease) "
          "VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 microsecond', $4 * interval '1 microsecond') "
          "ON CONFLICT (pipeline, node, name) DO UPDATE SET lease_until = excluded.lease_until, "
          "lease = excluded.lease, "
          "since = CASE WHEN w.lease_until BETWEEN clock_timestamp() AND excluded.lease_until THEN w.since "
          "ELSE excluded.since END "
          "WHERE w.lease_until NOT BETWEEN excluded.lease_until - $4 / 3 * interval '1 microsecond' "
          "AND excluded.lease_until",
          workers()),
      {pipeline_, node_, owner_, std::to_string(lease_ / microsecond)});
  if (!told) return std::unexpected(told.error());
  const auto others = connection.query(weir::format("SELECT name COLLATE \"C\" < $3 FROM {} "
                                                    "WHERE pipeline = $1 AND node = $2 AND name <> $3 AND {}",
                                                    workers(), runs),
                                       {pipeline_, node_, owner_});
  if (!others) return std::unexpected(others.error());
  const auto partitions =
      connection.query(weir::format("SELECT partition, coalesce(owner <> $3 AND {}, false), position, resets FROM {} "
                                    "WHERE pipeline = $1 AND node = $2 ORDER BY partition",
                                    runs, table()),
                       {pipeline_, node_, owner_});
  if (!partitions) return std::unexpected(partitions.error());
  Members members{.workers = 1 + others->size()};
  for (const Row& row : *others) members.rank += row[0] == "t";
  for (const Row& row : *partitions) {
    const auto partition = static_cast<Partition>(number(row[0]));
    const auto position = static_cast<Position>(number(row[2]));
    if (row[1] == "t") members.taken.push_back(partition);
    if (position != 0) members.committed.push_back({partition, position, static_cast<std::uint32_t>(number(row[3]))});
  }
  return members;
}

/// With those who died long ago.
Result<void> ProgressTable::leave(Connection& connection) const {
  return connection
      .query(weir::format("DELETE FROM {} WHERE pipeline = $1 AND node = $2 AND (name = $3 OR "
                          "lease_until < clock_timestamp() - interval '1 day')",
                          workers()),
             {pipeline_, node_, owner_})
      .transform([](const Rows&) {});
}

Result<std::vector<ProgressLine>> ProgressTable::lines(Connection& connection) const {
  const auto there = connection.query("SELECT to_regclass($1) IS NOT NULL", {table()});
  if (!there) return std::unexpected(there.error());
  if (there->front()[0] != "t") return std::vector<ProgressLine>{};
  const auto rows = connection.query(
      weir::format(
          "SELECT {}, partition, coalesce(owner, ''), "
          "CASE WHEN {} THEN (extract(epoch FROM lease_until - clock_timestamp()) * 1e9)::bigint ELSE 0 END, "
          "(extract(epoch FROM updated) * 1e9)::bigint, (extract(epoch FROM since) * 1e9)::bigint FROM {} WHERE pipeline = $1 AND node = $2 AND "
          "(position > 0 OR resets = 0 OR owner IS NOT NULL) ORDER BY partition",
          progress_columns, runs, table()),
      {pipeline_, node_});
  if (!rows) return std::unexpected(rows.error());
  std::vector<ProgressLine> lines;
  for (const Row& row : *rows) {
    lines.push_back({.partition = static_cast<Partition>(number(row[behind_progress])),
                     .progress = progress_of(row),
                     .owner = row[behind_progress + 1].value_or(""),
                     .since = number(row[behind_progress + 4], no_time),
                     .lease_left = number(row[behind_progress + 2]),
                     .updated = number(row[behind_progress + 3])});
  }
  return lines;
}

Result<std::size_t> ProgressTable::forget(Connection& connection, std::optional<Partition> partition) const {
  const auto there = lines(connection);
  if (!there) return std::unexpected(there.error());
  const auto wanted = [&](const ProgressLine& line) { return !partition || line.partition == *partition; };
  for (const ProgressLine& line : *there) {
    if (!wanted(line) || line.owner.empty() || line.lease_left <= 0) continue;
    Error held = held_by_another(connection, line.partition);
    held.message += "; stop that worker first, or wait that long if it is dead";
    return std::unexpected(std::move(held));
  }
  if (std::ranges::none_of(*there, wanted)) return 0;
  return connection
      .query(
          weir::format(
              "UPDATE {} SET position = 0, arrival = NULL, snapshot = '', fingerprint = '', stream = '', "
              "stream_created = NULL, stamp = NULL, consumed = 0, latest_tick = NULL, numbering = 0, emitted = 0, sinks = '', resets = resets + 1, fence = 0, "
              "updated = clock_timestamp() WHERE pipeline = $1 AND node = $2 AND (position > 0 OR resets = 0) AND "
              "($3::integer IS NULL OR partition = $3::integer) AND "
              "(owner IS NULL OR ({}) IS NOT TRUE) RETURNING partition",
              table(), runs),
          {pipeline_, node_, partition ? std::optional{std::to_string(*partition)} : std::nullopt})
      .transform([](const Rows& rows) { return rows.size(); });
}

bool ProgressTable::holds(Partition partition) const {
  const std::scoped_lock lock{mutex_};
  const auto ownership = owned_.find(partition);
  return ownership != owned_.end() && ownership->second.held;
}

std::string ProgressTable::advance(std::span<const LaneCommit> lanes) {
  std::array<std::vector<std::optional<std::string>>, 17> columns;
  const std::scoped_lock lock{mutex_};
  for (const auto& [partition, next] : lanes) {
    Ownership& ownership = owned_.at(partition);
    ownership.used = true;
    const std::array values{std::optional{std::to_string(partition)},
                            std::optional{std::to_string(ownership.fence)},
                            std::optional{std::to_string(ownership.position)},
                            std::optional{std::to_string(next.place.position)},
                            instant(next.place.arrival),
                            std::optional{next.snapshot},
                            std::optional{next.fingerprint},
                            std::optional{next.stream.stream},
                            instant(next.stream.created),
                            instant(next.place.stamp),
                            std::optional{std::to_string(next.place.consumed)},
                            std::optional{next.sinks},
                            std::optional{std::to_string(next.resets)},
                            instant(next.place.latest_tick),
                            std::optional{std::to_string(next.numbering)},
                            std::optional{std::to_string(ownership.emitted)},
                            std::optional{std::to_string(next.place.emitted)}};
    for (std::size_t c = 0; c < values.size(); ++c) columns[c].push_back(values[c]);
  }
  std::string sql = weir::format("EXECUTE weir_advance ({}, {}", sql::literal(pipeline_), sql::literal(node_));
  for (const auto& column : columns) sql += ", " + quote_array(column);
  return sql + ");";
}

void ProgressTable::advanced(std::span<const LaneCommit> lanes) {
  const std::scoped_lock lock{mutex_};
  for (const auto& [partition, next] : lanes) {
    if (const auto ownership = owned_.find(partition); ownership != owned_.end()) {
      ownership->second.position = next.place.position;
      ownership->second.emitted = next.place.emitted;
    }
  }
}

void ProgressTable::lose(Partition partition) {
  const std::scoped_lock lock{mutex_};
  owned_[partition] = {.held = false};
}

void ProgressTable::doubt() {
  const std::scoped_lock lock{mutex_};
  for (auto& [partition, ownership] : owned_) {
    if (ownership.used) ownership.held = false;
  }
}

}  // namespace weir::postgres
