/// -s path=value: settings from the command line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/config/text.hpp"
#include "core/plan/settings_check.hpp"

namespace weir {

/// Writes values into a document as if they stood there. The first part of a path names a node by its id
/// ("rows.every"), or a member of the root ("limits.keys"). A value is JSON; a number, and what is no JSON, is read as
/// a variable's would be: as what its setting takes. Paths that lead nowhere are reported.
void apply_overrides(Document& document, const std::vector<std::pair<std::string, std::string>>& overrides,
                     Reporter& report);

}  // namespace weir
