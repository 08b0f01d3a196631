/// What a pipeline promises, said before it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/pipeline.hpp"

namespace weir {

/// What a reload or a restart makes of a change.
enum class Verdict : std::uint8_t {
  accepted,  ///< and nothing beside it is
  notable,   ///< accepted: a warning
  refused    ///< once rows are committed
};

/// One line of `weir explain`: about what, the promise in two or three words, and why.
struct Promise {
  std::string about;
  std::string what;
  std::string why;
  Verdict verdict = Verdict::accepted;  ///< of a change
};

/// Derived from the operators' own claims; connects to nothing. Sinks first, in the order of the text, then what
/// transforms write themselves, ports that nobody reads, state, order, time, replay, dead letters, names, changes.
std::vector<Promise> explain(const Pipeline& pipeline, const Registry& registry);

}  // namespace weir
