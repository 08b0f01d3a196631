/// The nodes of a lane's pipeline, and how batches go through them. Chain drives it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <weir/transform.hpp>

#include "core/plan/node_context.hpp"
#include "core/runtime/chain.hpp"
#include "core/runtime/row_merge.hpp"
#include "core/runtime/sink_rows.hpp"
#include "core/runtime/step_output.hpp"

namespace weir {

/// Takes one step at a time, in parts of a bounded size: always the furthest node that has something to do goes on, so
/// nothing waits in the midst of the chain while more is made.
///
/// Threads   one.
class Stages {
 public:
  struct Stage {
    const Node* node = nullptr;
    std::size_t number = 0;
    std::unique_ptr<NodeContext> context;
    std::unique_ptr<Transform> transform;  // of transforms
    std::unique_ptr<SinkRows> sink;        // of sinks
    std::vector<BatchPtr> waiting;         // at its input
    std::optional<RowMerge> merge = {};    // of several inputs: what is behind it waits
    struct Reader {
      Stage* stage = nullptr;
      std::size_t input = 0;  // of its inputs
    };
    struct Exit {
      std::vector<Reader> readers;
      std::size_t unread = 0;       // counter of rows that nobody reads; if there are no readers
      Timestamp reached = no_time;  // in this step
    };
    std::vector<Exit> exits;                // by output port
    std::optional<StepOutput> output = {};  // of the step under way, once it has been called in it
    std::vector<Sink::DeadLetter> refused = {};
  };

  /// All must outlive it. `part_cells`: see Chain.
  Stages(const NodeContext::Shared& around, Partition partition, const std::shared_ptr<Dictionary>& keys,
         const std::shared_ptr<Dictionary>& fields, std::size_t part_cells);

  /// A step: what the source gives, and what was refused before.
  void begin(const BatchPtr& samples, bool replaying, std::vector<Sink::DeadLetter> refused);
  /// The next part of it. Dead letters come with the last one.
  Result<void> run(ChainOutput& out);
  bool replaying() const { return replaying_; }

  std::vector<Stage>& all() { return stages_; }
  const std::vector<Stage>& all() const { return stages_; }
  void watch(Chain::Probe probe) { probe_ = std::move(probe); }
  void measure(NodeStatistics* statistics) { statistics_ = statistics; }

 private:
  /// What a stage was given and is through with.
  struct Taken {
    std::uint64_t batches = 0, rows = 0;
    void add(const Batch& batch) {
      batches += batch.rows == 0 ? 0 : 1;
      rows += batch.rows;
    }
  };

  void make_stage(const NodeContext::Shared& around, std::size_t number, const std::shared_ptr<Dictionary>& keys,
                  const std::shared_ptr<Dictionary>& fields);
  void link(Stage& stage);
  void deliver(Stage& from, Port port, const BatchPtr& batch);
  void put(const Stage::Reader& reader, const BatchPtr& batch);
  bool reads_source(const Stage& stage) const;
  Stage* next_stage();
  Result<void> merge(Stage& stage);
  void give_rows(Stage& stage, Taken& taken, ChainOutput& out);
  Result<void> run_transform(Stage& stage, Taken& taken);
  void open(Stage& stage);
  void finish(Stage& stage);
  void note_emitted(ChainOutput& out) const;
  void pass_markers(Stage& stage);
  void close_exits(const Stage& stage);

  const Pipeline& pipeline_;
  Counters& counters_;
  const Partition partition_;
  const std::size_t part_cells_;
  std::vector<Stage> stages_;
  Chain::Probe probe_;
  NodeStatistics* statistics_ = nullptr;

  // The step under way.
  BatchPtr samples_;
  bool replaying_ = false;
  std::vector<Sink::DeadLetter> refused_;  // of stages that have finished, behind those of the source
  std::size_t unfinished_ = 0;             // the first stage to which something may still come
  std::size_t furthest_ = 0;               // no stage behind it has something to do
  std::size_t cells_ = 0;                  // that this part may still have
};

}  // namespace weir
