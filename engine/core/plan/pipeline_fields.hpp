/// The settings that belong to no operator: of the pipeline itself and of columns. What reads them, describes
/// them and writes the schema uses these.
#pragma once

#include <vector>

#include <weir/spec.hpp>

namespace weir {

/// Members of the root beside name, nodes, limits, commit and state.
const std::vector<Field>& root_fields();
/// Of "limits".
const std::vector<Field>& limits_fields();
/// Of "commit".
const std::vector<Field>& commit_fields();
/// Of "state", beside its "store" and the store's own.
const std::vector<Field>& state_fields();
/// Of one entry of "columns".
const std::vector<Field>& column_fields();
/// Of a node with "columns", beside its own.
const std::vector<Field>& completing_fields();
/// What every sink may say, and what every transform.
const std::vector<Field>& sink_fields();
const std::vector<Field>& transform_fields();

}  // namespace weir
