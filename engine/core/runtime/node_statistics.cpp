#include "core/runtime/node_statistics.hpp"

#include "core/observe/counted.hpp"

namespace weir {

NodeStatistics::NodeStatistics(const Pipeline& pipeline, Counters& work, const Clock& clock)
    : work_{work}, clock_{clock} {
  for (const Node& node : pipeline.nodes) {
    Numbers numbers;
    numbers.batches = counted::declare(work, node.id, counted::node_batches);
    numbers.rows_in = counted::declare(work, node.id, counted::node_rows_in);
    numbers.busy = counted::declare(work, node.id, counted::node_busy_seconds);
    for (Port port = 0; port < node.outputs.size(); ++port)
      numbers.rows_out.push_back(counted::declare(work, node.id, counted::node_rows_out, port_name(node, port)));
    nodes_.push_back(std::move(numbers));
  }
}

Timestamp NodeStatistics::took(std::size_t node, std::uint64_t batches, std::uint64_t rows, Timestamp since) {
  const Timestamp done = now();
  const Numbers& numbers = nodes_[node];
  if (batches != 0) work_.add(numbers.batches, batches);
  if (rows != 0) work_.add(numbers.rows_in, rows);
  work_.add(numbers.busy, static_cast<std::uint64_t>(done - since));
  return done;
}

}  // namespace weir
