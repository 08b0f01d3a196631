/// What one lane has made that is not committed yet, and what each sink has of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <ranges>
#include <span>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "core/checkpoint/recovery.hpp"

namespace weir {

/// What one step of a lane made, encoded, ready to be written.
struct LaneStep {
  Partition partition = 0;
  Place place;                              ///< everything up to here is in this step or an earlier one
  std::vector<std::uint64_t> emitted = {};  ///< by node: rows behind it that are, see Progress; empty: 0
  struct Rows {
    std::size_t sink = 0;  ///< number of the node
    Encoded encoded;
    std::size_t rejected = 0;  ///< of the rows: the sink would not take them
  };
  std::vector<Rows> rows;
  std::vector<Sink::DeadLetter> dead_letters;
  std::size_t bytes = 0;      ///< credit that it holds until it is committed
  Timestamp event = no_time;  ///< the greatest tick, or event's time, of its rows; no_time: none
};

/// Rows and dead letters of a step.
std::size_t rows_of(const LaneStep& step);

/// Sinks are numbered as their owner numbers them.
///
/// Threads   one.
class UncommittedSteps {
 public:
  /// What a sink has: all up to a position, and so many rows behind it.
  struct Reach {
    Position position = 0;
    std::uint64_t emitted = 0;
    auto operator<=>(const Reach&) const = default;
  };
  struct Stand {
    std::size_t node = 0;  ///< the sink's
    Progress progress;
  };

  /// A lane that starts where `least`, the least advanced progress, says. `stands`: what each sink has, and how often
  /// it was reset itself; the last `ledgers` of them keep progress.
  UncommittedSteps(std::span<const Stand> stands, std::size_t ledgers, const Progress& least);

  /// Steps must not reach over the end of what a sink has: says so in `start`.
  void set_borders(LaneStart& start) const;
  /// Where the lane begins, of which stream and in which numbering; before its first step.
  void reading(const Progress& begins);

  void take(LaneStep step);
  /// The rows that were given to a node's sink as this batch, and their step, which is not complete yet.
  struct Given {
    LaneStep& step;
    LaneStep::Rows& rows;
  };
  Given given(std::size_t node, const BatchPtr& batch);
  void name_snapshot(std::string name, Position position);

  /// Decides what the commit at hand takes: the first steps, one at least, of about so many rows. Answers their rows.
  std::size_t cut(std::size_t rows);
  /// Whether the commit at hand has anything to do with this lane.
  bool takes_part() const { return cut_ != 0 || naming(); }
  /// Whether anything waits for a commit.
  bool pending() const;
  /// Whether a sink is to be told in the commit at hand; it is given the steps of the cut that it does not have.
  bool is_for(std::size_t index) const;
  auto steps_for(std::size_t index) const {
    return steps_ | std::views::take(cut_) |
           std::views::filter(
               [done = done_[index], node = nodes_[index]](const LaneStep& step) { return reach(step, node) > done; });
  }
  /// Whether a sink had this step when the lane started: it gets nothing of it.
  bool had(std::size_t index, const LaneStep& step) const {
    return reach(step, nodes_[index]) <= Reach{stood_[index].place.position, stood_[index].place.emitted};
  }
  /// What the progress of a sink is after the commit at hand.
  Progress next_of(std::size_t index, const std::string& fingerprint) const;
  /// The same as far as it is the lane's.
  Progress next_of(const std::string& fingerprint) const;

  /// A sink has everything up to there. Answers how many rows of its node are new to it.
  std::size_t advance(std::size_t index, Reach reach);
  /// Up to where a sink has all.
  Position done(std::size_t index) const { return done_[index].position; }
  /// How often its progress had been reset when it was last written.
  std::uint32_t resets(std::size_t index) const { return std::max(stood_[index].resets, committed_.resets); }
  void named(std::size_t index, std::string snapshot) { named_[index] = std::move(snapshot); }
  /// Whether every sink that keeps progress names this snapshot, which they did not before.
  bool agrees_on(const std::string& snapshot) const;
  void agree(std::string snapshot) { agreed_ = std::move(snapshot); }
  /// The snapshot that all of them named last.
  const std::string& agreed() const { return agreed_; }
  /// Whether a sink can have come to this progress by this lane's commits alone. An owner in between may have
  /// deleted snapshots that nothing named, so one who named another counts, even if the position is the same; so does
  /// one who came to that position after a reset, in another epoch of the stream, or by other rows.
  bool is_ours(std::size_t index, const Progress& progress) const;

  /// What the last commit of all sinks had come to.
  const Progress& committed() const { return committed_; }
  /// The commit at hand is done everywhere.
  void complete(Progress next);
  /// Takes out the first step of the cut that was committed; only while steps_left().
  bool steps_left() const { return cut_ != 0; }
  LaneStep pop();

  const std::deque<LaneStep>& steps() const { return steps_; }

 private:
  static Reach reach(const LaneStep& step, std::size_t node) {
    return {step.place.position, step.emitted.empty() ? 0 : step.emitted[node]};
  }
  /// What the commit at hand comes to.
  Reach next_reach(std::size_t index) const;
  bool naming() const { return snapshot_ != committed_.snapshot && snapshot_position_ <= committed_.place.position; }
  /// Whether a sink's progress names another snapshot than the lane's newest, if a commit up to `next` may name
  /// that; one that stayed behind would some day name one that is gone.
  bool to_name(std::size_t index, Position next) const {
    const bool keeps = index + ledgers_ >= done_.size();
    const bool whole = !snapshot_.empty() && snapshot_position_ <= next;
    return keeps && whole && snapshot_ != named_[index];
  }

  std::deque<LaneStep> steps_;
  std::size_t ledgers_;
  Progress committed_;              // its snapshot is the one that commits name
  std::vector<std::size_t> nodes_;  // by sink
  std::vector<Reach> done_;         // by sink: what it has
  std::vector<std::string> named_;  // by sink: the snapshot that its progress names
  std::vector<Progress> stood_;     // by sink: what it had when the lane started
  std::string snapshot_;            // the newest that is whole
  std::string agreed_;              // the last that every sink's progress named
  std::vector<std::string> own_;    // what this lane's open commits may have named
  Position snapshot_position_ = 0;
  std::size_t cut_ = 0;  // of `steps`: how many the commit at hand takes
};

}  // namespace weir
