/// The log of a command: lines on standard error.
#pragma once

#include <string>

namespace weir::cli {

/// `form`: text or json; `level`: debug, info, warn or error.
void set_up_log(const std::string& form, const std::string& level);

}  // namespace weir::cli
