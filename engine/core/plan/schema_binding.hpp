/// The last part of checking: what flows between the nodes.
#pragma once

#include <string_view>
#include <vector>

#include "core/plan/draft.hpp"
#include "core/plan/registry.hpp"
#include "core/plan/settings_check.hpp"

namespace weir {

/// Gives each node its inputs, its schemas and what the nodes behind it want, and each operator the word on whether
/// they fit; what does not is reported, and its node no longer good. `drafts`: each behind what it reads. `text`:
/// theirs. `whole`: they are all; else nobody knows what is wanted of transforms.
void bind_schemas(std::vector<Draft>& drafts, bool whole, const Pipeline& pipeline, const Registry& registry,
                  std::string_view text, Reporter& report);

}  // namespace weir
