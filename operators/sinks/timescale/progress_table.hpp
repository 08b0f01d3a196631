/// Who owns a partition and how far it has come: the tables weir_progress and weir_workers beside the rows.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "clients/postgres.hpp"

namespace weir::postgres {

/// One sink node's lines of weir_progress.
///
/// Threads   any; the statements go over the connection that the caller brings, which one thread uses at a time.
class ProgressTable {
 public:
  /// `worker`: as whom it acquires; empty: a name of its own. Each object is an instance of that worker.
  /// `target`: the table of the sink's rows, without its schema.
  ProgressTable(std::string pipeline, std::string node, std::string target, std::string worker, Duration lease);

  /// What a connection that commits is to call itself, "weir/<pipeline>/<node>/<the instance>": by that name its
  /// successor finds what it has left in the middle of a transaction.
  std::string session() const;

  /// Takes the worker's name for as long as this connection lasts: only one instance may acquire under it. held:
  /// another one has it.
  Result<void> take_name(Connection& connection) const;

  /// SQL that makes the tables in a schema if they are not there. Also says in which schema the progress_table is from
  /// now on.
  std::string create(const std::string& schema);
  /// SQL to run once on every connection that commits.
  std::string prepare() const;

  Result<Progress> acquire(Connection& connection, Partition partition);
  /// Ends what transactions the former owners of what was acquired have open: a worker that stands still in the middle
  /// of one would keep it for as long as it does, and hold up vacuum and the dropping of chunks. The acquisitions stand
  /// whatever this answers; unreachable: not done yet, call it again; refused: the server does not allow it for one of
  /// them.
  Result<void> end_former(Connection& connection);
  /// As Ledger::peers().
  Result<std::vector<Peer>> peers(Connection& connection, Partition partition) const;
  Result<std::vector<Partition>> renew(Connection& connection);
  Result<void> release(Connection& connection, Partition partition);
  /// As Ledger::heartbeat() and Sink::leave().
  Result<Members> heartbeat(Connection& connection) const;
  Result<void> leave(Connection& connection) const;

  /// Lines of all partitions, whoever owns them. No table: no lines.
  Result<std::vector<ProgressLine>> lines(Connection& connection) const;
  /// Forgets a partition (nothing: all) if no lease on it runs; answers how many were forgotten.
  Result<std::size_t> forget(Connection& connection, std::optional<Partition> partition) const;

  /// May this partition's rows be committed? Not if it was never acquired, or has to be acquired again first.
  bool holds(Partition partition) const;

  /// SQL that moves held lanes on from where they last stood, and answers the partitions for which that was still so.
  /// To be run last in their transaction, once prepare() was run.
  std::string advance(std::span<const LaneCommit> lanes);
  /// The transaction was committed.
  void advanced(std::span<const LaneCommit> lanes);
  /// Another owns this partition, or may from now on: it is not renewed any more.
  void lose(Partition partition);
  /// The outcome of a commit is unknown, or the connection was lost: nothing is certain until what was to be committed
  /// is acquired again.
  void doubt();

 private:
  std::string table() const;
  std::string workers() const;
  struct Ownership {
    std::int64_t fence = 0;
    std::int64_t next = 0;  // of an acquisition whose answer has not come
    Position position = 0;
    std::uint64_t emitted = 0;
    bool held = true;
    bool used = false;  // a commit was begun under it
  };
  Error held_by_another(Connection& connection, Partition partition) const;
  std::string session_of(std::string_view instance) const;

  std::string pipeline_;
  std::string node_;
  std::string target_;
  std::string owner_, instance_;
  Duration lease_;
  std::string table_;    // what open() found, while others ask …
  std::string workers_;  // … and theirs
  mutable std::mutex mutex_;
  std::map<Partition, Ownership> owned_;
  std::set<std::string> former_;  // instances whose transactions are still to be ended
};

}  // namespace weir::postgres
