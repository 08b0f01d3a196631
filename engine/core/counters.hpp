/// Everything that is counted, by node, name and reason.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// A set of counters that only grow. Numbers handed out stay valid for the life of the set.
///
/// Threads   any. add() is one relaxed atomic addition.
/// Bound     at most `most` counters; at most 64 reasons for one name of a node, the rest are counted as "other".
class Counters {
 public:
  static constexpr std::size_t most = 4096;

  Counters() = default;
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  /// The number of a counter, made at the first call. `reason` becomes a label; only its text before ':' counts.
  std::size_t declare(std::string_view node, std::string_view name, std::string_view doc, std::string_view reason = {});

  void add(std::size_t counter, std::uint64_t n) {
    slots_[counter].load(std::memory_order_acquire)->value.fetch_add(n, std::memory_order_relaxed);
  }

  struct Line {
    std::string node, name, reason, doc;
    std::uint64_t value = 0;
  };
  /// In order of declaration.
  std::vector<Line> lines() const;
  /// Summed over reasons; 0 if there is none of that name.
  std::uint64_t value(std::string_view node, std::string_view name) const;

 private:
  struct Slot {
    std::string node, name, reason, doc;
    std::atomic<std::uint64_t> value{0};
  };
  mutable std::mutex mutex_;
  std::size_t size_ = 0;
  std::array<std::atomic<Slot*>, most> slots_{};
};

}  // namespace weir
