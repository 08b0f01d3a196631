/// Notices what most likely is a slip in the pipeline: a column that no sample is for, sessions too short for a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <weir/dictionary.hpp>

#include "transforms/window-join/join.hpp"

namespace weir::window_join {

/// Tells each thing once in its life, late enough for a slow sensor to have spoken. What it says goes to the log, never
/// into rows.
///
/// Threads   one.
class Oversights {
 public:
  static constexpr std::uint64_t few_samples = 10, enough_samples = 1000, enough_sessions = 100;
  static constexpr Duration a_while = 5 * second, long_enough = minute;  ///< of arrival time

  Oversights(const Rules& rules, const Slots& slots) : rules_{rules}, slots_{slots} {}

  struct Seen {
    std::size_t samples = 0;  ///< that came with a batch
    std::size_t rows = 0;     ///< that came of them
    Timestamp reached = no_time;
  };
  /// Answers what to say after a batch; empty: nothing. `came`: the names of the fields that came so far.
  std::string look(const Seen& seen, const Counts& counts, const Dictionary& came);

 private:
  std::string missing_fields(const Dictionary& came) const;

  const Rules& rules_;
  const Slots& slots_;
  bool fields_told_ = false, sessions_told_ = false;
  std::uint64_t samples_ = 0, others_ = 0, tickless_ = 0;
  Timestamp first_ = no_time;
};

}  // namespace weir::window_join
