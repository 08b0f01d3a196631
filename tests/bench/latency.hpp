/// Figure (e) of the benchmark: from the publishing of the sample that completes a tick to the commit of its row.
#pragma once

#include "bench/table.hpp"

namespace weir::bench {

/// pipelines/fleet.json between a real nats-server and a real TimescaleDB: first as fast as messages can be published,
/// then at half of that.
void measure_latency(Show show);

}  // namespace weir::bench
