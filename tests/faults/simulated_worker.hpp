/// A worker without threads: the engine's own commit cycle, snapshots and recovery, over lanes that one step at a time
/// read a stream of numbers and add them up.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weir/store.hpp>

#include "core/commit.hpp"
#include "faults/simulated_database.hpp"

namespace weir::faults {

/// Message n of a partition is item n - 1.
using Streams = std::vector<std::vector<std::uint64_t>>;

/// The rows that a partition's stream makes.
std::vector<std::string> expected_rows(const Streams& streams, Partition partition);

/// The arrival time of a message: later in every incarnation of the stream than in the one before.
inline Timestamp arrival_of(std::uint32_t incarnation, Position position) {
  return static_cast<Timestamp>(1'000'000 * std::uint64_t{incarnation} + position);
}

/// What all workers share.
struct Plant {
  Dice& dice;
  Streams streams;
  Store& store;
  std::vector<SimulatedDatabase*> databases;
  std::vector<std::string>& list;           ///< of a sink without transactions
  std::vector<std::uint32_t> incarnations;  ///< of the streams: how often each was made anew
  bool snapshots_tell_truth = true;         ///< false: a snapshot says that it is older than it is
};

class SimulatedWorker {
 public:
  SimulatedWorker(Plant& plant, int number);

  /// One of the things that a worker does, by chance.
  void act();
  void renew();
  /// Claims everything, reads to the end and commits; false if it isn't through yet.
  bool finish();
  Timestamp stalled_until = 0;
  /// What can't happen but did; empty if nothing.
  const std::string& failure() const { return failure_; }

 private:
  struct Lane {
    LaneStart start;
    Position at = 0;
    std::uint64_t sum = 0;
    std::uint64_t rows = 0;  ///< made so far, by which they are numbered
  };
  /// A snapshot that is not in the store yet.
  struct Taken {
    Partition partition = 0;
    Snapshot snapshot;
  };

  static constexpr std::size_t rows_counted = 400;  ///< for each, so that commits after a failure take a part

  void claim(Partition partition);
  void read(Partition partition, Lane& lane);
  /// Whether the lane's stream was made anew; the lane lets go of it when everything before that is committed.
  bool over(Partition partition, const Lane& lane) const;
  void take_snapshot(Partition partition, const Lane& lane);
  void store_snapshots();
  void commit();
  void hand_over(Partition partition);
  void fail_if_fatal(const Error& error, const char* doing);

  Plant& plant_;
  std::string fence_;
  Pipeline pipeline_;
  Snapshots snapshots_;
  std::unique_ptr<DeadLetterBox> box_;
  Counters counters_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::unique_ptr<CommitCycle> cycle_;
  std::map<Partition, Lane> lanes_;
  std::vector<Taken> taken_;
  std::string failure_;
};

}  // namespace weir::faults
