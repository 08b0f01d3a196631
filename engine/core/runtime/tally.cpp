#include "core/runtime/tally.hpp"

namespace weir {

Tally::Tally(Partition partition, const LaneStart& start, Position opened)
    : partition_{partition}, consumed_{start.at.consumed}, kept_{start.kept} {
  while (next_ < kept_.size() && kept_[next_].position <= opened) ++next_;
}

Result<std::uint64_t> Tally::add(const std::vector<Message>& messages) {
  for (; next_ < kept_.size(); ++next_) {
    const Progress& kept = kept_[next_];
    if (messages.back().sequence < kept.position) break;
    // One behind the position means that the message there is gone.
    const std::uint64_t counted = consumed_ + (messages.front().sequence <= kept.position ? messages.size() : 0);
    if (kept.consumed != 0 && counted != kept.consumed) return std::unexpected(other_count(partition_, kept, counted));
  }
  consumed_ += messages.size();
  return consumed_;
}

}  // namespace weir
