#include "faults/harness/watch.hpp"

#include <algorithm>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "faults/harness/stage.hpp"

namespace weir::faults {
namespace {

constexpr Duration every = 10 * millisecond;

}  // namespace

Watch::Watch(std::vector<std::string> urls, std::uint32_t partitions)
    : urls_{std::move(urls)}, partitions_{partitions}, thread_{[this](const std::stop_token& stop) { ask(stop); }} {}

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
  std::vector<std::optional<postgres::Connection>> connections(urls_.size());
  do {
    std::vector<std::uint64_t> least;
    for (std::size_t i = 0; i < urls_.size(); ++i) {
      const auto found = positions_in(urls_[i], connections[i], i == 0 ? sink_count : 1);
      if (i == 0) least = found;
      if (found.empty()) least.clear();
      for (std::size_t k = 0; k < least.size(); ++k) least[k] = std::min(least[k], found[k]);
    }
    take(std::move(least));
  } while (system_clock().wait(every, stop));
}

std::vector<std::uint64_t> Watch::positions_in(const std::string& url, std::optional<postgres::Connection>& connection,
                                               std::size_t sinks) const {
  if (!connection || !connection->alive()) {
    connection.reset();
    if (auto opened = postgres::Connection::open({url, "watch"})) connection = *std::move(opened);
  }
  const auto rows =
      connection ? connection->run(weir::format("SELECT partition, min(position) FROM weir_progress WHERE pipeline = "
                                                "'{}' GROUP BY partition HAVING count(*) = {}",
                                                pipeline_name, sinks))
                 : Result<postgres::Rows>{std::unexpected(Error{})};
  std::vector<std::uint64_t> out(rows ? partitions_ : 0);
  for (const auto& row : rows.value_or({})) {
    if (const std::size_t k = std::stoul(*row[0]); k < out.size()) out[k] = std::stoull(*row[1]);
  }
  return out;
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
