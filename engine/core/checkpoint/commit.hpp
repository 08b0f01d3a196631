/// The commit cycle: rows of all lanes become durable together with the positions that they describe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "core/checkpoint/commit_sinks.hpp"
#include "core/checkpoint/dead_letters.hpp"
#include "core/checkpoint/recovery.hpp"
#include "core/checkpoint/snapshot.hpp"
#include "core/checkpoint/uncommitted_steps.hpp"
#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/sink_start.hpp"

namespace weir {

/// What a commit did.
struct CommitReport {
  struct Lane {
    Partition partition = 0;
    Position position = 0;
    Timestamp reached = no_time;   ///< arrival of its last step
    Timestamp earliest = no_time;  ///< of its first one
    Timestamp event = no_time;     ///< the newest tick, or event, of its rows; no_time: none
  };
  std::vector<Lane> committed;                      ///< tell the sources
  std::vector<Partition> refused;                   ///< somebody else owns these: stop them, acquire again later
  std::vector<std::pair<Partition, Error>> failed;  ///< a sink takes other lanes' rows, but not these's: stop them
  std::size_t bytes = 0;                            ///< credit set free, of the refused too
  std::size_t rows = 0;
};

/// Owns the order in which outputs become durable: other outputs first, then the transactional sinks, each with rows
/// and position in one transaction; a sink that already has a step is not given it again.
///
/// Threads   one; acquire(), give_back() and what sinks() says of renew() and heartbeat() from any at the same time.
/// Errors    unreachable: nothing is lost, call commit() again after a while; it opens and acquires again first.
///           refused: the same, once somebody has mended what a sink refuses all lanes for. Anything else can't be
///           mended by trying again.
class CommitCycle {
 public:
  /// All must outlive the cycle. `store`: as for CommitSinks.
  CommitCycle(const Pipeline& pipeline, std::vector<CommitSink> sinks, Snapshots& snapshots, DeadLetterBox& box,
              Counters& counters, Ledger& store);

  /// Opens every sink.
  Result<void> open() { return sinks_.open(); }

  /// A partition that is this worker's, before its lane takes part in commits.
  struct Acquired {
    LaneStart start;
    UncommittedSteps lane;
    std::vector<SinkStart> sinks;  ///< where each begins
  };
  /// Becomes the owner of a partition in every sink that keeps progress, and says where to start; reads its snapshot.
  /// Any thread, several partitions at once. held: another owns it. changed: as for recover(); or what this cycle had
  /// committed of it before was deleted since. `replays`: as for recover(). After an error give_back() has been done.
  Result<Acquired> acquire(Partition partition, bool replays = true);
  /// Has the acquired lane take part in commits from now on; before its first step. A sink that begins where the others
  /// stand is told so first. After an error the lane takes no part: lose() it, and give_back() the partition.
  Result<void> install(Partition partition, const Acquired& acquired);
  /// Gives a partition back in every sink. Any thread. Not while a lane of it takes part.
  void give_back(Partition partition);

  /// Takes a step over; answers the credit that it held if its lane was refused meanwhile, else 0. Positions of a lane
  /// ascend.
  std::size_t take(LaneStep step);

  /// A snapshot of this lane at `position` is whole in the store: commits from there on name it.
  void name_snapshot(Partition partition, std::string name, Position position);

  /// Whether the partition's lane takes part in commits: one that was refused does not.
  bool has(Partition partition) const { return lanes_.contains(partition); }
  /// Whether anything waits to be committed, and whether rows or dead letters are among it.
  bool pending() const;
  std::size_t pending_rows() const { return pending_rows_; }
  /// Whether steps of any lane, of this lane, are not committed yet: with rows or without.
  bool has_steps() const;
  bool has_steps(Partition partition) const;
  /// Whether anything of this lane waits to be committed, be it the name of a snapshot.
  bool pending(Partition partition) const;

  /// Makes what was taken so far durable: all of it, or after failures as much as is likely to succeed. pending() tells
  /// whether something is left.
  Result<CommitReport> commit();

