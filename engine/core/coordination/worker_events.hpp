/// What a worker's threads tell its loop, which alone decides.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include <weir/sink.hpp>

#include "core/checkpoint/uncommitted_steps.hpp"
#include "core/runtime/lane_id.hpp"

namespace weir::event {

/// A lane has rows, dead letters or a position to commit.
struct Stepped {
  LaneId lane;
  LaneStep step;
};
/// The ledgers have answered; the lane's state comes next.
struct Acquired {
  LaneId lane;
};
/// A lane is ready to run, or can't be: then its partition is released.
struct Restored {
  LaneId lane;
  std::optional<Error> error;
};
/// Nothing of a lane is in flight any more: it was asked to stop, its stream is at its end, or it failed.
struct Ended {
  LaneId lane;
  std::optional<Error> error;
};
/// A snapshot is in the store.
struct Stored {
  LaneId lane;
  std::string name;  ///< empty: there was none to store, or it could not be written
  Position position = 0;
  bool final = false;  ///< the answer to LaneHost::save()
};
/// A lane is gone, and its partition released.
struct Released {
  LaneId lane;
};
/// A lane waits for credit, which only a commit sets free.
struct Exhausted {};
/// The lease of this lane's partition could not be renewed, as another worker has it.
struct Lost {
  LaneId lane;
};
/// Who shares the partitions.
struct Heartbeat {
  Members members;
};

using Any = std::variant<Stepped, Acquired, Restored, Ended, Stored, Released, Exhausted, Lost, Heartbeat>;

}  // namespace weir::event
