/// Doing something again whenever a file is saved.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weir::cli {

/// When each file was written last, and its size, as text.
using Saved = std::map<std::string, std::string>;

/// Of the files *.json, *.rows and *.weir in these folders and below, and in the folders of these files.
Saved saved_in(const std::vector<std::string>& paths);
/// The files that differ: made, written or gone.
std::vector<std::string> changed_since(const Saved& before, const Saved& now);

/// Does it, and again after each change, until a signal ends the process. Never returns.
[[noreturn]] void watch(const std::vector<std::string>& paths, const std::function<void()>& act);

}  // namespace weir::cli
