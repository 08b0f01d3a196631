#include "faults/harness/watch.hpp"

#include <optional>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "clients/postgres.hpp"
#include "faults/harness/stage.hpp"

namespace weir::faults {
namespace {

constexpr Duration every = 10 * millisecond;

}  // namespace

Watch::Watch(std::string url, std::uint32_t partitions)
    : url_{std::move(url)}, partitions_{partitions}, thread_{[this](const std::stop_token& stop) { ask(stop); }} {}

std::vector<std::uint64_t> Watch::positions() const {
  const std::scoped_lock lock{mutex_};
  return positions_;
}

void Watch::begin(const std::string& kind, std::vector<std::uint64_t> ends) {
  const std::scoped_lock lock{mutex_};
  open_.push_back({kind, system_clock().steady(), std::move(ends)});
}

bool Watch::all_over(Duration patience) const {
  const Timestamp until = system_clock().steady() + patience;
  for (;;) {
    {
      const std::scoped_lock lock{mutex_};
      if (open_.empty()) return true;
    }
    if (system_clock().steady() > until) return false;
    pause(every);
  }
}

std::map<std::string, std::vector<double>> Watch::recoveries() const {
  const std::scoped_lock lock{mutex_};
  return recoveries_;
}

void Watch::ask(const std::stop_token& stop) {
  const std::string sql = weir::format(
      "SELECT partition, min(position) FROM weir_progress WHERE pipeline = '{}' GROUP BY partition HAVING count(*) = {}",
      pipeline_name, sink_count);
  std::optional<postgres::Connection> connection;
  do {
    if (!connection || !connection->alive()) {
      connection.reset();
      if (auto opened = postgres::Connection::open({url_, "watch"})) connection = *std::move(opened);
    }
    const auto rows = connection ? connection->run(sql) : Result<postgres::Rows>{std::unexpected(Error{})};
    std::vector<std::uint64_t> found(rows ? partitions_ : 0);
    if (rows) {
      for (const auto& row : *rows) {
        if (const std::size_t k = std::stoul(*row[0]); k < found.size()) found[k] = std::stoull(*row[1]);
      }
    }
    take(std::move(found));
  } while (system_clock().wait(every, stop));
}

void Watch::take(std::vector<std::uint64_t> positions) {
  const std::scoped_lock lock{mutex_};
  positions_ = std::move(positions);
  if (positions_.empty()) return;
  std::erase_if(open_, [&](const Open& fault) {
    for (std::size_t k = 0; k < positions_.size(); ++k) {
      if (positions_[k] <= fault.ends[k]) return false;
    }
    recoveries_[fault.kind].push_back(static_cast<double>(system_clock().steady() - fault.since) * 1e-9);
    return true;
  });
}

}  // namespace weir::faults
