/// What stands in a payload where something was looked for and is not.
#pragma once

#include <string>
#include <string_view>

#include "codecs/json/tree.hpp"

namespace weir::json {

/// A path that leads nowhere, or to null, and the deepest value on the way: `nothing at "ts": the payload has "key",
/// "timestamp"`, `nothing at "gps.time": "gps" is a number`. Names are shortened, and many cut to a few. `what`: the
/// value from which the path goes.
std::string absence(const Tree& tree, const Value& from, const Path& path, std::string_view what = "the payload");

/// Of a sample that nobody names, `kind` "key" or "field": the reason of its refusal. The name was looked for at `path`
/// of `from`.
std::string nameless(std::string_view kind, const Tree& tree, const Value& from, const Path& path,
                     std::string_view what);

/// What to do about a member that is no value though every member must be one, to append to the reason; empty if it is
/// one. `outermost`: an "each" could lead to it.
std::string ways_into(const Tree& tree, const Value& member, bool outermost);

}  // namespace weir::json
