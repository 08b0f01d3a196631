#include "core/checkpoint/store_ledger.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/observe/log.hpp"

namespace weir {
namespace {

/// Who has partitions while they are forgotten; what is left of one that was ended in between is nobody's.
constexpr std::string_view resetting = "weir-progress-reset";

}  // namespace

StoreLedger::StoreLedger(Store& store, Snapshots& snapshots, std::uint32_t partitions, std::string worker,
                         const Clock& clock)
    : store_{store},
      snapshots_{snapshots},
      leases_{snapshots.pipeline() + ".lease."},
      workers_{snapshots.pipeline() + ".worker."},
      partitions_{partitions},
      worker_{std::move(worker)},
      clock_{clock} {}

/// Whether a lease that another holds may still run, as far as this worker has seen.
bool StoreLedger::runs(const std::string& name, std::uint64_t revision) {
  const Timestamp now = clock_.steady();
  Seen& seen = seen_[name];
  if (seen.revision != revision) seen = {revision, now};
  return now - seen.since < lease();
}

Result<Progress> StoreLedger::acquire(Partition partition) {
  if (lease() != 0) {
    if (auto taken = take_lease(partition); !taken) return std::unexpected(taken.error());
  }
  return progress_of(partition);
}

Result<void> StoreLedger::take_lease(Partition partition) {
  const std::scoped_lock lock{mutex_};
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
  if (!*taken) return fail(Error::Kind::held, weir::format("another worker acquires partition {}", partition));
  acquired_[partition] = **taken;
  return {};
}

/// A snapshot alone says how far the lane had come.
Result<Progress> StoreLedger::progress_of(Partition partition) {
  auto latest = snapshots_.remembered(partition);
  if (!latest) return std::unexpected(latest.error());
  const auto resets = snapshots_.resets(partition);
  if (!resets) return std::unexpected(resets.error());
  if (latest->snapshot.empty()) return Progress{.resets = *resets};
  auto place = snapshots_.place(latest->snapshot);
  if (!place && place.error().kind == Error::Kind::changed) {
    return fail(Error::Kind::changed,
                weir::format(
                    "partition {}: {}\n"
                    "  why not    no sink of this pipeline keeps progress, so only the snapshot told what was written\n"
                    "  ways out   bring back what the \"state\" store held\n"
                    "             or another \"name\": all rows again, beside those that are there",
                    partition, place.error().message));
  }
  if (!place) return place;
  place->snapshot = std::move(latest->snapshot);
  place->resets = *resets;
  return place;
}

Result<std::vector<Partition>> StoreLedger::renew() {
  const std::scoped_lock lock{mutex_};
  std::vector<Partition> lost;
  for (auto& [partition, revision] : acquired_) {
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
  for (const Partition partition : lost) acquired_.erase(partition);
  return lost;
}

void StoreLedger::release(Partition partition) {
  const std::scoped_lock lock{mutex_};
  const auto acquired = acquired_.extract(partition);
  if (acquired.empty()) return;
  // If it has become another's meanwhile, there is nothing to give back.
  const auto released = store_.put_if(lease_of(partition), "", acquired.mapped());
  if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
}

Result<void> StoreLedger::say_here() {
  const Timestamp now = clock_.steady();
  if (said_ != no_time && now - said_ < lease() / 3) return {};
  return store_.put(workers_ + worker_, worker_).transform([&] { said_ = now; });
}

/// A worker that has not been heard of for long is forgotten.
Result<bool> StoreLedger::is_another_here(const std::string& name) {
  const auto told = store_.newest(name);
  if (!told) return std::unexpected(told.error());
  if (!*told || (*told)->value.empty()) return false;
  if (runs(name, (*told)->revision)) return true;
  if (clock_.steady() - seen_[name].since < 10 * lease()) return false;
  seen_.erase(name);
  return store_.remove(name).transform([] { return false; });
}

Result<Members> StoreLedger::heartbeat() {
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
  const auto acquired = store_.names(leases_);
  if (!acquired) return std::unexpected(acquired.error());
  for (const std::string& name : *acquired) {
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

void StoreLedger::leave() {
  const std::scoped_lock lock{mutex_};
  said_ = no_time;
  const auto left = store_.remove(workers_ + worker_);
  if (!left) log::warn("{}; the others wait until the lease has run out", left.error().message);
}

Result<StoreLedger::Lease> StoreLedger::read_lease(Partition partition, Now& now) {
  auto held = store_.newest(lease_of(partition));
  if (!held) return std::unexpected(held.error());
  if (!*held) return Lease{};
  if (!now) {
    const auto told = store_.time();
    if (!told) return std::unexpected(told.error());
    now = *told;
  }
  // One that would run for longer than a lease can was written before the store's clock was set back: nobody renews it.
  const Duration left = store_.lease() - (*now - (*held)->written);
  return Lease{std::move((*held)->value), (*held)->revision, left > store_.lease() ? 0 : left};
}

Result<std::vector<ProgressLine>> StoreLedger::progress() {
  if (auto there = store_.look(); !there) return std::unexpected(there.error());
  std::vector<ProgressLine> out;
  Now now;
  for (Partition partition = 0; partition < partitions_; ++partition) {
    auto lease = read_lease(partition, now);
    if (!lease) return std::unexpected(lease.error());
    auto newest = snapshots_.remembered(partition);
    if (!newest) return std::unexpected(newest.error());
    if (lease->owner.empty() && newest->snapshot.empty()) continue;
    ProgressLine line{.partition = partition, .owner = std::move(lease->owner), .lease_left = lease->left};
    if (!newest->snapshot.empty()) {
      const auto place = snapshots_.place(newest->snapshot);
      if (place) {
        line.progress = *place;
      } else if (place.error().kind != Error::Kind::changed) {
        return std::unexpected(place.error());
      }
      line.progress.snapshot = std::move(newest->snapshot);
    }
    out.push_back(std::move(line));
  }
  return out;
}

Result<std::size_t> StoreLedger::reset(std::optional<Partition> partition) {
  if (auto there = store_.look(); !there) return std::unexpected(there.error());
  std::map<Partition, Lease> leases;
  Now now;
  for (Partition k = partition.value_or(0); k < (partition ? *partition + 1 : partitions_); ++k) {
    const auto kept = snapshots_.any(k);
    if (!kept) return std::unexpected(kept.error());
    auto lease = read_lease(k, now);
    if (!lease) return std::unexpected(lease.error());
    if (!lease->owner.empty() && lease->owner != resetting && lease->left > 0) {
      return fail(Error::Kind::held,
                  weir::format("partition {} belongs to {}, whose lease runs for {}; end that worker", k, lease->owner,
                               format_duration(lease->left)));
    }
    if (*kept) leases.emplace(k, *std::move(lease));
  }
  std::map<Partition, std::uint64_t> taken;
  auto done = take_over(leases, taken);
  for (auto it = taken.begin(); done && it != taken.end(); ++it) done = snapshots_.forget(it->first);
  for (const auto& [k, revision] : taken) {
    const auto given = store_.put_if(lease_of(k), "", revision);
    if (done && !given) done = std::unexpected(given.error());
  }
  return done.transform([&] { return taken.size(); });
}

/// As an owner of its own, so that no worker begins meanwhile with what is half gone.
Result<void> StoreLedger::take_over(const std::map<Partition, Lease>& leases,
                                    std::map<Partition, std::uint64_t>& taken) {
  for (const auto& [k, lease] : leases) {
    const auto revision = store_.put_if(lease_of(k), resetting, lease.revision);
    if (!revision) return std::unexpected(revision.error());
    if (!*revision) return fail(Error::Kind::held, weir::format("a worker acquires partition {}; end it", k));
    taken.emplace(k, **revision);
  }
  return {};
}

}  // namespace weir
