/// What it takes to run a lane, node by node: batches and rows that pass, and the time that is spent on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weir/clock.hpp>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// Counts counted::work() of a pipeline's nodes. A batch costs a look at the clock and a few additions for each node
/// that it passes.
///
/// Threads   any.
class NodeStatistics {
 public:
  /// `work` and the clock must outlive it; `work` is not where rows are counted, as how they are cut into batches, and
  /// how long they take, may differ from run to run.
  NodeStatistics(const Pipeline& pipeline, Counters& work, const Clock& clock);

  Timestamp now() const { return clock_.steady(); }

  /// A node has worked at so much since then. Answers now().
  Timestamp took(std::size_t node, std::uint64_t batches, std::uint64_t rows, Timestamp since);
  /// So many rows leave by a port.
  void gave(PortRef from, std::uint64_t rows) { work_.add(nodes_[from.node].rows_out[from.port], rows); }

 private:
  /// Numbers of counters.
  struct Numbers {
    std::size_t batches = 0, rows_in = 0, busy = 0;
    std::vector<std::size_t> rows_out;  // by port
  };

  Counters& work_;
  const Clock& clock_;
  std::vector<Numbers> nodes_;
};

}  // namespace weir
