/// What /metrics says, in the Prometheus text format.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/coordination/lag.hpp"
#include "core/coordination/worker.hpp"
#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// A value that goes up and down, and what it means.
struct Gauge {
  std::string_view name;
  std::string_view help;
};
/// All that render_metrics() may say.
std::span<const Gauge> gauges();

/// Counters as weir_<name>_total{pipeline,node,reason}; gauges in seconds and bytes. No label per vehicle. `now` is
/// wall time, for how far rows are behind arrival. `lag`: nothing if it is not known; then nothing is said of it.
/// `work`: counted::work().
std::string render_metrics(const Pipeline& pipeline, const Counters& counters, const Counters& work,
                           const Worker::Status& status, Timestamp now, const std::optional<Lag>& lag);

}  // namespace weir
