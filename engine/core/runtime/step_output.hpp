/// What a transform sees of one step: where its rows go, and what it refuses and counts.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/batch.hpp>
#include <weir/sink.hpp>
#include <weir/transform.hpp>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// Makes dead letters of refused rows: one of each message and reason, however many rows of it are
/// refused, since every letter has the whole message with it; of rows without a message one each.
///
/// Threads   one.
class Refusals {
 public:
  /// Appends to `letters`.
  Refusals(std::string_view node, std::vector<Sink::DeadLetter>& letters) : node_{node}, letters_{letters} {}

  void add(const Batch& in, std::size_t row, const Reason& reason);
  /// Has the letters say of how many rows they are. Last.
  void finish();

 private:
  struct Made {
    std::size_t letter = 0;
    std::size_t rows = 0;
  };
  std::string_view node_;
  std::vector<Sink::DeadLetter>& letters_;
  std::map<std::pair<const Message*, std::string>, Made> made_;
};

/// The output of one node in one step. An operator of a library may be compiled without our asserts, so what it may
/// not do is not done but kept for wrong().
///
/// Threads   one.
class StepOutput final : public Output {
 public:
  /// Batches as parts of the step, with the step's origin.
  using Deliver = std::function<void(Port, const BatchPtr&)>;

  struct Step {
    const Origin& origin;
    bool replaying = false;  ///< nothing is counted: it was when the step was first done
    std::size_t& cells;      ///< that may still be sent, by all nodes together
  };

  /// Letters are appended to `letters`. All must outlive it.
  StepOutput(const Node& node, const Step& step, Counters& counters, Deliver deliver,
             std::vector<Sink::DeadLetter>& letters);

  void emit(BatchPtr batch, Port port) override;
  void refuse(const Batch& in, std::size_t row, const Reason& reason) override;
  void count(std::size_t counter, std::uint64_t n) override;
  std::size_t room() const override;
  void again() override { again_ = true; }

  /// Whether it wants to be called with the same input once more. Answers so once.
  bool wants_again();
  /// Behind the last batch of the step: has the letters say of how many rows they are.
  void finish() { letters_.finish(); }
  /// The first thing it did that no operator may; empty: nothing.
  const std::string& wrong() const { return wrong_; }

 private:
  void object(std::string why);
  std::string objection(const Batch* batch, Port port) const;

  const Node& node_;
  Step step_;
  Counters& counters_;
  Deliver deliver_;
  Refusals letters_;
  std::string wrong_;
  bool again_ = false, sent_ = false;  // in this call
};

}  // namespace weir
