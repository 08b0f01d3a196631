#include "faults/harness/pasts.hpp"

#include <algorithm>
#include <sstream>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

constexpr Duration longest = 60 * second;

}  // namespace

std::vector<Kept> all_kept(const Stage& stage) {
  std::vector<Kept> out;
  for (const auto* database : stage.databases()) {
    std::istringstream text{database->ask(weir::format(
        "SELECT partition, node, position, consumed, coalesce(substring(snapshot, '\\.(\\d+)-'), '0') FROM "
        "weir_progress WHERE pipeline = '{}' ORDER BY partition, node",
        pipeline_name))};
    for (Kept one; text >> one.partition >> one.sink >> one.position >> one.consumed >> one.state;) out.push_back(one);
  }
  return out;
}

void kill_all(Stage& stage) {
  for (auto& worker : stage.workers) stage.kill(*worker);
  const Timestamp until = system_clock().steady() + longest;
  for (const auto* database : stage.databases()) {
    while (database->ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'weir/%'") != "0") {
      if (system_clock().steady() > until) throw Stuck{"the sessions of dead workers do not end"};
      pause(10 * millisecond);
    }
  }
}

void start_all(Stage& stage) {
  for (auto& worker : stage.workers) stage.start(*worker);
}

std::size_t said(const Stage& stage, const std::string& text) {
  std::size_t out = 0;
  for (const auto& worker : stage.workers) out += worker->said(text);
  return out;
}

void wait_for_refusal(const Stage& stage, const std::vector<Kept>& kept, const std::string& text, std::size_t before) {
  const Timestamp until = system_clock().steady() + longest;
  while (said(stage, text) == before) {
    const auto now = all_kept(stage);
    for (const Kept& one : now) {
      const bool moved = std::ranges::any_of(kept, [&](const Kept& was) {
        return was.partition == one.partition && was.sink == one.sink && was.position != one.position;
      });
      if (!moved) continue;
      throw WentOn{weir::format("partition {} went on to {} where a worker should have said \"{}\"", one.partition,
                                one.position, text)};
    }
    if (system_clock().steady() > until) throw Stuck{"no worker says \"" + text + "\""};
    pause(50 * millisecond);
  }
}

}  // namespace weir::faults
