#include "sinks/timescale/retention.hpp"

#include <utility>

#include <weir/format.hpp>

#include "clients/table.hpp"

namespace weir::postgres {
namespace {

constexpr Duration pass_every = 60 * minute;
constexpr Duration pause = minute;
constexpr Duration longest = minute;  // for the files of one chunk

}  // namespace

Retention::Retention(std::string url, std::string application, std::string table, std::string expired_chunks,
                     Context& context)
    : url_{std::move(url)},
      application_{std::move(application)},
      table_{std::move(table)},
      expired_chunks_{std::move(expired_chunks)},
      context_{context},
      thread_{[this](std::stop_token stop) { run(std::move(stop)); }} {}

void Retention::run(std::stop_token stop) {
  for (bool failed = false; !stop.stop_requested();) {
    const auto done = sweep(stop);
    if (stop.stop_requested()) return;
    if (!done && !failed) context_.warn(weir::format("retention of {}: {}", table_, done.error().message));
    failed = !done;
    if (!context_.clock().wait(failed ? pause : pass_every, stop)) return;
  }
}

/// Answers the first error; what could be dropped is dropped all the same.
Result<void> Retention::sweep(const std::stop_token& stop) const {
  auto connection = Connection::open({url_, application_, longest, stop});
  if (!connection) return std::unexpected(connection.error());
  const auto alone = connection->run(
      weir::format("SET lock_timeout = '1s'; SELECT pg_try_advisory_lock(hashtext('weir retention'), hashtext({}))",
                   sql::literal(table_)));
  if (!alone) return std::unexpected(alone.error());
  if (alone->front()[0] != "t") return {};
  const auto expired = connection->run(expired_chunks_);
  if (!expired) return std::unexpected(expired.error());
  Result<void> all;
  for (const Row& row : *expired) {
    if (stop.stop_requested() || !connection->alive()) break;
    const auto dropped = connection->run(row[0].value_or(""));
    if (!dropped && all) all = std::unexpected(dropped.error());
  }
  return all;
}

}  // namespace weir::postgres
