/// What /pipelines/NAME says of a running worker.
#pragma once

#include <string>
#include <vector>

#include "console/server.hpp"
#include "core/coordination/worker.hpp"
#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// What keeps a worker from being ready, as sentences; none: it is.
std::vector<std::string> why_not_ready(const Worker::Status& status);
Readiness readiness(const Worker::Status& status);

/// An object on a line: the worker, its conditions, what has passed each node since it started (`work`:
/// counted::work()), its lanes, and the pipeline without secrets. Times are in seconds.
std::string status_json(const Pipeline& pipeline, const Counters& counters, const Counters& work,
                        const Worker::Status& status, const std::string& worker);

}  // namespace weir
