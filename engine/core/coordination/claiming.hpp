/// The partitions that a worker is to run: its share of them, claimed as soon as nobody else owns them.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "core/plan/pipeline.hpp"
#include "core/runtime/held_lanes.hpp"

namespace weir {

/// Threads   one.
class Claiming {
 public:
  static constexpr Duration again_after = second;
  static constexpr Duration most_wait = 5 * second;  ///< beyond that, after one that took its time to fail
  /// After one that broke: somebody is to put that right, be it its stream, its progress, a right or room. Doubled each
  /// time that it has not got on before it broke again.
  static constexpr Duration first_retry = 10 * second, last_retry = 5 * minute;

  /// All must outlive this.
  Claiming(const Pipeline& pipeline, HeldLanes& lanes, const Clock& clock)
      : pipeline_{pipeline}, lanes_{lanes}, clock_{clock} {}

  /// Decides anew which are to be claimed, as the crew stands. Answers those that this worker is to let go. `leaving`:
  /// those that it was to before.
  std::vector<Partition> met(const Crew& crew, const std::vector<Partition>& leaving);

  /// Claims and starts all that are to be; those that another worker owns, or whose stream does not answer, are claimed
  /// again later. One that can't start for any other reason is broken in the lanes, see broke(), and ends no other:
  /// only if none is left is its error the caller's, or if none answers, or if the start is to be `whole`. What is
  /// invalid is so for all: that error is the caller's at once.
  Result<void> all(const std::stop_token& drain, bool whole = false);

  /// This partition is to be claimed again, after a while.
  void later(Partition partition, Duration wait) { at_[partition] = clock_.steady() + wait; }

  /// This partition was given back as its lane broke: nobody's until somebody claims it again, as this worker does
  /// after a while if it has room. Its lane rests.
  void broke(Partition partition);

  /// Claims the first whose time has come, if any has: what else there is to do need not wait for all of them. One that
  /// can't go on is broken in the lanes; a service that does not answer is asked again, and what it is that does not
  /// answer is returned: empty if all did, nothing if none was to be claimed.
  std::optional<std::string> due(Timestamp now);

  /// Whether one is to be claimed now.
  bool is_due(Timestamp now) const;
  /// Whether any is still to be claimed, but for those that broke.
  bool waiting() const { return at_.size() > shunned_.size(); }
  /// How many partitions are to be this worker's.
  std::size_t wanted() const { return wanted_; }
  /// How many of these it can't even claim yet.
  std::size_t missing() const { return wanted_ - std::min(wanted_, lanes_.count() + at_.size() - shunned_.size()); }
  /// Whether this worker runs fewer than its share, as others have them still: they are to let some go, or are dead.
  bool short_of_share() const { return lanes_.count() < wanted_; }

 private:
  const Pipeline& pipeline_;
  HeldLanes& lanes_;
  const Clock& clock_;
  std::map<Partition, Timestamp> at_;
  std::set<Partition> shunned_;           // those that broke, all of them in at_
  std::map<Partition, Duration> pauses_;  // how long each waits, or waited before it was tried last
  std::size_t wanted_ = 0;                // partitions that are this worker's share
};

}  // namespace weir
