/// Who owns a partition, where no sink keeps it: leases in the store.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/sink.hpp>
#include <weir/store.hpp>

namespace weir {

/// What Sink says of claim(), renew(), release(), heartbeat() and leave(), without the progress: for pipelines whose
/// sinks keep none. Values "<pipeline>.lease.<partition>" hold the owner's name, "<pipeline>.worker.<name>" that of
/// each worker; both are written again and again by compare-and-set. Nobody's clock is compared with another's: a lease
/// has run out when this worker has seen its value unchanged for so long.
///
/// Nothing here can keep a worker that was stopped for longer than its lease from writing once more before it notices:
/// that takes a sink which compares the fence with the rows.
///
/// Threads   any.
class StoreLeases {
 public:
  /// The store must be open, have leases, and outlive this, as must the clock. `worker`: a name unlike any other's.
  StoreLeases(Store& store, std::string_view pipeline, std::string worker, const Clock& clock);

  /// Of the value that holds a partition's owner; empty: nobody.
  static std::string name_of(std::string_view pipeline, Partition partition);

  Result<void> claim(Partition partition);
  Result<std::vector<Partition>> renew();
  Result<void> release(Partition partition);
  Result<Members> heartbeat();
  Result<void> leave();
  Duration lease() const { return store_.lease(); }

 private:
  std::string lease_of(Partition partition) const { return leases_ + std::to_string(partition); }
  bool runs(const std::string& name, std::uint64_t revision);
  Result<std::uint64_t> take(Partition partition);
  Result<void> say_here();
  Result<bool> is_another_here(const std::string& name);

  Store& store_;
  std::string leases_, workers_;  // what the names of values begin with
  std::string worker_;
  const Clock& clock_;

  struct Seen {
    std::uint64_t revision = 0;
    Timestamp since = 0;  // steady time
  };
  std::mutex mutex_;
  std::map<std::string, Seen> seen_;            // by name of value: others'
  std::map<Partition, std::uint64_t> claimed_;  // and the revision
  Timestamp said_ = no_time;                    // that it is here, in steady time
};

}  // namespace weir
