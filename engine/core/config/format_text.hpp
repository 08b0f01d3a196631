/// Pipeline text in its one layout: for weir fmt.
#pragma once

#include <string>

#include "core/config/text.hpp"

namespace weir {

/// The text of a document without findings, laid out again; nothing but space changes, comments stay with their values.
/// Formatting the result again changes nothing.
///
/// The root and lists of objects have one member a line. Everything else stays on its line if it fits into 120 columns;
/// else scalars fill lines, and an object of objects (columns) has one a line. One empty line between elements is kept.
std::string format_text(const Document& document);

}  // namespace weir
