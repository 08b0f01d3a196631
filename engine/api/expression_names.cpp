#include <vector>

#include <weir/spelling.hpp>

#include "expression_tree.hpp"

namespace weir::expression {

std::string name_hint(std::string_view name, bool is_function) {
  std::vector<std::string> names;
  for (const Form& form : forms()) {
    if ((form.precedence == 0) == is_function) names.emplace_back(form.name);
  }
  std::string hint = did_you_mean(name, names);
  for (std::size_t i = 0; i < names.size() && !hint.ends_with('?'); ++i)
    hint += (i == 0 ? "there are " : ", ") + names[i];
  return hint;
}

}  // namespace weir::expression
