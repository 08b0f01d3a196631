/// The contract of a sink.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weir/batch.hpp>
#include <weir/context.hpp>
#include <weir/source.hpp>
#include <weir/types.hpp>

namespace weir {

/// Rows as they will be written: encoded in the lane, in parallel, then handed to the one writer.
struct Encoded {
  Partition partition = 0;
  Position last = 0;            ///< position of the batch they come from
  std::uint64_t number = 0;     ///< of its first row, counting the rows that the lane gave this sink in this numbering:
                                ///< pipeline/node/partition/numbering/number is a row's id, and never another row's
  std::uint32_t numbering = 0;  ///< the same after a crash if the source replays, else each run's own; another one in
                                ///< another epoch of the stream, and after a reset
  std::size_t rows = 0;
  std::string bytes;  ///< the sink's own format; may be empty if `batch` is enough
  BatchPtr batch;     ///< the rows themselves, for bisecting and for sinks that encode nothing
};

/// A place in a partition's stream, and what led there.
struct Place {
  Position position = 0;            ///< of a message; 0: before the first
  Timestamp arrival = no_time;      ///< arrival time that was reached: the greatest timestamp up to `position`
  Timestamp stamp = no_time;        ///< the stream's own timestamp of the message at `position`; no_time: not known
  std::uint64_t consumed = 0;       ///< messages and markers that led to `position`
  Timestamp latest_tick = no_time;  ///< where the source can't replay: the greatest tick, or event's time, of any row
                                    ///< up to there; no_time: none
};

/// What is known of a partition's progress in a sink that keeps it.
struct Progress {
  Position position = 0;         ///< everything up to here is committed; 0: nothing yet
  Timestamp arrival = no_time;   ///< arrival time that was reached: the greatest timestamp up to `position`
  std::string snapshot = {};     ///< name of the newest snapshot that a commit named; empty: none
  std::string fingerprint = {};  ///< of the pipeline that wrote it
  StreamIdentity stream = {};
  Timestamp stamp = no_time;   ///< the stream's timestamp of the message at `position`; no_time: not known
  std::uint64_t consumed = 0;  ///< messages and markers that led to `position`
  std::string sinks = {};      ///< ids, parted by blanks: the pipeline's sinks, those that wait for their first
                               ///< commit with a '?'
  std::uint32_t resets = 0;    ///< how often Sink::reset() forgot what was here; a commit never lowers it
  std::uint64_t emitted = 0;   ///< rows of this sink behind `position` that are committed too, counted before they are
                               ///< completed: one message or deadline may make more than fit in a transaction
  Timestamp latest_tick = no_time;  ///< see Place; a commit never lowers it
  std::uint32_t numbering = 0;      ///< see Encoded, of the rows that led there: one of two owners at the same position
                                    ///< that gave other rows has another; 0: not known
};

/// A line of `weir progress show`: what a sink keeps of one partition, whoever owns it.
struct ProgressLine {
  Partition partition = 0;
  Progress progress = {};
  std::string owner = {};       ///< empty: nobody
  Timestamp since = no_time;    ///< when that owner claimed it first, without a break, in the database's time
  Duration lease_left = 0;      ///< not above 0: the lease has run out
  Timestamp updated = no_time;  ///< last commit, in the database's time
};

/// The workers that share the partitions of a pipeline, as one of them sees it.
struct Members {
  std::size_t workers = 1;            ///< those whose leases run, the asking one among them
  std::size_t rank = 0;               ///< of the asking one, from 0: every worker sees the same order
  std::vector<Partition> taken = {};  ///< what others own now, ascending
  bool operator==(const Members&) const = default;
};

/// One partition's part of a commit: rows handed over by write() up to `next.position` become durable together with it.
struct LaneCommit {
  Partition partition = 0;
  Progress next;
};

/// What became of a commit.
struct Committed {
  /// Partitions whose fence or position no longer fits: somebody else owns them. Their rows are not written; the
  /// others' are.
  std::vector<Partition> refused = {};
  /// Rows that the system would not take for their data, each with its reason; the rest was committed.
  struct Rejected {
    BatchPtr batch;
    std::size_t row = 0;
    std::string reason;          ///< counted by what stands before its first ':'
    bool dead_lettered = false;  ///< the sink has put it to its own dead letters, in the same commit
  };
  std::vector<Rejected> rejected = {};
  /// Dead letters, of these rows or handed over by write_dead_letter(), that the sink left out for their number.
  std::size_t letters_left_out = 0;
};

/// Where rows end. One instance per worker and sink node, with one writer; rows of all lanes pass through it.
///
/// Threads   encode() from any lane, several at once; open, write, write_dead_letter, commit from the writer only;
///           claim, peers, renew, release, heartbeat and leave from any, several at once and beside a commit, of whose
///           length theirs must not depend where the system allows that.
/// Errors    commit(): unreachable means that the outcome is unknown or nothing was written; the engine claims again
///           and either finds the position moved, or gives the same rows again.
class Sink {
 public:
  virtual ~Sink() = default;

