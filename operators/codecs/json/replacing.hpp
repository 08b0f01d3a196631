/// Payloads in which some values are others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <weir/codec.hpp>

#include "codecs/json/tree.hpp"

namespace weir::json {

/// The payload with another text in place of each of these texts and numbers of it; all else stays as it is written.
/// `read`: what the values' tree was read from.
std::string replaced(std::string_view payload, const std::string& read, std::vector<const Value*> values,
                     const Renaming& renaming);

/// Whether a member on a path stands in its object more than once: all but the first are not found by it.
bool is_repeated(const Tree& tree, const Value& from, const Path& path);

}  // namespace weir::json
