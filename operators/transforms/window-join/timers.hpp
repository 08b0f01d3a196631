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

inline Timestamp instant_of(const Due& due) { return due.instant; }
inline Timestamp instant_of(Timestamp due) { return due; }

/// By (due, key bytes): key ids depend on what came before a restart, bytes do not.
template <typename When>
class Timers {
 public:
  struct Entry {
    When due;
    std::uint32_t key;
  };

  explicit Timers(const Dictionary& keys) : later_{&keys} {}

  void push(When due, std::uint32_t key) {
    // There is one for each vehicle: doubling would hold up to as much again.
    if (heap_.size() == heap_.capacity()) heap_.reserve(heap_.size() + heap_.size() / 16 + 64);
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
  Timestamp first() const { return heap_.empty() ? end_of_time : instant_of(heap_.front().due); }
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
