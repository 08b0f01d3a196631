/// The edges of a pipeline's graph: which nodes each node reads, and an order in which they can run.
#pragma once

#include <vector>

#include "core/plan/draft.hpp"

namespace weir {

/// Reads what each draft's "from" names into its `inputs`. What is wrong with it is reported, and the draft no good.
void connect(std::vector<Draft>& drafts, Reporter& report);

/// Sorts the drafts so that a node stands behind its inputs, else as in the text. False: there are cycles, which are
/// reported, each where its first node reads; their nodes, and those behind one, come last, and are no good.
bool order(std::vector<Draft>& drafts, Reporter& report);

}  // namespace weir
