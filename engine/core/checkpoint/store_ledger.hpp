/// The ledger in the state store, of pipelines whose sinks keep no progress.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/clock.hpp>
#include <weir/ledger.hpp>
#include <weir/store.hpp>

#include "core/checkpoint/snapshot.hpp"

namespace weir {

/// The snapshot that was remembered last is a partition's progress; leases, if the store has them, say who owns it.
/// Values "<pipeline>.lease.<partition>" hold the owner's name, "<pipeline>.worker.<name>" that of each worker; both
/// are written again and again by compare-and-set. Workers compare no clocks: a lease has run out when this worker has
/// seen its value unchanged for so long. progress() and reset() go by the store's clock.
///
/// A worker that was stopped for longer than its lease may still write to its sinks once before it notices: only a sink
/// that compares the fence with the rows prevents that.
///
/// Threads   any, where the store allows it.
class StoreLedger final : public Ledger {
 public:
  /// All must outlive this, and the store be open but for progress() and reset(). `worker`: a name unlike any other's;
  /// empty: only those two are called.
  StoreLedger(Store& store, Snapshots& snapshots, std::uint32_t partitions, std::string worker, const Clock& clock);

  /// Errors    changed, too: the snapshot that told the progress is gone, and it alone did.
  Result<Progress> acquire(Partition partition) override;
  Result<std::vector<Partition>> renew() override;
  void release(Partition partition) override;
  /// 0 if `snapshots` are not shared, too.
  Duration lease() const override { return snapshots_.shared() ? store_.lease() : 0; }
  Result<Members> heartbeat() override;
  void leave() override;

  /// Of the partitions of which there is anything. Position 0 if the snapshot is gone: the lane can't go on. Since when
  /// a partition is owned, and the time of the last commit, is not kept.
  Result<std::vector<ProgressLine>> progress() override;
  /// Also held: a worker acquires one of them meanwhile. After any other error some may be forgotten.
  Result<std::size_t> reset(std::optional<Partition> partition) override;

 private:
  struct Seen {
    std::uint64_t revision = 0;
    Timestamp since = 0;  // steady time
  };
  struct Lease {
    std::string owner;
    std::uint64_t revision = 0;
    Duration left = 0;
  };
  using Now = std::optional<Timestamp>;  // by the store's clock, which is asked only if there is a lease
  std::string lease_of(Partition partition) const { return leases_ + std::to_string(partition); }
  bool runs(const std::string& name, std::uint64_t revision);
  Result<void> take_lease(Partition partition);
  Result<Progress> progress_of(Partition partition);
  Result<void> say_here();
  Result<bool> is_another_here(const std::string& name);
  Result<Lease> read_lease(Partition partition, Now& now);
  Result<void> take_over(const std::map<Partition, Lease>& leases, std::map<Partition, std::uint64_t>& taken);

  Store& store_;
  Snapshots& snapshots_;
  std::string leases_, workers_;  // what the names of values begin with
  std::uint32_t partitions_;
  std::string worker_;
  const Clock& clock_;

  std::mutex mutex_;
  std::map<std::string, Seen> seen_;             // by name of value: others'
  std::map<Partition, std::uint64_t> acquired_;  // and the revision
  Timestamp said_ = no_time;                     // that it is here, in steady time
};

}  // namespace weir
