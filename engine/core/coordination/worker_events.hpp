/// What a worker's threads tell its loop, which alone decides.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include <weir/sink.hpp>

#include "core/checkpoint/lane_account.hpp"
#include "core/checkpoint/snapshot.hpp"
#include "core/runtime/held_lanes.hpp"

namespace weir::event {

/// A lane has rows, dead letters or a position to commit.
struct Stepped {
  LaneId lane;
  LaneStep step;
};
/// Nothing of a lane is in flight any more: it was asked to stop, its stream is at its end, or it can't go on.
struct Ended {
  LaneId lane;
  std::optional<Error> error;
};
/// A snapshot is in the store.
struct Stored {
  LaneId lane;
  std::string name;  ///< empty: it could not be written
  Position position = 0;
};
/// A lane waits for credit, which only a commit sets free.
struct Exhausted {};
/// A lease could not be renewed, as another worker has it.
struct Lost {
  Partition partition = 0;
};
/// Who shares the partitions.
struct Met {
  Crew crew;
};

using Any = std::variant<Stepped, Ended, Stored, Exhausted, Lost, Met>;

/// The one that goes the other way: a lane's state, to be stored beside the loop.
struct Taken {
  LaneId lane;
  Snapshot snapshot;
};

}  // namespace weir::event
