#include "core/claiming.hpp"

#include <algorithm>
#include <utility>

#include "core/keeping.hpp"
#include "core/log.hpp"
#include "core/sharing.hpp"

namespace weir {

std::vector<Partition> Claiming::met(const Crew& crew, const std::vector<Partition>& fixed) {
  const std::uint32_t partitions = claims_of(pipeline_.nodes[pipeline_.source()]).partitions;
  std::vector<Partition> held = lanes_.partitions();
  std::erase_if(held, [&](Partition partition) { return std::ranges::contains(fixed, partition); });
  Share todo = share(crew, partitions, held, fixed);
  std::erase_if(at_, [&](const auto& entry) { return !std::ranges::contains(todo.claim, entry.first); });
  for (const Partition partition : todo.claim) at_.try_emplace(partition, clock_.steady());
  wanted_ = todo.wanted;
  return std::move(todo.let_go);
}

Result<void> Claiming::all(const std::stop_token& drain) {
  std::optional<Error> changed;
  for (auto it = at_.begin(); it != at_.end() && !drain.stop_requested();) {
    auto started = lanes_.start(it->first);
    if (!started && started.error().kind == Error::Kind::held) {
      log::info("partition {}: {}; waiting for it", it->first, started.error().message);
      it->second = clock_.steady() + again_after;
      ++it;
      continue;
    }
    if (!started && started.error().kind != Error::Kind::changed) return started;
    if (!started) {
      changed = started.error();
      lanes_.broke(it->first, std::move(started.error()));
    }
    it = at_.erase(it);
  }
  const bool none_left = at_.empty() && lanes_.partitions().empty();
  return changed && none_left ? Result<void>{std::unexpected(*changed)} : Result<void>{};
}

bool Claiming::is_due(Timestamp now) const {
  return std::ranges::any_of(at_, [&](const auto& entry) { return entry.second <= now; });
}

std::optional<std::string> Claiming::due(Timestamp now) {
  // The one that has waited longest: one that takes its time to fail must not keep the others from their turn.
  const auto it = std::ranges::min_element(at_, {}, [](const auto& entry) { return entry.second; });
  if (it == at_.end() || it->second > now) return {};
  auto started = lanes_.start(it->first);
  const bool unreachable = !started && started.error().kind == Error::Kind::unreachable;
  const std::string trouble = unreachable ? started.error().message : "";
  if (unreachable || (!started && started.error().kind == Error::Kind::held)) {
    it->second = clock_.steady() + again_after;
    return trouble;
  }
  if (!started) lanes_.broke(it->first, std::move(started.error()));
  at_.erase(it);
  return trouble;
}

}  // namespace weir
