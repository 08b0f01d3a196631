/// Random pipelines, drawn from what the operators say of themselves: any transform that is registered, behind any that
/// it can read, with any settings that its Spec allows, and somebody who looks at every port.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <rapidcheck.h>

#include "core/plan/pipeline.hpp"

namespace weir::property {

/// Transforms, each behind the source or one before it.
struct RandomPipeline {
  struct Link {
    std::string transform;           ///< its node
    std::vector<std::string> sinks;  ///< nodes that read its ports, by the operator "witness"
  };
  std::vector<Link> links;
  std::string limits;

  /// The whole pipeline. `source`: the node "signals".
  std::string text(std::string_view source) const;
};

/// The registry must have a sink "witness" that takes `columns` or not; the transforms are drawn from it too. A smaller
/// pipeline is one without its last transforms.
rc::Gen<RandomPipeline> any_pipeline(const Registry& registry);

void showValue(const RandomPipeline& pipeline, std::ostream& os);

}  // namespace weir::property
