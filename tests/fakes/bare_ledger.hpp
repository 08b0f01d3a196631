/// What a ledger in a test need not do.
#pragma once

#include <optional>
#include <vector>

#include <weir/ledger.hpp>

namespace weir::fakes {

/// Shows and forgets nothing; leases never run out.
class BareLedger : public Ledger {
 public:
  void release(Partition) override {}
  Result<std::vector<ProgressLine>> progress() override { return std::vector<ProgressLine>{}; }
  Result<std::size_t> reset(std::optional<Partition>) override { return 0; }
};

}  // namespace weir::fakes
