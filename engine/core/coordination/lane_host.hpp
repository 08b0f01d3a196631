/// What a worker's loop asks of those who run its lanes.
#pragma once

#include "core/runtime/lane_id.hpp"

namespace weir {

/// Runs the lanes of a worker. Lanes does it on threads; a simulation without.
///
/// Threads   one.
/// Blocking  never on a service, but for what run() and finish_all() say: what takes time is done beside the caller,
///           and an event (worker_events.hpp) tells when.
class LaneHost {
 public:
  virtual ~LaneHost() = default;

  /// Acquires a partition and restores its lane: acquires it in every ledger, reads the snapshot, loads the operators'
  /// state, opens the stream. Several at once. Events: Acquired, when the ledgers have answered; Restored, always. If
  /// that has an error, the partition is released already.
  virtual void acquire(LaneId lane) = 0;
  /// Has a restored lane take part in commits, and sets it to work. Answers the position that was committed before. A
  /// new sink's ledger is written first, which blocks as long as one commit. After an error the lane does nothing;
  /// release() it.
  virtual Result<Position> run(LaneId lane) = 0;
  /// Asks a lane to stop pulling. Event: Ended, when nothing of it is in flight.
  virtual void stop(LaneId lane) = 0;
  /// Stores a final snapshot of a lane that has ended. Event: Stored, without a name if there is none to store.
  virtual void save(LaneId lane) = 0;
  /// Ends a lane, discards what it has in flight, and releases its partition. Event: Released.
  virtual void release(LaneId lane) = 0;

  /// What is committed, for the source.
  virtual void committed(Partition partition, Position position) = 0;
  /// Asks lanes whose last snapshot is older than the pipeline says for one; event: Stored. Not while one is being
  /// stored.
  virtual void want_snapshots(Timestamp now) = 0;
  /// A snapshot that was asked for is stored, or could not be.
  virtual void snapshot_done(Partition partition) = 0;
  /// Up to where a running lane has stepped.
  virtual Position at(Partition partition) const = 0;

  // For a drain.

  /// Asks all lanes to stop, and waits until nothing is in flight in any.
  virtual void finish_all() = 0;
  /// Stores a snapshot of each lane as it stands, and has the next commit name it; begins none after `until`.
  virtual void save_all(Timestamp until) = 0;
};

}  // namespace weir
