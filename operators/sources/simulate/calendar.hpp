/// What is to happen when, for very many things at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// A queue by time. Entries of the next ten seconds or so lie in buckets of ten milliseconds, each sorted when its time
/// comes; later ones, and those that come into the bucket that is being emptied, in heaps.
///
/// Entry     has `Timestamp at`, and operator< for the order, which is by `at` first.
/// Threads   one.
template <typename Entry>
class Calendar {
 public:
  explicit Calendar(Timestamp start) : start_{start}, ring_(buckets) {}

  bool empty() const { return now_.empty() && soon_.empty() && in_ring_ == 0 && later_.empty(); }

  /// `entry.at` must not be before the start or the last entry taken.
  void push(const Entry& entry) {
    const std::int64_t bucket = bucket_of(entry);
    if (bucket <= bucket_) {
      push_heap(soon_, entry);
    } else if (bucket < bucket_ + buckets) {
      ring_[static_cast<std::size_t>(bucket % buckets)].push_back(entry);
      ++in_ring_;
    } else {
      push_heap(later_, entry);
    }
  }

  /// Takes the first entry. Must not be empty.
  Entry pop() {
    while (now_.empty() && soon_.empty()) advance();
    if (now_.empty() || (!soon_.empty() && soon_.front() < now_.back())) return pop_heap(soon_);
    const Entry entry = now_.back();
    now_.pop_back();
    return entry;
  }

  /// The entry that is probably the one after `n` others; null if that is not known yet. For prefetching.
  const Entry* glance(std::size_t n) const { return n < now_.size() ? &now_[now_.size() - 1 - n] : nullptr; }

 private:
  static constexpr Duration width = 10 * millisecond;
  static constexpr std::int64_t buckets = 1024;

  static constexpr auto after = [](const Entry& a, const Entry& b) { return b < a; };
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
    std::ranges::sort(now_, after);
  }

  Timestamp start_;
  std::int64_t bucket_ = -1;
  std::vector<Entry> now_;   ///< the current bucket's, the last one first
  std::vector<Entry> soon_;  ///< a heap of what came into it since
  std::vector<std::vector<Entry>> ring_;
  std::size_t in_ring_ = 0;
  std::vector<Entry> later_;  ///< a heap
};

}  // namespace weir
