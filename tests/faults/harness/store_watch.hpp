/// Whether what the databases name is in the store, at every moment of a run.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace weir::faults {

/// Asks for the snapshots that weir_progress names, and looks for each of them in the bucket, all the time, by
/// connections of its own past the proxies. A service that does not answer names, or lacks, nothing.
///
/// Threads   any.
class StoreWatch {
 public:
  StoreWatch(std::vector<std::string> databases, std::string nats);

  /// A fault that takes snapshots away, or sets a database back, begins.
  void suspend();
  /// What it did is over, but for what is named now.
  void resume();

  /// The first snapshot that was named and not there; empty: none.
  std::string missing() const;
  /// How many were looked for.
  std::uint64_t looks() const;

 private:
  struct Services;

  void watch(const std::stop_token& stop);
  void look(Services& services);

  const std::vector<std::string> databases_;
  const std::string nats_;
  mutable std::mutex mutex_;
  std::uint64_t suspensions_ = 0;  ///< odd while there is one
  std::set<std::string> excused_;
  std::string missing_;
  std::uint64_t looks_ = 0;
  std::jthread thread_;
};

}  // namespace weir::faults
