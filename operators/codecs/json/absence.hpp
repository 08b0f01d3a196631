/// What stands in a payload where something was looked for and is not.
#pragma once

#include <string>

#include "clients/json_tree.hpp"

namespace weir::json {

/// A path that leads nowhere, or to null, and the deepest value on the way: `nothing at "ts": the payload has "key",
/// "timestamp"`, `nothing at "gps.time": "gps" is a number`. Names are shortened, and many cut to a few. `what`: the
/// value from which the path goes.
std::string absence(const Tree& tree, const Value& from, const Path& path, std::string_view what = "the payload");

}  // namespace weir::json