  /// Forgets a lane, whose partition is then to be given back: its next owner may do with its progress what it wants.
  /// Answers the credit that its uncommitted steps held.
  std::size_t release(Partition partition);
  /// The same of one whose lease another has taken, or whose line of progress is gone: if this worker acquires it
  /// again, what was committed of it must still be there.
  std::size_t lose(Partition partition);
  /// Forgets all lanes, and gives back whatever is acquired.
  void release_all();

  /// What a heartbeat told of all partitions: none of it may vanish but by a reset.
  void note_committed(const std::vector<Standing>& standings);

  /// For leases and the members; partitions are acquired and given back by acquire() and give_back().
  CommitSinks& sinks() { return sinks_; }

 private:
  struct Found {
    Recovered recovered;
    std::vector<SinkStart> sinks;
  };
  Result<Found> take_ownership(Partition partition, bool replays);
  Result<Found> recover(Partition partition, std::vector<Progress> stands, bool replays);
  Result<void> not_deleted(Partition partition, std::span<const Progress> stands) const;
  Result<void> not_deleted(Partition partition, const Progress& remembered) const;
  /// Lets go of a lane's steps, and answers the credit that they held.
  std::size_t forget(Partition partition);
  void note_known(Partition partition, const UncommittedSteps& lane);
  Result<std::vector<SinkStart>> starts(Partition partition, std::span<const Progress> stands) const;
  Result<std::vector<Peer>> check_names(Partition partition, std::span<const Progress> stands) const;
  Error lost(Partition partition, std::size_t index) const;
  Result<void> adopt(Partition partition, std::span<const SinkStart> sinks);
  Result<Progress> latest_place(Partition partition) const;
  void name_blank(std::span<const SinkStart> starts, Recovered& found) const;
  std::string known_sinks(const UncommittedSteps& lane, std::size_t index) const;
  const std::string& kept_id(std::size_t index) const { return pipeline_.nodes[sinks_[index].node].kept_id(); }
  bool unreported() const;
  void cut_lanes();
  Result<void> reacquire(std::size_t index, CommitReport& report);
  Result<void> commit_sink(std::size_t index, CommitReport& report, std::optional<Partition> only = {});
  Result<void> commit_each(std::size_t index, Error why, CommitReport& report);
  Result<void> hand_over(std::size_t index, std::optional<Partition> only, std::vector<LaneCommit>& commits);
  Result<void> keep_rejected(std::size_t index, const std::vector<Committed::Rejected>& rejected);
  Result<void> write_dead_letters(std::size_t index, const LaneStep& step);
  Result<void> keep_in_box(const std::vector<Sink::DeadLetter>& letters);
  void advance(std::size_t index, UncommittedSteps& lane, UncommittedSteps::Reach reach);
  void drop(Partition partition, CommitReport& report);
  void announce(const std::string& node, Partition partition, const Reason& reason, std::string_view subject,
                bool beside_rows);
  Result<bool> complete(Partition partition, UncommittedSteps& lane, CommitReport& report);

  const Pipeline& pipeline_;
  CommitSinks sinks_;
  Snapshots& snapshots_;
  DeadLetterBox& box_;
  Counters& counters_;
  std::map<Partition, UncommittedSteps> lanes_;
  struct Known {
    struct Had {
      Position position = 0;  // 0: nothing
      std::uint32_t resets = 0;
    };
    std::vector<Had> had;  // by sink that keeps progress
    std::string snapshot;  // where none does: what told the place
    Position position = 0;
  };
  mutable std::mutex mutex_;  // what acquire() and give_back() need, too
  std::set<Partition> acquired_;
  std::map<Partition, Known> known_;  // of partitions that were lost, and of all that other workers have
  CommitReport unreported_;           // of commits that failed half-way
  std::size_t pending_rows_ = 0;
  std::size_t most_rows_ = SIZE_MAX;  // in a commit; a slow database is asked for less at a time
  std::size_t cut_rows_ = 0;          // of the commit at hand
  std::size_t failures_ = 0;          // of commits, in a row
  std::vector<std::size_t> rows_counters_;
  std::set<std::pair<std::string, std::string>> announced_;  // node and reason of letters that were logged
  std::size_t letters_ = 0, letters_left_out_ = 0;           // of the commit at hand
  std::size_t commits_counter_ = 0, retries_counter_ = 0, letters_counter_ = 0;
};

}  // namespace weir
