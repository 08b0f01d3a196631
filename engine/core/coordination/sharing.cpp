#include "core/coordination/sharing.hpp"

#include <algorithm>

namespace weir {

Share share(const Members& members, std::uint32_t partitions, const Holding& held) {
  const std::size_t rest = partitions % members.workers;
  const std::size_t first = partitions / members.workers * members.rank + std::min(members.rank, rest);
  Share out;
  out.wanted = partitions / members.workers + (members.rank < rest ? 1 : 0);
  const std::size_t runs = out.wanted - std::min(out.wanted, held.broken.size());
  const std::size_t keeps = std::min(runs, held.runs.size());
  for (std::size_t i = 0; i < partitions; ++i) {
    const auto partition = static_cast<Partition>((first + i) % partitions);
    if (std::ranges::contains(held.leaving, partition) || std::ranges::contains(held.broken, partition)) continue;
    if (std::ranges::contains(held.runs, partition)) {
      out.let_go.push_back(partition);
    } else if (!std::ranges::contains(members.taken, partition)) {
      out.acquire.push_back(partition);
    }
  }
  std::ranges::stable_partition(out.acquire,
                                [&](Partition partition) { return !std::ranges::contains(held.shunned, partition); });
  // The nearest to its own place are what it keeps, and what it takes first.
  out.acquire.resize(std::min(out.acquire.size(), runs - keeps));
  out.let_go.erase(out.let_go.begin(), out.let_go.begin() + static_cast<std::ptrdiff_t>(keeps));
  return out;
}

}  // namespace weir
