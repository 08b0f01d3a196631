/// What `weir new operator` writes, as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/plugin.hpp"

namespace weir::cli {

/// "transform/my-op" to a role and a name; an Error says what is wrong with it.
Result<OperatorName> operator_named(std::string_view text);

/// Where the operator is going to be.
enum class Place : std::uint8_t {
  tree,     ///< weir's own: the file finds its way into the program by itself
  project,  ///< one of libraries that is there: its CMakeLists.txt must name the file
  nowhere,  ///< a project is made for it, in a folder of its name
};

/// A file to be written. The path is relative to the current folder.
struct NewFile {
  std::string path, text;
};

/// An operator called my-op that does something: its file and its cases. Of a store both are empty.
struct Templates {
  std::string_view file, cases;
};
Templates templates_of(Role role);

/// An operator that does something, its cases, and what builds them. For every role but a store.
std::vector<NewFile> new_operator(const OperatorName& name, Place place);

}  // namespace weir::cli
