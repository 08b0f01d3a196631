/// What every operator must do, whoever wrote it: weir's own are held to it by its tests, those of a library by
/// `weir test --conformance`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/plugin.hpp"
#include "core/plan/registry.hpp"

namespace weir::cli {

/// One rule, and how an operator breaks it.
struct KeptRule {
  std::string_view rule;            ///< "is documented": a sentence about the operator
  std::vector<std::string> broken;  ///< each a sentence or some lines; empty: it is kept
};

/// Holds an operator of the registry to every rule that is for its role. Connects to nothing; runs the operator's own
/// code, whose exceptions are findings. The registry must also have weir's own operators: examples stand between them.
std::vector<KeptRule> conformance_of(const Registry& registry, const OperatorName& name);

}  // namespace weir::cli
