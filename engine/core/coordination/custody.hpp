/// Which partitions a worker runs.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/coordination/claiming.hpp"
#include "core/coordination/handover.hpp"
#include "core/runtime/credits.hpp"

namespace weir {

/// Claims a worker's share of the partitions, hands over what has become another's, and lets go of what was lost or
/// broke.
///
/// Threads   one.
class Custody {
 public:
  using ToStore = std::function<void(LaneId, Snapshot)>;
  /// All must outlive this. `to_store` has a snapshot written; stored() tells when.
  Custody(const Pipeline& pipeline, HeldLanes& lanes, CommitCycle& cycle, Credits& credits, const Clock& clock,
          ToStore to_store);

  /// Claims the first share; errors as Claiming::all() says.
  Result<void> start(const std::stop_token& drain, bool whole = false);
  /// Who shares the partitions now.
  void met(const Crew& crew);

  // What came of a lane. Late news of one that was let go is not its successor's, and changes nothing.

  void ended(LaneId lane, const std::optional<Error>& error);
  /// Its snapshot is in the store by that name, or could not be written: no name.
  void stored(LaneId lane, std::string name, Position position);
  void lost(Partition partition);
  void committed(const CommitReport& report);

  /// Once a turn of the worker's loop: gives back what is to go and can, and claims what is due, one at a time. Answers
  /// as Claiming::due().
  std::optional<std::string> turn(Timestamp now);

  /// From now on it claims nothing and hands nothing over: the worker drains.
  void stop();

  /// Whether partitions are given back after the next commit, be there anything to commit or not.
  bool ends_any() const { return !broke_.empty(); }
  /// Whether the next commit should be now, as partitions can go after it.
  bool wants_commit() const { return ends_any() || wants_commit_; }
  /// Whether partitions are still to be claimed.
  bool claims() const { return claims_.waiting(); }
  /// Whether the next turn has something to claim.
  bool is_due(Timestamp now) const { return claims_.is_due(now); }
  /// How many partitions are its share.
  std::size_t wanted() const { return claims_.wanted(); }
  /// Whether it runs these and no more; if not, others are to let some go, don't answer, or have not come yet.
  bool has_share() const { return !claims_.waiting() && !claims_.short_of_share() && handover_.all().empty(); }
  /// Whether others were just asked to let some go to it.
  bool expects_more(Timestamp now) const { return claims_.short_of_share() && now - crew_changed_ < soon_done; }
  /// Whether all that it runs has ended.
  bool nothing_left() const;
  std::size_t workers() const { return crew_.workers; }

 private:
  static constexpr Duration soon_done = 10 * second;

  void rests(LaneId lane);
  void let_go(Partition partition);
  void give_up(Partition partition, Duration claim_again_in);
  void give_back_broken(Partition partition);

  HeldLanes& lanes_;
  CommitCycle& cycle_;
  Credits& credits_;
  ToStore to_store_;
  Claiming claims_;
  Handover handover_;
  std::vector<Partition> finished_, broke_;
  Crew crew_;
  Timestamp crew_changed_ = 0;
  const Clock& clock_;
  bool wants_commit_ = false, stopped_ = false;
};

}  // namespace weir
