#include "core/observe/histogram.hpp"

#include <algorithm>
#include <utility>

namespace weir {

Histogram::Histogram(HistogramSpec what) : what_{std::move(what)}, counts_(what_.bounds.size() + 1) {}

void Histogram::observe(double value) {
  const auto range = std::ranges::lower_bound(what_.bounds, value) - what_.bounds.begin();
  counts_[static_cast<std::size_t>(range)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Values Histogram::values() const {
  Values out;
  std::uint64_t count = 0;
  for (const auto& range : counts_) out.at_most.push_back(count += range.load(std::memory_order_relaxed));
  out.sum = sum_.load(std::memory_order_relaxed);
  return out;
}

}  // namespace weir
