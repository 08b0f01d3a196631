/// The partitions that a worker is to run: started at once, or as soon as nobody else owns them.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "core/lanes.hpp"
#include "core/pipeline.hpp"

namespace weir {

/// Threads   one.
class Claiming {
 public:
  static constexpr Duration again_after = second;

  /// All must outlive this.
  Claiming(const Pipeline& pipeline, Lanes& lanes, const Clock& clock)
      : pipeline_{pipeline}, lanes_{lanes}, clock_{clock} {}

  /// Starts all partitions of the source; those that another worker owns are claimed again later. Any other error is
  /// the caller's.
  Result<void> all(const std::stop_token& drain);

  /// This partition is to be claimed again, after a while.
  void later(Partition partition, Duration wait) { at_[partition] = clock_.steady() + wait; }

  /// Claims those whose time has come. One that can't go on is broken in the lanes; a service that does not answer is
  /// asked again, and what it is that does not answer is returned: empty if all did, nothing if none was to be claimed.
  std::optional<std::string> due(Timestamp now);

  /// Whether any is still to be claimed.
  bool waiting() const { return !at_.empty(); }

 private:
  const Pipeline& pipeline_;
  Lanes& lanes_;
  const Clock& clock_;
  std::map<Partition, Timestamp> at_;
};

}  // namespace weir
