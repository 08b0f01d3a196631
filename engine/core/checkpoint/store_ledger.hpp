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
/// Values "<pipeline>.lease.<partition>" hold "<worker>-<instance>" of the owner, "<pipeline>.worker.<worker>" the
/// instance that bears the name; all are written again and again by compare-and-set. Workers compare no clocks: a lease
/// has run out when this worker has seen its value unchanged for so long. progress() and reset() go by the store's
/// clock.
///
/// A value "<pipeline>.mark" tells a store from one that was emptied: a bucket that is deleted is made again, and a
/// worker that never had a partition would take its progress for none.
///
/// The newest instance of a worker's name takes that worker's partitions over at once; the former one is fenced: its
/// heartbeat() answers changed, and it takes nothing over any more.
///
/// The fence does not reach the sinks. So an owner that can't renew counts a partition as lost once its lease has run
/// out; one that was stopped for longer may still commit once before it notices.
///
/// Threads   any, where the store allows it; one partition is acquired or released by one thread at a time.
class StoreLedger final : public Ledger {
 public:
  /// A worker's process, or one of its lives in it.
  struct Instance {
    std::string worker = {};  ///< its name; empty: only progress() and reset() are called
    std::string id = {};      ///< unlike any other instance's, and without a '-'
  };
  /// All must outlive this, and the store be open but for progress() and reset().
  StoreLedger(Store& store, Snapshots& snapshots, std::uint32_t partitions, Instance self, const Clock& clock);

  /// Errors    changed, too: the snapshot that told the progress is gone, and it alone did; or the store was emptied
  ///           while this worker ran.
  Result<Progress> acquire(Partition partition) override;
  Result<std::vector<Partition>> renew() override;
  void release(Partition partition) override;
  /// 0 if `snapshots` are not shared, too.
  Duration lease() const override { return snapshots_.shared() ? store_.lease() : 0; }
  /// Errors    changed: another instance bears this worker's name since; this one is to end.
  Result<Members> heartbeat() override;
  void leave() override;

  /// Of the partitions of which there is anything. Position 0 if the snapshot is gone: the lane can't go on. Since when
  /// a partition is owned, and the time of the last commit, is not kept.
  Result<std::vector<ProgressLine>> progress() override;
  /// Also held: a worker acquires one of them meanwhile; if that is seen at the start, nothing is forgotten. After any
  /// other error some may be.
  Result<std::size_t> reset(std::optional<Partition> partition) override;

  /// Why a lane whose snapshot is gone or damaged can't go on, and what to do.
  static Error nothing_else_kept(Partition partition, std::string_view why);
  /// The same where nothing is left; `position`: to which it had come, 0: not known.
  static Error lost(Partition partition, Position position);

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
  using Revision = std::optional<std::uint64_t>;
  std::string lease_of(Partition partition) const { return leases_ + std::to_string(partition); }
  bool is_mine(std::string_view owner) const;
  bool runs(const std::string& name, std::uint64_t revision);
  Result<void> take_lease(Partition partition);
  Result<void> same_store(Partition partition);
  Result<Revision> write_own(const std::string& name, std::string_view value, std::uint64_t revision);
  void note(Partition partition, const Seen& before, const std::optional<Seen>& now);
  Result<Progress> progress_of(Partition partition);
  Result<void> say_here();
  Result<bool> is_another_here(const std::string& name);
  Result<Lease> read_lease(Partition partition, Now& now);
  Result<void> take_over(const std::map<Partition, Lease>& leases, std::map<Partition, std::uint64_t>& taken);
  Result<void> forget(Partition partition, std::uint64_t& revision);

  Store& store_;
  Snapshots& snapshots_;
  const std::string leases_, workers_;  // what the names of values begin with
  const std::string mark_;              // name of the value that one who finds none writes
  const std::uint32_t partitions_;
  const std::string worker_, self_;  // name, and name with instance
  const Clock& clock_;

  std::mutex mutex_;                    // of what follows; not held while the store is asked
  std::string marked_;                  // that value, once known
  std::map<std::string, Seen> seen_;    // by name of value: others'
  std::map<Partition, Seen> acquired_;  // and when that was last sure
  Timestamp said_ = no_time;            // that it is here, in steady time
  bool displaced_ = false;              // another instance has the name
};

}  // namespace weir
