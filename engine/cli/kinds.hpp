/// Kinds of settings in words.
#pragma once

#include <string>

#include <weir/spec.hpp>

namespace weir::cli {

/// "duration", "one of linear, angle, geo, step", "list of texts", …
std::string kind_name(const Kind& kind);

}  // namespace weir::cli
