/// What is to happen when, for very many things at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// A queue by time. Entries of the next ten seconds or so lie in buckets of ten milliseconds, of which only the first
/// is kept in order; later ones in a heap. A million entries cost about 100 ns each to put in and take out.
///
/// Entry     has `Timestamp at`, and operator< for the order, which is by `at` first.
/// Threads   one.
template <typename Entry>
class Calendar {
 public:
  explicit Calendar(Timestamp start) : start_{start}, ring_(buckets) {}

  bool empty() const { return now_.empty() && in_ring_ == 0 && later_.empty(); }

  /// `entry.at` must not be before the start or the last entry taken.
  void push(const Entry& entry) {
    const std::int64_t bucket = bucket_of(entry);
    if (bucket <= bucket_) {
      push_heap(now_, entry);
    } else if (bucket < bucket_ + buckets) {
      ring_[static_cast<std::size_t>(bucket % buckets)].push_back(entry);
      ++in_ring_;
    } else {
      push_heap(later_, entry);
    }
  }

  /// Takes the first entry. Must not be empty.
  Entry pop() {
    while (now_.empty()) advance();
    return pop_heap(now_);
  }

 private:
  static constexpr Duration width = 10 * millisecond;
  static constexpr std::int64_t buckets = 1024;

  static bool after(const Entry& a, const Entry& b) { return b < a; }
  static void push_heap(std::vector<Entry>& heap, const Entry& entry) {
    heap.push_back(entry);
    std::ranges::push_heap(heap, after);
  }
  static Entry pop_heap(std::vector<Entry>& heap) {
    std::ranges::pop_heap(heap, after);
    const Entry entry = heap.back();
    heap.pop_back();
    return entry;
  }
  std::int64_t bucket_of(const Entry& entry) const { return (entry.at - start_) / width; }

  void advance() {
    bucket_ = in_ring_ == 0 ? bucket_of(later_.front()) : bucket_ + 1;
    while (!later_.empty() && bucket_of(later_.front()) < bucket_ + buckets) {
      ring_[static_cast<std::size_t>(bucket_of(later_.front()) % buckets)].push_back(pop_heap(later_));
      ++in_ring_;
    }
    auto& bucket = ring_[static_cast<std::size_t>(bucket_ % buckets)];
    in_ring_ -= bucket.size();
    now_.swap(bucket);
    std::ranges::make_heap(now_, after);
  }

  Timestamp start_;
  std::int64_t bucket_ = -1;
  std::vector<Entry> now_;  ///< a heap
  std::vector<std::vector<Entry>> ring_;
  std::size_t in_ring_ = 0;
  std::vector<Entry> later_;  ///< a heap
};

}  // namespace weir
