/// Decides which partitions a worker runs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weir/sink.hpp>

#include "core/coordination/sharing.hpp"
#include "core/runtime/lane_id.hpp"

namespace weir {

/// What is to be done about a partition's lane.
struct PartitionAction {
  enum class Kind {
    acquire,  ///< LaneHost::acquire()
    run,      ///< LaneHost::run(); then started(), or failed_to_start()
    stop,     ///< LaneHost::stop()
    save,     ///< LaneHost::save()
    release,  ///< all of it is committed: release it
    abandon,  ///< another worker has it: discard what is uncommitted, and release it
  };
  Kind kind = Kind::acquire;
  LaneId lane = {};
  bool operator==(const PartitionAction&) const = default;
};

/// Acquires a worker's share of the partitions, revokes what becomes another worker's, and retries what fails. Pure: a
/// record per partition with a named state; events in, actions out; no I/O and no clock.
///
///     unowned ─▶ acquiring ─▶ restoring ─▶ running ─▶ revoking ─▶ releasing ─▶ unowned, or failed if it has an error
///        ▲___________│____________│
///
/// A revoked partition goes in four steps: its lane stops, nothing of it is in flight, a final snapshot is stored, and
/// a commit has its last rows and names that snapshot. So the next owner has nothing to read again. A failed lane
/// commits what stands before the failure and is released without a snapshot: another worker may try it, and this one
/// does so again after a pause.
///
/// Times are steady. An event of a lane that is not the partition's current one changes nothing.
/// Threads   one.
class PartitionManager {
 public:
  enum class State { unowned, acquiring, restoring, running, revoking, releasing, failed };

  /// A partition that another worker owns, or whose service does not answer.
  static constexpr Duration again_after = second;
  /// A failed one: somebody has to repair its stream, its progress, a permission or a disk. Doubled each time that it
  /// has committed nothing new before it failed again.
  static constexpr Duration first_retry = 10 * second, last_retry = 5 * minute;
  static constexpr std::size_t at_once = 4;  ///< acquisitions

  explicit PartitionManager(std::uint32_t partitions) : records_(partitions) {}

  /// Who shares the partitions.
  void assign(const Members& members, Timestamp now);
  void acquired(LaneId lane);
  void restored(LaneId lane);
  /// `committed`: the position that was committed before.
  void started(LaneId lane, Position committed);
  /// How a failure is to be logged.
  enum class News { none, failed, failed_again };
  /// It can't be acquired, restored or run. held, unreachable: retried soon.
  News failed_to_start(LaneId lane, Error error, Timestamp now);
  News ended(LaneId lane, std::optional<Error> error, Timestamp now);
  /// Its final snapshot is stored, or can't be: then the next owner reads more again.
  void stored(LaneId lane);
  void released(LaneId lane);
  /// Its lease, or its fence in a commit: another worker has it, or its progress was deleted. False if the lane has
  /// no lease: it is not being acquired or restored, running or revoking.
  bool lost(LaneId lane, Timestamp now);
  void committed(Partition partition, Position position);
  /// A commit went through: those that are to be released have had theirs.
  void commit_done() { wants_commit_ = false; }
  /// What is due by now. `pending`: whether anything of a partition is uncommitted.
  void turn(Timestamp now, const std::function<bool(Partition)>& pending);
  /// The worker drains: nothing is acquired or revoked any more.
  void stop();

  /// The actions that the events since the last call ask for, in order.
  std::vector<PartitionAction> take_actions() { return std::exchange(actions_, {}); }

  State state(Partition partition) const { return records_.at(partition).state; }
  /// Whether this is the partition's lane, and running or revoking.
  bool has(LaneId lane) const;
  /// Whether the partition failed.
  bool has_error(Partition partition) const { return records_.at(partition).error.has_value(); }
  LaneId lane(Partition partition) const { return {partition, records_.at(partition).run}; }
  std::vector<Partition> in(State state) const;
  /// How many partitions are this worker's share.
  std::size_t share() const { return share_; }
  /// How many of these it can't acquire yet, as others own them.
  std::size_t missing() const;
  std::size_t workers() const { return members_.workers; }
  /// Whether it runs its share and no more.
  bool has_share() const;
  /// Whether others are just about to release some to it.
  bool expects_more(Timestamp now) const { return is_short() && now - members_changed_ < soon_done; }
  /// Whether rows should be committed now, as partitions can be released then.
  bool wants_commit() const { return wants_commit_; }
  /// Whether every lane has ended or failed, and no partition is to come.
  bool nothing_left() const;

  /// What keeps partitions from being acquired, of the first that it does; empty: nothing.
  std::string unreachable() const;
  /// Why partitions can't go on.
  std::vector<std::pair<Partition, Error>> failures() const;
  /// The message of such an error, without the partition's number where it begins with that.
  static std::string_view reason_of(Partition partition, const std::string& message);

  /// How the start went: nothing until each partition of the first share has been tried. unreachable: no service
  /// answers. `whole`: one that fails or does not answer fails the start; else only if none is left, or a mistake of
  /// the user's, which is all partitions'.
  std::optional<Result<void>> start_outcome(bool whole) const;

 private:
  static constexpr Duration soon_done = 10 * second;

  struct Record {
    State state = State::unowned;
    std::uint64_t run = 0;
    bool assigned = false;   // to be acquired when it is due
    bool tried = false;      // since it was assigned
    bool held = false;       // by another worker, when it was tried last
    bool cancelled = false;  // acquiring or restoring, but not assigned any more, or lost
    bool ended = false;      // nothing of its lane is in flight
    bool saving = false;     // its final snapshot
    bool progressed = false;
    Position begun = 0;
    Timestamp next_try = 0;
    Duration pause = 0;               // after a failure
    std::optional<Error> error = {};  // why it can't go on
    std::string unreachable = {};     // what does not answer
    std::string told = {};            // the failure that was logged
  };

  void act(PartitionAction::Kind kind, Partition partition) { actions_.push_back({kind, lane(partition)}); }
  Record* current(LaneId lane);
  static bool is_leaving(const Record& record);
  static bool is_held(const Record& record);
  Holding holding() const;
  bool is_waiting(const Record& record) const;
  std::size_t count() const;
  bool is_short() const { return count() < share_; }
  void assign(Partition partition, bool assigned, Timestamp now);
  void revoke(Partition partition);
  void release(Partition partition, PartitionAction::Kind how);
  News note_failure(Record& record, Error error, Timestamp now);
  void acquire_due(Timestamp now);

  std::vector<Record> records_;
  std::vector<PartitionAction> actions_;
  Members members_;
  Timestamp members_changed_ = 0;
  std::size_t share_ = 0;
  bool assigned_ = false, wants_commit_ = false, stopped_ = false;
};

}  // namespace weir
