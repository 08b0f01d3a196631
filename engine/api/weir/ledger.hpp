/// The contract of a ledger: how far a pipeline's partitions have come, and which worker owns each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weir/source.hpp>
#include <weir/types.hpp>

namespace weir {

/// A place in a partition's stream, and what led there.
struct Place {
  Position position = 0;            ///< of a message; 0: before the first
  Timestamp arrival = no_time;      ///< arrival time that was reached: the greatest timestamp up to `position`
  Timestamp stamp = no_time;        ///< the stream's own timestamp of the message at `position`; no_time: not known
  std::uint64_t consumed = 0;       ///< messages and markers that led to `position`
  std::uint64_t emitted = 0;        ///< rows of one sink behind `position` that are there too, counted before they are
                                    ///< completed: one message or deadline may make more than fit in a transaction
  Timestamp latest_tick = no_time;  ///< where the source can't replay: the greatest tick, or event's time, of any row
                                    ///< up to there; no_time: none. A commit never lowers it
};

/// A partition's progress, as a ledger keeps it.
struct Progress {
  Place place = {};              ///< everything up to here is committed; position 0: nothing yet
  std::string snapshot = {};     ///< name of the newest snapshot that a commit named; empty: none
  std::string fingerprint = {};  ///< of the pipeline that wrote it
  StreamIdentity stream = {};
  std::string sinks = {};       ///< ids, separated by blanks: the pipeline's sinks, those that wait for their first
                                ///< commit with a '?'
  std::uint32_t resets = 0;     ///< how often Ledger::reset() forgot what was here; a commit never lowers it
  std::uint32_t numbering = 0;  ///< see Encoded, of the rows that led there: one of two owners at the same position
                                ///< that gave other rows has another; 0: not known
};

/// A partition as a ledger shows it, with any owner or none.
struct ProgressLine {
  Partition partition = 0;
  Progress progress = {};
  std::string owner = {};       ///< empty: nobody
  Timestamp since = no_time;    ///< when that owner acquired it first, without a break, in the ledger's time
  Duration lease_left = 0;      ///< not above 0: the lease has run out
  Timestamp updated = no_time;  ///< last commit, in the ledger's time
};

/// That something of a partition is committed.
struct Standing {
  Partition partition = 0;
  Position position = 0;
  std::uint32_t resets = 0;  ///< see Progress
  bool operator==(const Standing&) const = default;
};

/// The workers that share the partitions of a pipeline, as one of them sees it.
struct Members {
  std::size_t workers = 1;               ///< those whose leases run, the calling one among them
  std::size_t rank = 0;                  ///< of the calling one, from 0: every worker sees the same order
  std::vector<Partition> taken = {};     ///< what others own now, ascending
  std::vector<Standing> committed = {};  ///< of all partitions with progress: should it vanish, who acquires one knows
  bool operator==(const Members&) const = default;
};

/// Progress that another sink or pipeline keeps in the same place.
struct Peer {
  std::string pipeline, node;
  bool same_table = false;  ///< it writes the table of this sink
  std::string stream = {};  ///< name, see StreamIdentity
};

/// Keeps progress and ownership: beside the rows in the database of a transactional sink, else in the state store.
/// Progress advances by what its owner commits (Sink::commit), never here.
///
/// Threads   any, several at once and beside a commit, whose length must not delay them where the system allows that.
/// Blocking  each call is a few round trips, and fails as unreachable after the operator's own time limit; it connects
///           again by itself.
class Ledger {
 public:
  virtual ~Ledger() = default;

  /// Makes this worker the owner of a partition, with a new fence, and answers its progress. A former owner's commits
  /// fail from then on.
  /// Errors    held: another's lease runs. unreachable: nobody knows whether it is the owner; release() it.
  virtual Result<Progress> acquire(Partition partition) = 0;
  /// Requires  that this worker owns the partition.
  /// Answers progress of this pipeline's other sinks, and of other pipelines that write the same table.
  virtual Result<std::vector<Peer>> peers(Partition) { return std::vector<Peer>{}; }
  /// Extends the leases of all owned partitions; answers those that were lost, which it renews no more.
  virtual Result<std::vector<Partition>> renew() { return std::vector<Partition>{}; }
  /// Gives a partition back after its last commit, so that another worker need not wait for the lease. It is renewed no
  /// more, whether the ledger could be reached or not. One that is not owned: no effect.
  virtual void release(Partition partition) = 0;
  /// How long a lease lasts; renew() is called three times in it. 0: there are none, and no members.
  virtual Duration lease() const { return 0; }

  /// Says that this worker lives, for as long as a lease; answers who shares the partitions.
  /// Errors    changed: another instance has this worker's name for good; end. held: one may have it for a moment yet.
  virtual Result<Members> heartbeat() { return Members{}; }
  /// Ends the membership, so that others need not wait for the lease.
  virtual void leave() {}

  /// What is kept of all partitions, for `weir progress`. Needs no open(), creates nothing.
  /// Errors    held: a process that has the place open alone can tell.
  virtual Result<std::vector<ProgressLine>> progress() = 0;
  /// Forgets the progress of a partition, or of all, but for Progress::resets, which it raises: the partition starts as
  /// if it had never run. Answers how many were forgotten.
  /// Errors    held: a lease on one of them runs, and nothing is forgotten.
  virtual Result<std::size_t> reset(std::optional<Partition> partition) = 0;
};

}  // namespace weir
