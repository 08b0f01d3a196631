/// What a seed decides: the same seed, the same faults in the same order.
#pragma once

#include <cstdint>
#include <random>

#include <weir/types.hpp>

namespace weir::faults {

/// Threads   one.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : bits_{seed} {}

  /// From 0 to below `count`, which is not 0.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(bits_() % count); }
  bool one_in(std::size_t count) { return below(count) == 0; }
  Duration between(Duration least, Duration most) {
    return least + static_cast<Duration>(bits_() % static_cast<std::uint64_t>(most - least + 1));
  }
  template <typename Range>
  auto& one_of(Range& range) {
    return range[below(range.size())];
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace weir::faults
