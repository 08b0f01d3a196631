/// What a pipeline promises, said before it runs.
#pragma once

#include <string>
#include <vector>

#include "core/plan/pipeline.hpp"

namespace weir {

/// One line of `weir explain`: about what, the promise in two or three words, and why.
struct Promise {
  std::string about;
  std::string what;
  std::string why;
};

/// Derived from the operators' own claims; connects to nothing. Sinks first, in the order of the text, then what
/// transforms write themselves, ports that nobody reads, state, order, time, replay, dead letters, names, changes.
std::vector<Promise> explain(const Pipeline& pipeline, const Registry& registry);

}  // namespace weir
