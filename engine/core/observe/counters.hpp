/// Everything that is counted, by node, name and reason.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/observe/histogram.hpp"

namespace weir {

/// A set of counters that only grow, and of histograms. Numbers and histograms handed out stay valid for the life of
/// the set.
///
/// Threads   any. add() is one relaxed atomic addition.
/// Bound     at most `most` counters, the last of which, "other", counts for all beyond; at most 64 reasons for one
///           name of a node, the rest are counted as "other".
class Counters {
 public:
  static constexpr std::size_t most = 4096;

  Counters() = default;
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  /// The number of a counter, made at the first call. `reason` becomes a label: a Reason's code, or a port.
  std::size_t declare(std::string_view node, std::string_view name, std::string_view doc, std::string_view reason = {});

  void add(std::size_t counter, std::uint64_t n) {
    slots_[counter].load(std::memory_order_acquire)->value.fetch_add(n, std::memory_order_relaxed);
  }

  /// Whether declare() has given out this number.
  bool has(std::size_t counter) const {
    return counter < most && slots_[counter].load(std::memory_order_acquire) != nullptr;
  }

  struct Line {
    std::string node, name, reason, doc;
    std::uint64_t value = 0;

    bool same_counter(const Line& other) const {
      return node == other.node && name == other.name && reason == other.reason;
    }
  };
  /// The one of this name, made at the first call.
  Histogram& histogram(const HistogramSpec& what);
  /// By name.
  std::vector<const Histogram*> histograms() const;

  /// In order of declaration.
  std::vector<Line> lines() const;
  /// Summed over reasons; 0 if there is none of that name.
  std::uint64_t value(std::string_view node, std::string_view name) const;

 private:
  struct Slot {
    std::string node, name, reason, doc;
    std::atomic<std::uint64_t> value{0};
  };
  /// Views into a slot's texts, or into what is looked for.
  struct Key {
    std::string_view node, name, reason;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Family {
    std::size_t reasons = 0;
    std::size_t newest = 0;  // counter
  };
  std::size_t make(std::string_view node, std::string_view name, std::string_view doc, std::string_view reason);

  mutable std::mutex mutex_;
  std::size_t size_ = 0;
  std::unordered_map<Key, std::size_t, Hash> numbers_;
  std::unordered_map<Key, Family, Hash> families_;  // by node and name
  std::array<std::atomic<Slot*>, most> slots_{};
  std::map<std::string, Histogram, std::less<>> histograms_;
};

}  // namespace weir
