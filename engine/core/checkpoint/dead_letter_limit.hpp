/// Bounds what a lane keeps of dead letters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <weir/sink.hpp>
#include <weir/transform.hpp>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// Letters within the bounds of a minute of arrival time per node and reason, of these per key, and of a day in all.
/// Which are kept is a function of the letters alone, in their order, so a replay keeps the same. A publisher that
/// sends nothing but invalid messages fills neither the database nor the place of another vehicle's letters.
///
/// State     a number for each key and reason that has a letter in this minute: at most the letters that are kept.
/// Threads   one.
class DeadLetterLimit {
 public:
  /// More reasons than these in a minute share the bound of one.
  static constexpr std::size_t most_reasons = 64;

  /// All must outlive it.
  DeadLetterLimit(const DeadLetterBounds& bounds, Counters& counters) : bounds_{bounds}, counters_{counters} {}

  /// Of the letters of a step: puts them in the order of their positions, numbers those of one position, which no cut
  /// of batches changes, and takes out what is beyond the bounds, which it counts. `replaying`: all were kept, or
  /// counted, before; none is left.
  void apply(std::vector<Sink::DeadLetter>& letters, bool replaying);

  void save(StateWriter& out) const;
  void load(StateReader& in);

 private:
  using Reason = std::pair<std::string, std::string>;  // node, and text up to a ':'

  bool takes(const Sink::DeadLetter& letter);

  const DeadLetterBounds& bounds_;
  Counters& counters_;
  std::int64_t minute_ = 0, day_ = 0;  // of the newest letter's arrival
  std::uint32_t today_ = 0;
  struct Kept {
    std::uint32_t letters = 0;
    std::map<std::string, std::uint32_t> by_key = {};
  };
  std::map<Reason, Kept> kept_;  // in this minute
};

}  // namespace weir
