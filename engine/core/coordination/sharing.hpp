/// How the workers of a pipeline share its partitions.
#pragma once

#include <cstdint>
#include <vector>

#include <weir/sink.hpp>

namespace weir {

/// What a worker has of the partitions.
struct Holding {
  std::vector<Partition> runs = {};
  std::vector<Partition> leaving = {};  ///< on their way to others
  std::vector<Partition> broken = {};   ///< it can't go on with these, and no other could: they count, but stay
  std::vector<Partition> shunned = {};  ///< they failed, and belong to nobody: taken if nothing else is free
};

/// What a worker is to do about its share.
struct Share {
  std::size_t wanted = 0;          ///< how many it is to run
  std::vector<Partition> acquire;  ///< nobody owns these, and it has too few
  std::vector<Partition> let_go;   ///< it has too many
};

/// Every worker runs ⌊partitions / workers⌋, and the first ones of their order one more each. Each decides by itself:
/// one with too many lets the rest go, one with too few takes what is free, and nothing moves once all have their
/// number. Workers that start at once take from different places, so that they seldom want the same.
Share share(const Members& members, std::uint32_t partitions, const Holding& held);

}  // namespace weir
