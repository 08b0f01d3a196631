/// One partition's state machine: messages in, steps out. No threads, no clock, no I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/message_count.hpp"
#include "core/checkpoint/recovery.hpp"
#include "core/checkpoint/uncommitted_steps.hpp"
#include "core/runtime/chain.hpp"
#include "core/runtime/pieces.hpp"

namespace weir {

/// Its state at a position depends on the messages up to there alone, however they are cut into batches. It knows where
/// it is, what was committed before, and so which steps it replays; the executor, cases and the simulation drive it,
/// and bring messages, time and commits.
///
/// Threads   decode(), step() and encode() have state of their own: each may run in a thread of its own, on consecutive
///           messages. save(), at() and due() belong to step(). All else before the first decode().
class Lane {
 public:
  struct Surroundings {
    const Pipeline& pipeline;
    const Registry& registry;
    Counters& counters;
    const Clock& clock;                                      ///< for what operators ask of it; the lane asks nothing
    Claims source;                                           ///< what the source promises
    std::vector<std::pair<std::size_t, const Sink*>> sinks;  ///< by number of the node
    std::size_t part_cells = Chain::default_part_cells;      ///< at most in a part of a step, see Chain
  };

  /// All that is referred to must outlive the lane.
  Lane(Surroundings around, Partition partition);

  /// Takes over the state that recovery found. Answers the nodes for which there was none, although there was a state.
  /// changed, invalid, exhausted: it can't be taken.
  Result<std::vector<std::string>> load(const LaneStart& start);
  /// The source is open: the first message comes after this position of this stream.
  Result<void> begin(Position after, const StreamIdentity& stream);

  /// Cuts pulled messages so that no step reaches over the end of what a sink has, and at most `most` are in one. Not
  /// before begin(); any thread.
  std::vector<MessagesPtr> cut(MessagesPtr messages, std::size_t most = SIZE_MAX) const;
  /// Where a batch behind this position ends at the latest.
  Position border_after(Position position) const;

  /// Messages of ascending sequence, not empty, within a cut. changed: a replay comes to a committed position by
  /// another number of messages than were counted before.
  Result<Decoded> decode(MessagesPtr messages);
  /// The same of samples that come past the source's encoding, one a message (cases).
  Result<Decoded> pass(BatchPtr samples);
  /// Runs the operators. An error names the node; no step may follow. If there is `more`, this is the step's first
  /// part; go_on() gives the others, before anything else is asked of step()'s. Never of one that replays.
  Result<ChainOutput> step(const Decoded& decoded);
  Result<ChainOutput> go_on();
  /// What the sinks are to write. Not of a step that replays.
  LaneStep encode(ChainOutput output) const;

  /// Whether steps up to here are known to every sink.
  bool replays(Position position) const { return position <= start_.replay_until; }
  /// The place and the state of the last step, which has been given whole.
  Snapshot save() const { return {at_, chain_.save()}; }
  const Progress& at() const { return at_; }
  /// When there is something to do without input.
  std::optional<Timestamp> due() const { return chain_.due(); }
  std::vector<std::pair<std::size_t, Transform::Size>> sizes() const { return chain_.sizes(); }

  /// The lane's tables.
  const std::shared_ptr<Dictionary>& keys() const { return chain_.keys(); }
  const std::shared_ptr<Dictionary>& fields() const { return chain_.fields(); }

  /// Sees each batch that leaves a port, and, as port 0 of a sink, what that is given; nothing of a replay.
  using Probe = std::function<void(PortRef, const BatchPtr&)>;
  void watch(Probe probe);
  /// Tells what each node takes, gives and spends. It must outlive the lane.
  void measure(NodeStatistics& statistics);

 private:
  Result<ChainOutput> given(Result<void> done, ChainOutput out);
  Timestamp latest_tick() const;

  Surroundings around_;
  Partition partition_;
  LaneStart start_;
  Chain chain_;
  MessageCount count_;                     // of decode()
  Progress at_;                            // of the last step
  Place next_;                             // of the step under way
  bool replaying_ = false;                 // the step under way
  std::vector<std::uint32_t> numberings_;  // the same as each sink gets it, by node
  Probe probe_;
  NodeStatistics* statistics_ = nullptr;
};

}  // namespace weir
