/// What a store keeps of the partitions that workers share by it, asked from outside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>
#include <weir/store.hpp>

#include "core/snapshot.hpp"

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
  /// them runs: then nothing is forgotten.
  Result<std::size_t> reset(std::optional<Partition> partition);

 private:
  struct Lease {
    std::string owner;
    std::uint64_t revision = 0;
    Duration left = 0;
  };
  Result<Lease> lease_of(Partition partition, Timestamp now);
  Result<void> forget(Partition partition, const Lease& lease);

  Store& store_;
  std::string pipeline_;
  std::uint32_t partitions_;
  Snapshots snapshots_;
};

}  // namespace weir
