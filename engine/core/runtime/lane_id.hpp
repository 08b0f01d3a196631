/// Which lane of a partition.
#pragma once

#include <cstdint>

#include <weir/types.hpp>

namespace weir {

/// A partition may have one lane after another; an event of an earlier one may come late.
struct LaneId {
  Partition partition = 0;
  std::uint64_t run = 0;  ///< counts the partition's acquisitions by this worker, from 1
  bool operator==(const LaneId&) const = default;
};

}  // namespace weir
