/// The rows of several inputs as one stream of rows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weir/batch.hpp>

namespace weir {

/// Merges by (arrival, message, input): so the order is the same however messages are cut into batches. One step at a
/// time, and each input's rows come in this order, in any number of batches. A row is given out as soon as none that
/// stands before it can still come.
///
/// Threads   one.
/// Errors    internal: an input's rows don't say of which message they are, or go back.
class RowMerge {
 public:
  /// Inputs are numbered in the order of "from"; their schema is the same.
  RowMerge(SchemaPtr schema, std::size_t inputs);

  /// A step begins: every input is open. What is given out at its end reaches this arrival time.
  void begin(const Origin& origin, Timestamp reached);
  /// Of no rows: ignored.
  void put(std::size_t input, const BatchPtr& batch);
  /// Nothing comes from this input any more in this step.
  void close(std::size_t input) { inputs_[input].open = false; }

  /// Whether take() has something to give.
  bool ready() const;
  /// The first open input without which nothing can be given out, though rows wait. Nothing: none waits, or ready().
  std::optional<std::size_t> blocked_by() const;
  /// All that can be given out by now. The last of a step says how far arrival time has come, and may have no rows.
  Result<BatchPtr> take();

 private:
  /// Where a row stands. What a deadline causes stands before the messages of its arrival.
  struct Place {
    Timestamp arrival = no_time;
    std::uint32_t message = 0;  ///< its number in the step and one; 0: of a deadline
    auto operator<=>(const Place&) const = default;
  };
  struct Input {
    std::deque<BatchPtr> batches;
    std::size_t row = 0;  ///< of the first batch, to be given out next
    Place last;           ///< of what came, in this step; nothing comes before it any more
    bool open = false;
  };
  /// Consecutive rows of one batch.
  struct Run {
    BatchPtr batch;
    std::size_t begin = 0, end = 0;
  };

  static Place place_of(const Batch& batch, std::size_t row);
  static Place next_of(const Input& input);
  std::optional<std::size_t> first_input() const;
  std::optional<std::size_t> blocker_of(std::size_t first) const;
  bool finished() const;
  Run take_run(std::size_t first);
  BatchPtr merged(const std::vector<Run>& runs, Timestamp reached);
  Column merged_column(const std::vector<Run>& runs, std::size_t number, std::size_t rows);
  Column merged_ids(const std::vector<Run>& runs, std::size_t number, Validity valid, std::size_t rows);
  const std::vector<std::uint32_t>& ids_in_own(std::size_t column, const std::shared_ptr<const Dictionary>& from);

  const SchemaPtr schema_;
  std::vector<Input> inputs_;
  Origin origin_;
  Timestamp reached_ = no_time;
  bool ended_ = true;  ///< the step's last batch was given out
  std::string wrong_;
  /// Of a column whose inputs have tables of their own.
  struct Own {
    std::shared_ptr<Dictionary> dictionary = std::make_shared<Dictionary>();
    std::map<std::shared_ptr<const Dictionary>, std::vector<std::uint32_t>> ids;  ///< in it, by id in the input's
  };
  std::map<std::size_t, Own> own_;
};

}  // namespace weir
