/// What a store keeps of the partitions that workers share by it, asked from outside.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>
#include <weir/store.hpp>

#include "core/checkpoint/snapshot.hpp"

namespace weir {

/// The answers of Sink::progress() and reset() for pipelines whose sinks keep none, see StoreLeases and Snapshots.
///
/// Threads   those that the store allows.
class StoreProgress {
 public:
  /// The store must be open, have leases and a clock, and outlive this.
  StoreProgress(Store& store, std::string_view pipeline, std::uint32_t partitions);

  /// Of the partitions of which there is anything. The place is that of the newest snapshot, where a lane goes on; 0 if
  /// that snapshot is gone: then it doesn't. Since when, and the time of the last commit, is not kept.
  Result<std::vector<ProgressLine>> lines();
  /// Forgets the state of a partition, or of all: answers of how many there was any. `held` while a lease on one of
  /// them runs, or a worker claims one meanwhile: then nothing is forgotten. Any other error: some may be.
  Result<std::size_t> reset(std::optional<Partition> partition);

 private:
  struct Lease {
    std::string owner;
    std::uint64_t revision = 0;
    Duration left = 0;
  };
  using Now = std::optional<Timestamp>;  ///< by the store's clock, which is asked only if there is a lease
  Result<Lease> lease_of(Partition partition, Now& now);
  Result<void> take(const std::map<Partition, Lease>& leases, std::map<Partition, std::uint64_t>& taken);

  Store& store_;
  std::string pipeline_;
  std::uint32_t partitions_;
  Snapshots snapshots_;
};

}  // namespace weir
