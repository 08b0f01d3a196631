/// What /metrics says, in the Prometheus text format.
#pragma once

#include <string>

#include "core/counters.hpp"
#include "core/pipeline.hpp"
#include "core/worker.hpp"

namespace weir {

/// Counters as weir_<name>_total{pipeline,node,reason}; gauges in seconds and bytes. No label per vehicle. `now` is
/// wall time, for how far rows are behind arrival.
std::string render_metrics(const Pipeline& pipeline, const Counters& counters, const Worker::Status& status,
                           Timestamp now);

}  // namespace weir
