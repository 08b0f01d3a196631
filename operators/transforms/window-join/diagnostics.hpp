/// Notices what most likely is a slip in the pipeline: a column that no sample is for, sessions too short for a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <weir/dictionary.hpp>

#include "transforms/window-join/join.hpp"

namespace weir::window_join {

/// Tells each thing once in its life, late enough for a slow sensor to have spoken. What it says goes to the log, never
/// into rows.
///
/// Threads   one.
class Diagnostics {
 public:
  static constexpr std::uint64_t few_samples = 10, enough_samples = 1000, enough_sessions = 100;
  static constexpr Duration a_while = 5 * second, long_enough = minute;  ///< of arrival time

  Diagnostics(const Rules& rules, const Slots& slots) : rules_{rules}, slots_{slots} {}

  /// A sample of this slot's field came. The lane's dictionary does not tell: what sinks want is in it from the start.
  void met(std::uint16_t slot) {
    if (slot >= met_.size()) met_.resize(slot + 1u);
    met_[slot] = true;
  }
  /// State was restored: which fields came before is not known, and was told then.
  void restored() { fields_told_ = true; }

  struct Seen {
    std::size_t samples = 0;  ///< that came with a batch
    std::size_t rows = 0;     ///< that came of them
    Timestamp reached = no_time;
  };
  /// Answers what to say after a batch; empty: nothing. `known`: names of fields, all that came among them.
  std::string look(const Seen& seen, const Counts& counts, const Dictionary& known);

 private:
  bool has_met(std::size_t slot) const { return slot < met_.size() && met_[slot]; }
  std::string missing_fields(const Dictionary& known) const;

  const Rules& rules_;
  const Slots& slots_;
  std::vector<bool> met_;  ///< by slot
  bool fields_told_ = false, sessions_told_ = false;
  std::uint64_t samples_ = 0, others_ = 0, empty_sessions_ = 0;
  Timestamp first_ = no_time;
};

}  // namespace weir::window_join
