/// Where event time comes from.
#pragma once

#include "core/plan/pipeline.hpp"

namespace weir {

/// Whether payloads of the source's encoding can hold a time; else arrival is the event time of its samples.
bool tells_time(const Pipeline& pipeline, const Node& source, const Registry& registry);

}  // namespace weir
