/// The examples of a Spec as whole pipelines.
#pragma once

#include <string>

#include "cli/plugin.hpp"
#include "core/plan/pipeline.hpp"

namespace weir::cli {

struct ExamplePipeline {
  std::string text;
  Checked checked;
};

/// A pipeline around an example: what it reads from stands before it, a sink behind it. Variables are set to the URL of
/// a database.
ExamplePipeline pipeline_of(const Spec& spec, const std::string& example, const Registry& registry);

/// Whether an operator has a part in a pipeline: as a node, an encoding or the store.
bool uses(const Pipeline& pipeline, const OperatorName& name);

}  // namespace weir::cli
