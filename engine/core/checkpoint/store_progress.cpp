#include "core/checkpoint/store_progress.hpp"

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/checkpoint/store_leases.hpp"

namespace weir {
namespace {

/// Who has partitions while they are forgotten; what is left of one that was ended in between is nobody's.
constexpr std::string_view resetting = "weir-progress-reset";

}  // namespace

StoreProgress::StoreProgress(Store& store, std::string_view pipeline, std::uint32_t partitions)
    : store_{store}, pipeline_{pipeline}, partitions_{partitions}, snapshots_{store, pipeline} {}

Result<StoreProgress::Lease> StoreProgress::lease_of(Partition partition, Now& now) {
  auto held = store_.newest(StoreLeases::name_of(pipeline_, partition));
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

Result<std::vector<ProgressLine>> StoreProgress::lines() {
  std::vector<ProgressLine> out;
  Now now;
  for (Partition partition = 0; partition < partitions_; ++partition) {
    auto lease = lease_of(partition, now);
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

Result<std::size_t> StoreProgress::reset(std::optional<Partition> partition) {
  std::map<Partition, Lease> leases;
  Now now;
  for (Partition k = partition.value_or(0); k < (partition ? *partition + 1 : partitions_); ++k) {
    const auto kept = snapshots_.any(k);
    if (!kept) return std::unexpected(kept.error());
    auto lease = lease_of(k, now);
    if (!lease) return std::unexpected(lease.error());
    if (!lease->owner.empty() && lease->owner != resetting && lease->left > 0) {
      return fail(Error::Kind::held,
                  weir::format("partition {} belongs to {}, whose lease runs for {}; end that worker", k, lease->owner,
                               format_duration(lease->left)));
    }
    if (*kept) leases.emplace(k, *std::move(lease));
  }
  std::map<Partition, std::uint64_t> taken;
  auto done = take(leases, taken);
  for (auto it = taken.begin(); done && it != taken.end(); ++it) done = snapshots_.forget(it->first);
  for (const auto& [k, revision] : taken) {
    const auto given = store_.put_if(StoreLeases::name_of(pipeline_, k), "", revision);
    if (done && !given) done = std::unexpected(given.error());
  }
  return done.transform([&] { return taken.size(); });
}

/// As an owner of its own, so that no worker begins meanwhile with what is half gone.
Result<void> StoreProgress::take(const std::map<Partition, Lease>& leases, std::map<Partition, std::uint64_t>& taken) {
  for (const auto& [k, lease] : leases) {
    const auto revision = store_.put_if(StoreLeases::name_of(pipeline_, k), resetting, lease.revision);
    if (!revision) return std::unexpected(revision.error());
    if (!*revision) return fail(Error::Kind::held, weir::format("a worker claims partition {}; end it", k));
    taken.emplace(k, **revision);
  }
  return {};
}

}  // namespace weir
