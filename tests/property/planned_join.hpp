/// window-join as a plan wants it, and what it is fed with.
#pragma once

#include <vector>

#include <weir/operator.hpp>

#include "fakes/context.hpp"
#include "property/faulty_stream.hpp"

namespace weir::property {

/// What the columns of a plan's sinks would ask for.
std::vector<ProjectedField> projection_of(const Plan& plan);
Settings settings_of(const Plan& plan);
const Operator& window_join();

void add(fakes::SampleBatch& batch, const reference::Sample& sample);

}  // namespace weir::property
