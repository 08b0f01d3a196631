/// What becomes of state, rows and progress when a pipeline takes the place of another, by a reload or a restart.
#pragma once

#include <string>
#include <vector>

#include "core/plan/explain.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/registry.hpp"

namespace weir {

/// Said without knowing whether `before` has committed anything, or drained; connects to nothing. First what was
/// changed, then the state, then the sinks that are new or gone.
std::vector<Promise> explain_change(const Pipeline& before, const Pipeline& now, const Registry& registry);

}  // namespace weir
