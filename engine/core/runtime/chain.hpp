/// The operators of a lane: samples in, through the transforms, completed to rows, out to sinks. Lane drives it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/decoder.hpp"
#include "core/runtime/node_statistics.hpp"

namespace weir {

/// A batch on its way to a sink, in the order in which it was made.
struct SinkBatch {
  std::size_t node = 0;      ///< number of the sink in Pipeline::nodes
  BatchPtr batch;            ///< completed, if the sink has `columns`
  std::uint64_t number = 0;  ///< of its first row, see Encoded::number
};

/// What one step produced, or a part of it.
struct ChainOutput {
  Place place;                         ///< everything up to here is in it
  bool replaying = false;              ///< it was made before: nothing of it is given out
  bool more = false;                   ///< this is a part of the step: the rest comes in more of them
  std::vector<std::uint64_t> emitted;  ///< by node, of sinks: see Place::emitted; empty: 0
  std::vector<SinkBatch> batches;
  std::vector<Sink::DeadLetter> dead_letters;
  Timestamp event = no_time;  ///< the greatest tick, or event's time, that any sink was given by now
};

/// Of its rows.
std::size_t bytes_of(const ChainOutput& output);

/// The state of one lane. Its state at a position depends on the messages up to there alone.
///
/// Threads   decode() may run in one thread while step() runs in another; each from one thread at a time.
class Chain {
 public:
  /// Cells, rows times columns, that a part of a step has at most, but for one row of each node.
  static constexpr std::size_t default_part_cells = 1u << 20;

  /// Makes the operators of the pipeline's transforms. The pipeline, registry, counters and clock must outlive it.
  /// `partitions`: as the source says; 1 where all keys are in one lane.
  Chain(const Pipeline& pipeline, const Registry& registry, Counters& counters, const Clock& clock, Partition partition,
        std::optional<std::uint32_t> partitions = {}, std::size_t part_cells = default_part_cells);
  ~Chain();

  /// The position before the first message to come, and the arrival time that was reached there (no_time: none yet):
  /// arrival never goes back behind it. After load(), before the first decode(). Error: what was loaded leaves no place
  /// for a field that a sink wants.
  Result<void> start(Position after, Timestamp arrival = no_time);

  /// From now on leaves out rows of ticks up to this one, see LaneStart::written, or up to what load() found, as the
  /// state still waits for them. Before the first step.
  void leave_out_until(Timestamp tick);
  /// The greatest tick, or event's time, that any sink was given.
  Timestamp latest_tick() const;

  /// The sink of this node has so many rows of what comes behind this position; see Place::emitted. Before the first
  /// step.
  void skip(std::size_t node, Position behind, std::uint64_t rows);

  /// Raw messages to a batch of samples (of no rows if they hold none but markers). Refused messages become dead
  /// letters of the decoded batch's step.
  Decoded decode(std::shared_ptr<const Messages> messages);

  /// Runs the transforms in order. `replaying`: replay, outputs are dropped and counters stand still. Fills
  /// `out` but for what is the lane's to know; if `out` has `more`, go_on() must follow before anything else. Dead
  /// letters come with the last part.
  Result<void> step(const Decoded& decoded, bool replaying, ChainOutput& out);

  /// The next part of the step under way.
  Result<void> go_on(ChainOutput& out);

  /// Feeds an already decoded batch to a node's input, past the source (cases, benchmarks).
  Result<void> step(const BatchPtr& samples, bool replaying, ChainOutput& out);

  /// The lane's tables; to make batches for step(BatchPtr).
  const std::shared_ptr<Dictionary>& keys() const;
  const std::shared_ptr<Dictionary>& fields() const;

  /// When the lane next has something to do without input.
  std::optional<Timestamp> due() const;

  /// State of all transforms and of the dictionaries, as of the last step().
  std::string save() const;
  /// Before the first decode(). A node's part is taken if id, operator and state version are the same; else the node
  /// starts empty and its id is in the answer.
  Result<std::vector<std::string>> load(std::string_view state);

  /// The latest session of a key that a transform holds.
  std::optional<KeySession> session(std::string_view key) const;

  /// Keys and bytes of state of a node, for the metrics.
  std::vector<std::pair<std::size_t, Transform::Size>> sizes() const;

  /// Sees every batch that leaves a port, before it goes on (cases, tap). Null: nobody looks.
  using Probe = std::function<void(PortRef, const BatchPtr&)>;
  void watch(Probe probe);

  /// Tells what each node takes, gives and spends; of the source, messages and decoding. Null: nobody asks. It must
  /// outlive the chain. Before the first decode().
  void measure(NodeStatistics* statistics);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
