#include "core/plan/registry.hpp"

#include <cassert>

namespace weir {
std::string folder_of(Role role) { return std::string{to_string(role)} + "s"; }

void Registry::add([[maybe_unused]] std::string_view folder, std::string_view name, Operator op) {
  const Role role = op.spec.role;
  assert(folder == folder_of(role) && "the folder says another role than the Spec");
  const bool added = operators_.emplace(std::pair{role, std::string{name}}, std::move(op)).second;
  assert(added && "an operator of this name exists");
  (void)added;
}

const Operator* Registry::find(Role role, std::string_view name) const {
  const auto it = operators_.find(std::pair{role, std::string{name}});
  return it == operators_.end() ? nullptr : &it->second;
}

std::vector<std::string_view> Registry::names(Role role) const {
  std::vector<std::string_view> out;
  for (const auto& [id, op] : operators_) {
    if (id.first == role) out.push_back(id.second);
  }
  return out;
}

}  // namespace weir
