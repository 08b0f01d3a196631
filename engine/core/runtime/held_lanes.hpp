/// Lanes as whoever decides about partitions sees them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/checkpoint/snapshot.hpp"

namespace weir {

/// A partition's lane. The same partition may have one lane after another; what an earlier one said may come late.
struct LaneId {
  Partition partition = 0;
  std::uint64_t run = 0;  ///< each time a lane is set to work
  bool operator==(const LaneId&) const = default;
};

/// The lanes that a worker holds. Lanes runs them on threads; a simulation runs its own without.
///
/// Threads   one.
class HeldLanes {
 public:
  virtual ~HeldLanes() = default;

  /// Claims a partition and sets its lane to work. held: another worker owns it. unreachable: to be tried again soon.
  /// Any other: it can't go on, as with changed if its stream is not the one that was read. After an error the
  /// partition is given back.
  virtual Result<void> start(Partition partition) = 0;
  /// Asks one to stop; its `ended` says when nothing is in flight any more.
  virtual void let_go(Partition partition) = 0;
  /// The state of one at rest, if the store keeps it; nothing of one that has only replayed, or read nothing.
  virtual std::optional<Snapshot> state_at_rest(Partition partition) = 0;
  /// Stops and forgets one, with what is in flight, and that it was broken.
  virtual void drop(Partition partition) = 0;
  /// The same, but that it is broken, and why, stays until it starts again or is dropped.
  virtual void rest(Partition partition) = 0;

  /// This lane can't go on, and why. What breaks it again before it has got on is told once.
  virtual void broke(Partition partition, Error error) = 0;
  /// Whether something new was committed of the lane since it was last set to work, be it that it broke then.
  virtual bool got_on(Partition partition) const = 0;

  /// Whether this is the partition's lane now, not one that was let go.
  virtual bool has(LaneId lane) const = 0;
  virtual LaneId id(Partition partition) const = 0;
  /// Up to where one has stepped.
  virtual Position at(Partition partition) const = 0;
  virtual bool broken(Partition partition) const = 0;
  virtual std::vector<Partition> partitions() const = 0;
  /// How many there are, with those that could not even start.
  virtual std::size_t count() const = 0;
  /// Those that can't go on, be it that their lanes could not even start.
  virtual std::vector<Partition> broken() const = 0;

  /// What is committed, passed on to the source.
  virtual void committed(Partition partition, Position position) = 0;
  /// A lane's snapshot is in the store, or could not be written.
  virtual void snapshot_done(Partition partition) = 0;
};

}  // namespace weir
