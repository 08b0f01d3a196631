/// How often a value was in which range: durations, latencies and sizes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct HistogramSpec {
  std::string name;  ///< without weir_; ends in its unit
  std::string doc;
  std::vector<double> bounds;  ///< upper ends of its ranges, ascending; one without end follows
};

/// Threads   any; observe() is two relaxed atomic additions.
class Histogram {
 public:
  explicit Histogram(HistogramSpec what);

  void observe(double value);

  const HistogramSpec& what() const { return what_; }
  struct Values {
    std::vector<std::uint64_t> at_most;  ///< values up to each bound; the last: all
    double sum = 0;
  };
  Values values() const;

 private:
  const HistogramSpec what_;
  std::vector<std::atomic<std::uint64_t>> counts_;  // by range
  std::atomic<double> sum_{0};
};

}  // namespace weir
