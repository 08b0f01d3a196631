#include "core/checkpoint/store_leases.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/checkpoint/snapshot.hpp"

namespace weir {

StoreLeases::StoreLeases(Store& store, std::string_view pipeline, std::string worker, const Clock& clock)
    : store_{store},
      leases_{storable(pipeline) + ".lease."},
      workers_{storable(pipeline) + ".worker."},
      worker_{std::move(worker)},
      clock_{clock} {}

std::string StoreLeases::name_of(std::string_view pipeline, Partition partition) {
  return storable(pipeline) + ".lease." + std::to_string(partition);
}

/// Whether a lease that another holds may still run, as far as this worker has seen.
bool StoreLeases::runs(const std::string& name, std::uint64_t revision) {
  const Timestamp now = clock_.steady();
  Seen& seen = seen_[name];
  if (seen.revision != revision) seen = {revision, now};
  return now - seen.since < lease();
}

Result<void> StoreLeases::claim(Partition partition) {
  const std::scoped_lock lock{mutex_};
  auto revision = take(partition);
  if (!revision) return std::unexpected(revision.error());
  claimed_[partition] = *revision;
  return {};
}

Result<std::uint64_t> StoreLeases::take(Partition partition) {
  const std::string name = lease_of(partition);
  const auto held = store_.newest(name);
  if (!held) return std::unexpected(held.error());
  const std::string owner = *held ? (*held)->value : "";
  const std::uint64_t revision = *held ? (*held)->revision : 0;
  if (!owner.empty() && owner != worker_ && runs(name, revision)) {
    return fail(Error::Kind::held, weir::format("partition {} belongs to {}; its lease runs for {} at most", partition,
                                                owner, format_duration(lease())));
  }
  const auto taken = store_.put_if(name, worker_, revision);
  if (!taken) return std::unexpected(taken.error());
  if (!*taken) return fail(Error::Kind::held, weir::format("another worker claims partition {}", partition));
  return **taken;
}

Result<std::vector<Partition>> StoreLeases::renew() {
  const std::scoped_lock lock{mutex_};
  std::vector<Partition> lost;
  for (auto& [partition, revision] : claimed_) {
    const std::string name = lease_of(partition);
    auto renewed = store_.put_if(name, worker_, revision);
    if (!renewed) return std::unexpected(renewed.error());
    if (!*renewed) {
      // The answer to the last renewal may have been lost, though not what it wrote.
      const auto held = store_.newest(name);
      if (!held) return std::unexpected(held.error());
      if (*held && (*held)->value == worker_) renewed = std::optional{(*held)->revision};
    }
    if (*renewed) {
      revision = **renewed;
    } else {
      lost.push_back(partition);
    }
  }
  for (const Partition partition : lost) claimed_.erase(partition);
  return lost;
}

Result<void> StoreLeases::release(Partition partition) {
  const std::scoped_lock lock{mutex_};
  const auto claimed = claimed_.extract(partition);
  if (claimed.empty()) return {};
  // If it has become another's meanwhile, there is nothing to give back.
  return store_.put_if(lease_of(partition), "", claimed.mapped()).transform([](auto) {});
}

Result<void> StoreLeases::say_here() {
  const Timestamp now = clock_.steady();
  if (said_ != no_time && now - said_ < lease() / 3) return {};
  return store_.put(workers_ + worker_, worker_).transform([&] { said_ = now; });
}

/// A worker that has not been heard of for long is forgotten.
Result<bool> StoreLeases::is_another_here(const std::string& name) {
  const auto told = store_.newest(name);
  if (!told) return std::unexpected(told.error());
  if (!*told || (*told)->value.empty()) return false;
  if (runs(name, (*told)->revision)) return true;
  if (clock_.steady() - seen_[name].since < 10 * lease()) return false;
  seen_.erase(name);
  return store_.remove(name).transform([] { return false; });
}

Result<Members> StoreLeases::heartbeat() {
  const std::scoped_lock lock{mutex_};
  if (auto said = say_here(); !said) return std::unexpected(said.error());
  Members members;
  const auto names = store_.names(workers_);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (name == workers_ + worker_) continue;
    const auto here = is_another_here(name);
    if (!here) return std::unexpected(here.error());
    members.workers += *here;
    members.rank += *here && name < workers_ + worker_;
  }
  const auto claimed = store_.names(leases_);
  if (!claimed) return std::unexpected(claimed.error());
  for (const std::string& name : *claimed) {
    const auto held = store_.newest(name);
    if (!held) return std::unexpected(held.error());
    if (!*held || (*held)->value.empty() || (*held)->value == worker_ || !runs(name, (*held)->revision)) continue;
    Partition partition = 0;
    std::from_chars(name.data() + leases_.size(), name.data() + name.size(), partition);
    members.taken.push_back(partition);
  }
  std::ranges::sort(members.taken);
  return members;
}

Result<void> StoreLeases::leave() {
  const std::scoped_lock lock{mutex_};
  said_ = no_time;
  return store_.remove(workers_ + worker_);
}

}  // namespace weir
