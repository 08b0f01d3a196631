#include "core/claiming.hpp"

#include <utility>

#include "core/keeping.hpp"
#include "core/log.hpp"

namespace weir {

Result<void> Claiming::all(const std::stop_token& drain) {
  const std::uint32_t partitions = claims_of(pipeline_.nodes[pipeline_.source()]).partitions;
  for (Partition partition = 0; partition < partitions && !drain.stop_requested(); ++partition) {
    auto started = lanes_.start(partition);
    if (started) continue;
    if (started.error().kind != Error::Kind::refused) return started;
    log::info("partition {}: {}; waiting for it", partition, started.error().message);
    later(partition, again_after);
  }
  return {};
}

std::optional<std::string> Claiming::due(Timestamp now) {
  std::optional<std::string> trouble;
  for (auto it = at_.begin(); it != at_.end();) {
    if (now < it->second) {
      ++it;
      continue;
    }
    auto started = lanes_.start(it->first);
    const bool unreachable = !started && started.error().kind == Error::Kind::unreachable;
    if (unreachable || !trouble) trouble = unreachable ? started.error().message : "";
    if (unreachable || (!started && started.error().kind == Error::Kind::refused)) {
      it->second = now + again_after;
      ++it;
      continue;
    }
    if (!started) lanes_.broke(it->first, std::move(started.error()));
    it = at_.erase(it);
  }
  return trouble;
}

}  // namespace weir