  /// Decides whether it can take this schema; for a sink with `columns` this is the completed rows' one. Pure; lint
  /// calls it.
  virtual Result<void> bind_schema(const SchemaPtr& input) = 0;

  /// Connects, creates or checks what it writes to. Called once; again only after an error of write(),
  /// write_dead_letter() or commit(). Forgets what was written and not committed: those rows may be gone.
  virtual Result<void> open() = 0;

  /// The work that can be done in the lane. The default hands the batch on.
  virtual Encoded encode(const BatchPtr& rows) const {
    Encoded out;
    out.rows = rows->rows;
    out.batch = rows;
    return out;
  }

  /// Hands rows over for the next commit(). They must not become visible before it if the sink is transactional. `rows`
  /// stays where it is until that commit() has returned, so a pointer to it may be kept and nothing need be copied.
  virtual Result<void> write(const Encoded& rows) = 0;

  /// Makes everything written durable and, if transactional, the lanes' progress with it, atomically. A sink that is
  /// not transactional ignores the progress. Whatever the outcome, what was written before is forgotten
  /// then: after an error the engine opens, claims, and gives the same rows again.
  virtual Result<Committed> commit(std::span<const LaneCommit> lanes) = 0;

  // Only for transactional sinks.

  /// Makes this worker the owner of a partition, with a new fence; answers where it stands. `held` while another's
  /// lease runs. Connects again by itself, as do the other calls that any thread may make.
  virtual Result<Progress> claim(Partition) { return Progress{}; }
  /// Progress of others in the same place, which may be this sink's under another name: of this pipeline's other sinks,
  /// and of other pipelines' that write the same table. Of a claimed partition.
  struct Peer {
    std::string pipeline, node;
    bool same_table = false;
    std::string stream = {};  ///< name, see StreamIdentity
  };
  virtual Result<std::vector<Peer>> peers(Partition) { return std::vector<Peer>{}; }
  /// Extends the leases of all claimed partitions; answers the partitions that were lost.
  virtual Result<std::vector<Partition>> renew() { return std::vector<Partition>{}; }
  /// Gives a partition back after its last commit, so that another need not wait for the lease, and renews it no more,
  /// connected or not.
  virtual void release(Partition) {}
  /// How long a lease lasts; renew() is called three times in it. 0: there are none, and no members.
  virtual Duration lease() const { return 0; }
  /// Says that this worker is there for as long as a lease, and answers who shares the partitions with it.
  virtual Result<Members> heartbeat() { return Members{}; }
  /// Says that it will not be there any more, so that the others need not wait for the lease.
  virtual void leave() {}

  /// What is kept of all partitions, for `weir progress`: connects by itself, needs no open() and makes nothing.
  /// `held`: a process that has it open alone can tell.
  virtual Result<std::vector<ProgressLine>> progress() { return std::vector<ProgressLine>{}; }
  /// Forgets a partition's progress (nothing: all partitions') but for Progress::resets, which it raises, so that the
  /// partition starts as if it had never run; answers how many were forgotten. `held` while a lease on one of them
  /// runs. As progress() otherwise.
  virtual Result<std::size_t> reset(std::optional<Partition>) { return 0; }

  /// Writes dead letters beside the rows, durable with the next commit; false if this sink has no such place (the
  /// engine then writes a file).
  struct DeadLetter {
    Partition partition = 0;
    Position position = 0;
    std::uint32_t ordinal = 0;  ///< among the dead letters of this position
    Timestamp arrival = no_time;
    std::string node, reason, subject, payload;
    std::string key = {};                   ///< of its message or row; empty: not known. Kept nowhere
    std::optional<std::uint64_t> row = {};  ///< of a row that a sink would not take: its number, see Encoded
  };
  virtual bool write_dead_letter(const DeadLetter&) { return false; }
};

}  // namespace weir
