/// Every operator, as the program has them.
#pragma once

#include "core/plan/registry.hpp"

namespace weir::fakes {

inline const Registry& registry() {
  static const Registry all = [] {
    Registry made;
    register_all(made);
    return made;
  }();
  return all;
}

}  // namespace weir::fakes
