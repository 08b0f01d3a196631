/// How the workers of a pipeline share its partitions.
#pragma once

#include <cstdint>
#include <vector>

#include <weir/sink.hpp>

namespace weir {

/// What a worker is to do about its share.
struct Share {
  std::size_t wanted = 0;         ///< how many it is to run
  std::vector<Partition> claim;   ///< nobody owns these, and it has too few
  std::vector<Partition> let_go;  ///< it has too many
};

/// Every worker runs ⌊partitions / workers⌋, and the first ones of their order one more each. Each decides by itself:
/// one with too many lets the rest go, one with too few takes what is free, and nothing moves once all have their
/// number. Workers that start at once take from different places, so that they seldom want the same.
/// `held`: what it runs; `fixed`: what it neither may let go nor claim, as it is on its way already.
Share share(const Crew& crew, std::uint32_t partitions, const std::vector<Partition>& held,
            const std::vector<Partition>& fixed);

}  // namespace weir
