#include "core/checkpoint/message_count.hpp"

namespace weir {

MessageCount::MessageCount(Partition partition, const LaneStart& start, Position opened)
    : partition_{partition}, consumed_{start.at.place.consumed}, kept_{start.kept} {
  while (next_ < kept_.size() && kept_[next_].place.position <= opened) ++next_;
}

Result<std::uint64_t> MessageCount::add(Position first, Position last, std::uint64_t messages) {
  for (; next_ < kept_.size(); ++next_) {
    const Progress& kept = kept_[next_];
    if (last < kept.place.position) break;
    // One behind the position means that the message there is gone.
    const std::uint64_t counted = consumed_ + (first <= kept.place.position ? messages : 0);
    if (kept.place.consumed != 0 && counted != kept.place.consumed)
      return std::unexpected(other_count(partition_, kept, counted));
  }
  consumed_ += messages;
  return consumed_;
}

}  // namespace weir
