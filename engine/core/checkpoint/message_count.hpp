/// Counts the messages that a lane has consumed, and holds a replay to what was counted when they were first read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/checkpoint/recovery.hpp"

namespace weir {

/// A stream that lost messages out of its middle still has the same name, age and last message; only their number
/// tells.
///
/// Threads   one.
class MessageCount {
 public:
  MessageCount() = default;
  /// `opened`: the position that the source begins after.
  MessageCount(Partition partition, const LaneStart& start, Position opened);

  /// Counts messages from one sequence to another, of which a committed position can only be the last: steps end there.
  /// Answers the number consumed up to the last, since the stream's beginning. changed: one of the committed positions
  /// was reached by another number; nothing of these is counted then.
  Result<std::uint64_t> add(Position first, Position last, std::uint64_t messages);

 private:
  Partition partition_ = 0;
  std::uint64_t consumed_ = 0;
  std::vector<Progress> kept_;  // ascending
  std::size_t next_ = 0;        // of kept_: to be compared next
};

}  // namespace weir
