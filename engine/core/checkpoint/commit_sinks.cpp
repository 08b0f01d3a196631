#include "core/checkpoint/commit_sinks.hpp"

#include <algorithm>
#include <utility>

#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"

namespace weir {

CommitSinks::CommitSinks(std::vector<CommitSink> sinks, StoreLeases* leases)
    : sinks_{std::move(sinks)}, in_doubt_(sinks_.size(), false) {
  std::ranges::stable_partition(sinks_, [](const CommitSink& one) { return !one.keeps(); });
  if (ledgers() == 0) leases_ = leases;
}

std::size_t CommitSinks::ledgers() const {
  return static_cast<std::size_t>(std::ranges::count_if(sinks_, &CommitSink::keeps));
}

Result<void> CommitSinks::open() {
  for (; opened_ < sinks_.size(); ++opened_) {
    const CommitSink& one = sinks_[opened_];
    auto opened = attempt(one.id, [&] { return one.sink->open(); });
    if (opened) continue;
    // What keeps a worker from its start must say where; of an exception attempt() has.
    if (opened.error().kind != Error::Kind::internal) opened.error().message.insert(0, one.id + ": ");
    return opened;
  }
  return {};
}

Result<std::vector<Progress>> CommitSinks::claim(Partition partition) {
  if (leases_ != nullptr) {
    if (auto claimed = leases_->claim(partition); !claimed) return std::unexpected(claimed.error());
  }
  std::vector<Progress> out;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    const CommitSink& one = sinks_[i];
    auto progress = one.keeps() ? attempt(one.id, [&] { return one.sink->claim(partition); }) : Result<Progress>{};
    if (!progress) return std::unexpected(progress.error());
    out.push_back(*std::move(progress));
  }
  return out;
}

void CommitSinks::give_back(Partition partition) {
  for (const CommitSink& one : sinks_) {
    if (!one.keeps()) continue;
    const auto released = attempt(one.id, [&] { one.sink->release(partition); });
    if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
  }
  if (leases_ == nullptr) return;
  if (const auto released = leases_->release(partition); !released)
    log::warn("partition {}: not given back: {}", partition, released.error().message);
}

std::vector<std::size_t> CommitSinks::leased() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    if (sinks_[i].keeps() && lease(i) != 0) out.push_back(i);
  }
  if (leases_ != nullptr) out.push_back(size());
  return out;
}

Result<std::vector<Partition>> CommitSinks::renew(std::size_t i) {
  if (i == size()) return attempt("state", [&] { return leases_->renew(); });
  return attempt(sinks_[i].id, [&] { return sinks_[i].sink->renew(); });
}

Result<Members> CommitSinks::heartbeat() {
  const auto those = leased();
  if (those.empty()) return Members{};
  if (those.front() == size()) return attempt("state", [&] { return leases_->heartbeat(); });
  const CommitSink& one = sinks_[those.front()];
  return attempt(one.id, [&] { return one.sink->heartbeat(); });
}

void CommitSinks::leave() {
  const auto those = leased();
  if (those.empty()) return;
  const std::size_t first = those.front();
  if (first != size() && in_doubt_[first]) return;
  const auto left = attempt("leave", [&]() -> Result<void> {
    if (first == size()) return leases_->leave();
    sinks_[first].sink->leave();
    return {};
  });
  if (!left) log::warn("{}; the others wait until the lease has run out", left.error().message);
}

}  // namespace weir
