/// Operators from shared libraries: `weir … --plugin FILE`.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan/registry.hpp"

namespace weir::cli {

/// What a library says that it was built for, see weir/plugin.hpp; an Error says why it is no library of operators.
/// Reads the file and nothing else: no code of it runs.
Result<std::string> built_for(const std::string& file);

/// What this program was built for.
std::string_view this_program();

/// An operator by what the registry knows it by.
struct OperatorName {
  Role role = Role::transform;
  std::string name;
};

/// Loads libraries and adds their operators; answers these, in order. An Error begins with the library's name; what
/// came before it has been added. The libraries stay loaded until the process ends.
///
/// Threads   before there is a second one.
Result<std::vector<OperatorName>> load_plugins(std::span<const std::string> files, Registry& registry);

}  // namespace weir::cli
