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

Retention::Retention(std::string url, std::string application, std::string table, std::vector<std::string> expired,
                     Context& context)
    : url_{std::move(url)},
      application_{std::move(application)},
      table_{std::move(table)},
      expired_{std::move(expired)},
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
  Result<void> all;
  for (const std::string& query : expired_) {
    const auto expired = connection->run(query);
    if (!expired) return std::unexpected(expired.error());
    for (const Row& row : *expired) {
      if (stop.stop_requested() || !connection->alive()) return all;
      const auto deleted = connection->run(row[0].value_or(""));
      if (!deleted && all) all = std::unexpected(deleted.error());
    }
  }
  return all;
}

}  // namespace weir::postgres
