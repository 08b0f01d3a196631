#include "core/checkpoint/outlets.hpp"

#include <algorithm>
#include <utility>

#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"

namespace weir {

Outlets::Outlets(std::vector<Outlet> outlets, StoreLeases* leases)
    : outlets_{std::move(outlets)}, in_doubt_(outlets_.size(), false) {
  std::ranges::stable_partition(outlets_, [](const Outlet& outlet) { return !outlet.keeps(); });
  if (ledgers() == 0) leases_ = leases;
}

std::size_t Outlets::ledgers() const {
  return static_cast<std::size_t>(std::ranges::count_if(outlets_, &Outlet::keeps));
}

Result<void> Outlets::open() {
  for (; opened_ < outlets_.size(); ++opened_) {
    const Outlet& outlet = outlets_[opened_];
    auto opened = attempt(outlet.id, [&] { return outlet.sink->open(); });
    if (opened) continue;
    // What keeps a worker from its start must say where; of an exception attempt() has.
    if (opened.error().kind != Error::Kind::internal) opened.error().message.insert(0, outlet.id + ": ");
    return opened;
  }
  return {};
}

Result<std::vector<Progress>> Outlets::claim(Partition partition) {
  if (leases_ != nullptr) {
    if (auto claimed = leases_->claim(partition); !claimed) return std::unexpected(claimed.error());
  }
  std::vector<Progress> out;
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    const Outlet& outlet = outlets_[i];
    auto progress =
        outlet.keeps() ? attempt(outlet.id, [&] { return outlet.sink->claim(partition); }) : Result<Progress>{};
    if (!progress) return std::unexpected(progress.error());
    out.push_back(*std::move(progress));
  }
  return out;
}

void Outlets::give_back(Partition partition) {
  for (const Outlet& outlet : outlets_) {
    if (!outlet.keeps()) continue;
    const auto released = attempt(outlet.id, [&] { outlet.sink->release(partition); });
    if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
  }
  if (leases_ == nullptr) return;
  if (const auto released = leases_->release(partition); !released)
    log::warn("partition {}: not given back: {}", partition, released.error().message);
}

std::vector<std::size_t> Outlets::leased() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < outlets_.size(); ++i) {
    if (outlets_[i].keeps() && lease(i) != 0) out.push_back(i);
  }
  if (leases_ != nullptr) out.push_back(size());
  return out;
}

Result<std::vector<Partition>> Outlets::renew(std::size_t i) {
  if (i == size()) return attempt("state", [&] { return leases_->renew(); });
  return attempt(outlets_[i].id, [&] { return outlets_[i].sink->renew(); });
}

Result<Members> Outlets::heartbeat() {
  const auto those = leased();
  if (those.empty()) return Members{};
  if (those.front() == size()) return attempt("state", [&] { return leases_->heartbeat(); });
  const Outlet& outlet = outlets_[those.front()];
  return attempt(outlet.id, [&] { return outlet.sink->heartbeat(); });
}

void Outlets::leave() {
  const auto those = leased();
  if (those.empty()) return;
  const std::size_t first = those.front();
  if (first != size() && in_doubt_[first]) return;
  const auto left = attempt("leave", [&]() -> Result<void> {
    if (first == size()) return leases_->leave();
    outlets_[first].sink->leave();
    return {};
  });
  if (!left) log::warn("{}; the others wait until the lease has run out", left.error().message);
}

}  // namespace weir
