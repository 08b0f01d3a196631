/// Who owns a partition and how far it has come: the table weir_progress beside the rows.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "clients/postgres.hpp"

namespace weir::postgres {

/// One sink node's lines of weir_progress.
///
/// Threads   any; the statements go over the connection that the caller brings, which one thread uses at a time.
class Ledger {
 public:
  Ledger(std::string pipeline, std::string node, Duration lease);

  /// SQL that makes the table in a schema if it is not there. Also says in which schema the ledger is from now on.
  std::string create(const std::string& schema);
  /// SQL to run once on every connection that commits.
  std::string prepare() const;

  Result<Progress> claim(Connection& connection, Partition partition);
  Result<std::vector<Partition>> renew(Connection& connection);
  Result<void> release(Connection& connection, Partition partition);

  /// Lines of all partitions, whoever owns them. No table: no lines.
  Result<std::vector<ProgressLine>> lines(Connection& connection) const;
  /// Forgets a partition (nothing: all) if no lease on it runs; answers how many were forgotten.
  Result<std::size_t> forget(Connection& connection, std::optional<Partition> partition) const;

  /// May this partition's rows be committed? Not if it was never claimed, or has to be claimed again first.
  bool holds(Partition partition) const;

  /// SQL that moves held lanes on from where they last stood, and answers the partitions for which that was still so.
  /// To be run last in their transaction, once prepare() was run.
  std::string advance(std::span<const LaneCommit> lanes) const;
  /// The transaction was committed.
  void advanced(std::span<const LaneCommit> lanes);
  /// Another owns this partition.
  void lose(Partition partition);
  /// The outcome of a commit is unknown, or the connection was lost: nothing is certain until it is claimed again.
  void doubt();

 private:
  struct Claim {
    std::int64_t fence = 0;
    Position position = 0;
    bool held = true;
  };
  Error held_by_another(Connection& connection, Partition partition) const;

  std::string pipeline_;
  std::string node_;
  std::string owner_;
  Duration lease_;
  std::string table_;
  mutable std::mutex mutex_;
  std::map<Partition, Claim> claims_;
};

}  // namespace weir::postgres
