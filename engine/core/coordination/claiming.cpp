#include "core/coordination/claiming.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "core/coordination/sharing.hpp"
#include "core/observe/log.hpp"
#include "core/plan/keeping.hpp"

namespace weir {

std::vector<Partition> Claiming::met(const Crew& crew, const std::vector<Partition>& leaving) {
  const std::uint32_t partitions = claims_of(pipeline_.nodes[pipeline_.source()]).partitions;
  Holding held{.runs = lanes_.partitions(), .leaving = leaving, .broken = lanes_.broken()};
  held.shunned.assign_range(shunned_);
  std::erase_if(held.broken, [&](Partition partition) { return shunned_.contains(partition); });
  std::erase_if(held.runs, [&](Partition partition) {
    return std::ranges::contains(held.leaving, partition) || std::ranges::contains(held.broken, partition);
  });
  Share todo = share(crew, partitions, held);
  std::erase_if(at_, [&](const auto& entry) { return !std::ranges::contains(todo.claim, entry.first); });
  for (const Partition partition : held.shunned) {
    if (at_.contains(partition)) continue;
    shunned_.erase(partition);
    pauses_.erase(partition);
    lanes_.drop(partition);  // it is another's, or for another to try
  }
  for (const Partition partition : todo.claim) at_.try_emplace(partition, clock_.steady());
  wanted_ = todo.wanted;
  return std::move(todo.let_go);
}

Result<void> Claiming::all(const std::stop_token& drain, bool whole) {
  std::optional<Error> broken, unreachable;
  bool any_held = false;
  std::vector<std::pair<Partition, std::string>> silent_ones;
  for (auto it = at_.begin(); it != at_.end() && !drain.stop_requested();) {
    auto started = lanes_.start(it->first);
    const bool held = !started && started.error().kind == Error::Kind::held;
    const bool silent = !started && started.error().kind == Error::Kind::unreachable && !whole;
    if (held || silent) {
      if (held) log::info("partition {}: {}; waiting for it", it->first, started.error().message);
      any_held |= held;
      if (silent) {
        silent_ones.emplace_back(it->first, started.error().message);
        unreachable = std::move(started.error());
      }
      it->second = clock_.steady() + again_after;
      ++it;
      continue;
    }
    if (!started && (whole || started.error().kind == Error::Kind::invalid)) return started;
    if (started) {
      it = at_.erase(it);
      continue;
    }
    broken = started.error();
    lanes_.broke(it->first, std::move(started.error()));
    broke((it++)->first);
  }
  // One stream may be where nobody answers for hours; all of them are not.
  if (unreachable && !any_held && lanes_.partitions().empty()) return std::unexpected(*std::move(unreachable));
  for (const auto& [partition, why] : silent_ones) log::warn("partition {}: {}; trying again", partition, why);
  // Others may still let some go to this worker.
  const bool none_left = !waiting() && lanes_.partitions().empty() && !short_of_share();
  return broken && none_left ? Result<void>{std::unexpected(*broken)} : Result<void>{};
}

bool Claiming::is_due(Timestamp now) const {
  return std::ranges::any_of(at_, [&](const auto& entry) { return entry.second <= now; });
}

std::optional<std::string> Claiming::due(Timestamp now) {
  // The one that has waited longest: one that takes its time to fail must not keep the others from their turn.
  const auto it = std::ranges::min_element(at_, {}, [](const auto& entry) { return entry.second; });
  if (it == at_.end() || it->second > now) return {};
  const Timestamp began = clock_.steady();
  auto started = lanes_.start(it->first);
  const bool unreachable = !started && started.error().kind == Error::Kind::unreachable;
  const std::string trouble = unreachable ? started.error().message : "";
  if (unreachable || (!started && started.error().kind == Error::Kind::held)) {
    // What takes its time to fail must leave the commits of all other lanes most of it.
    const Timestamp failed = clock_.steady();
    if (unreachable && shunned_.contains(it->first)) {
      it->second = failed + pauses_.at(it->first);  // what it is broken by stands, and is told
      return {};
    }
    it->second = failed + again_after + std::min(4 * (failed - began), most_wait);
    return trouble;
  }
  const Partition partition = it->first;
  if (started) {
    shunned_.erase(partition);
    at_.erase(it);
  } else {
    lanes_.broke(partition, std::move(started.error()));
    broke(partition);
  }
  return trouble;
}

void Claiming::broke(Partition partition) {
  const auto [pause, first] = pauses_.try_emplace(partition, first_retry);
  // One that starts well, and breaks at the same message each time, is no better than one that can't start.
  if (!first) pause->second = lanes_.got_on(partition) ? first_retry : std::min(2 * pause->second, last_retry);
  shunned_.insert(partition);
  at_[partition] = clock_.steady() + pause->second;
}

}  // namespace weir
