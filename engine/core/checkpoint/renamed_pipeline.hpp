/// Whether a pipeline whose place its state store alone keeps is another one under a new name.
#pragma once

#include <weir/store.hpp>

#include "core/plan/pipeline.hpp"

namespace weir {

/// Looks through an opened store for what a pipeline of the same source and rules has left there under another name,
/// where `pipeline` has nothing yet. invalid: there is some, so this one was renamed and does not say so; or it says
/// so, and has state under its new name as well.
Result<void> check_renamed(const Pipeline& pipeline, Store& store);

}  // namespace weir
