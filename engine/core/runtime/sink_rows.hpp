/// What a sink is given of a lane's batches.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include <weir/batch.hpp>
#include <weir/completion.hpp>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// Completes a sink's columns if it has any, counts their cells by quality, and numbers the rows.
///
/// Threads   one.
class SinkRows {
 public:
  /// `input` is what the checked node reads. All must outlive it.
  SinkRows(const Node& node, const Schema& input, Counters& counters);

  struct Part {
    BatchPtr batch;
    std::uint64_t number = 0;  ///< of its first row, among all that the sink has been given of the lane
  };
  /// What the sink is to write of a batch; nothing if it is none of its, or `replaying`: done once more, so that it
  /// counts no cells and only goes on in the numbers.
  std::optional<Part> take(const BatchPtr& batch, bool replaying);

  /// From now on leaves out, and counts, rows of ticks and events up to this time.
  void leave_out_until(Timestamp tick) { written_ = tick; }
  /// The greatest of those that take() gave out.
  Timestamp latest_tick() const { return latest_; }

  /// The sink has so many rows that come behind this position; they are not given out again, only numbered.
  void skip(Position behind, std::uint64_t rows) { skip_ = {behind, rows}; }
  /// Rows of the step under way that the sink has once it has all that take() gave out; see Place::emitted.
  std::uint64_t emitted() const { return in_step_ + skip_.rows; }
  void end_step() { in_step_ = 0; }

  /// How many rows it has given out; what a snapshot keeps.
  std::uint64_t given() const { return given_; }
  void resume(std::uint64_t given) { given_ = given; }

 private:
  void count(const Completion::Counts& before);
  BatchPtr complete(const BatchPtr& rows, bool replaying);
  BatchPtr without_skipped(const BatchPtr& batch);
  BatchPtr without_written(const BatchPtr& batch, bool replaying) const;

  Counters& counters_;
  bool of_messages_;
  std::uint64_t given_ = 0;
  Timestamp written_ = no_time, latest_ = no_time;
  struct Skip {
    Position behind = 0;
    std::uint64_t rows = 0;  // left
  } skip_;
  std::uint64_t in_step_ = 0;
  std::size_t suppressed_ = 0;              // number of a counter
  std::unique_ptr<Completion> completion_;  // of sinks with columns
  std::array<std::size_t, 4> cells_{};      // numbers of counters, by quality
  std::size_t empty_rows_ = 0;              // the same
};

}  // namespace weir
