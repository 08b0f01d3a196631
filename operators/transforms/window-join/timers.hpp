/// When something is to be done for which vehicle.
#pragma once

#include <algorithm>
#include <vector>

#include <weir/dictionary.hpp>
#include <weir/types.hpp>

namespace weir::window_join {

/// A tick to close, or else (no_time) a session or the vehicle to end.
struct Due {
  Timestamp instant = end_of_time;
  Timestamp tick = no_time;
  auto operator<=>(const Due&) const = default;
};

/// Dues by (instant, tick, key bytes): key ids depend on what came before a restart, bytes do not.
class Timers {
 public:
  struct Entry {
    Due due;
    std::uint32_t key;
  };

  explicit Timers(const Dictionary& keys) : later_{&keys} {}

  void push(Due due, std::uint32_t key) {
    heap_.push_back({due, key});
    std::ranges::push_heap(heap_, later_);
  }
  void pop() {
    std::ranges::pop_heap(heap_, later_);
    heap_.pop_back();
    if (heap_.capacity() > 1024 && heap_.size() < heap_.capacity() / 8) heap_.shrink_to_fit();
  }
  bool empty() const { return heap_.empty(); }
  const Entry& top() const { return heap_.front(); }
  Timestamp first() const { return heap_.empty() ? end_of_time : heap_.front().due.instant; }
  std::size_t bytes() const { return heap_.capacity() * sizeof(Entry); }

 private:
  struct Later {
    const Dictionary* keys;
    bool operator()(const Entry& a, const Entry& b) const {
      if (a.due != b.due) return a.due > b.due;
      return a.key != b.key && keys->at(a.key) > keys->at(b.key);
    }
  };

  Later later_;
  std::vector<Entry> heap_;
};

}  // namespace weir::window_join
