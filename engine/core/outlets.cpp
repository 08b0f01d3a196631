#include "core/outlets.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/attempt.hpp"
#include "core/log.hpp"

namespace weir {

Outlets::Outlets(std::vector<Outlet> outlets) : outlets_{std::move(outlets)}, in_doubt_(outlets_.size(), false) {
  std::ranges::stable_partition(outlets_, [](const Outlet& outlet) { return !outlet.keeps(); });
}

std::size_t Outlets::keepers() const {
  return static_cast<std::size_t>(std::ranges::count_if(outlets_, &Outlet::keeps));
}

Result<void> Outlets::open() {
  for (const Outlet& outlet : outlets_) {
    if (auto opened = attempt(outlet.id, [&] { return outlet.sink->open(); }); !opened) return opened;
  }
  return {};
}

Result<std::vector<Progress>> Outlets::claim(Partition partition) {
  std::vector<Progress> out;
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    const Outlet& outlet = outlets_[i];
    auto progress =
        outlet.keeps() ? attempt(outlet.id, [&] { return outlet.sink->claim(partition); }) : Result<Progress>{};
    if (!progress) {
      in_doubt_[i] = progress.error().kind == Error::Kind::unreachable;
      // Half an owner would keep everybody else from becoming a whole one.
      give_back(partition);
      return std::unexpected(progress.error());
    }
    out.push_back(*std::move(progress));
  }
  return out;
}

void Outlets::give_back(Partition partition) {
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    const Outlet& outlet = outlets_[i];
    if (!outlet.keeps() || in_doubt_[i]) continue;
    const auto released = attempt(outlet.id, [&] { outlet.sink->release(partition); });
    if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
  }
}

Result<std::vector<Partition>> Outlets::renew() {
  std::vector<Partition> lost;
  std::optional<Error> trouble;
  for (const Outlet& outlet : outlets_) {
    if (!outlet.keeps()) continue;
    auto renewed = attempt(outlet.id, [&] { return outlet.sink->renew(); });
    if (renewed) lost.append_range(*renewed);
    if (!renewed) trouble = std::move(renewed.error());
  }
  if (trouble && lost.empty()) return std::unexpected(*std::move(trouble));
  return lost;
}

Duration Outlets::lease() const {
  Duration shortest = 0;
  for (const Outlet& outlet : outlets_) {
    const Duration lease = outlet.keeps() ? outlet.sink->lease() : 0;
    if (lease != 0 && (shortest == 0 || lease < shortest)) shortest = lease;
  }
  return shortest;
}

}  // namespace weir
