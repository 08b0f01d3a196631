#include "core/store_progress.hpp"

#include <map>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/store_leases.hpp"

namespace weir {

StoreProgress::StoreProgress(Store& store, std::string_view pipeline, std::uint32_t partitions)
    : store_{store}, pipeline_{pipeline}, partitions_{partitions}, snapshots_{store, pipeline} {}

Result<StoreProgress::Lease> StoreProgress::lease_of(Partition partition, Timestamp now) {
  return store_.newest(StoreLeases::name_of(pipeline_, partition)).transform([&](auto held) {
    return held ? Lease{std::move(held->value), held->revision, store_.lease() - (now - held->written)} : Lease{};
  });
}

Result<std::vector<ProgressLine>> StoreProgress::lines() {
  const auto now = store_.time();
  if (!now) return std::unexpected(now.error());
  std::vector<ProgressLine> out;
  for (Partition partition = 0; partition < partitions_; ++partition) {
    auto lease = lease_of(partition, *now);
    if (!lease) return std::unexpected(lease.error());
    auto newest = snapshots_.remembered(partition);
    if (!newest) return std::unexpected(newest.error());
    if (lease->owner.empty() && !*newest) continue;
    ProgressLine line{.partition = partition, .owner = std::move(lease->owner), .lease_left = lease->left};
    if (*newest) {
      const auto place = snapshots_.place(**newest);
      if (place) {
        line.progress = *place;
      } else if (place.error().kind != Error::Kind::changed) {
        return std::unexpected(place.error());
      }
      line.progress.snapshot = **std::move(newest);
    }
    out.push_back(std::move(line));
  }
  return out;
}

Result<std::size_t> StoreProgress::reset(std::optional<Partition> partition) {
  const auto now = store_.time();
  if (!now) return std::unexpected(now.error());
  std::map<Partition, Lease> leases;
  for (Partition k = partition.value_or(0); k < (partition ? *partition + 1 : partitions_); ++k) {
    const auto kept = snapshots_.any(k);
    if (!kept) return std::unexpected(kept.error());
    auto lease = lease_of(k, *now);
    if (!lease) return std::unexpected(lease.error());
    if (!lease->owner.empty() && lease->left > 0) {
      return fail(Error::Kind::held,
                  weir::format("partition {} belongs to {}, whose lease runs for {}; end that worker", k, lease->owner,
                               format_duration(lease->left)));
    }
    if (*kept) leases.emplace(k, *std::move(lease));
  }
  for (const auto& [k, lease] : leases) {
    if (auto forgotten = forget(k, lease); !forgotten) return std::unexpected(forgotten.error());
  }
  return leases.size();
}

/// As an owner of its own, so that no worker begins meanwhile with what is half gone.
Result<void> StoreProgress::forget(Partition partition, const Lease& lease) {
  const std::string name = StoreLeases::name_of(pipeline_, partition);
  const auto taken = store_.put_if(name, "weir-progress-reset", lease.revision);
  if (!taken) return std::unexpected(taken.error());
  if (!*taken) return fail(Error::Kind::held, weir::format("a worker claims partition {}; end it", partition));
  if (auto forgotten = snapshots_.forget(partition); !forgotten) return forgotten;
  return store_.put_if(name, "", **taken).transform([](auto) {});
}

}  // namespace weir
