#include <algorithm>

#include <weir/ascii.hpp>
#include <weir/spelling.hpp>

#include "expression/tree.hpp"

namespace weir::expression {

std::span<const Form> forms() {
  static const std::vector<Form> all = [] {
    std::vector<Form> out;
    for (const auto& table :
         {logic_forms(), number_forms(), text_forms(), time_forms(), point_forms(), history_forms()})
      out.append_range(table);
    return out;
  }();
  return all;
}

const Form* find_form(std::string_view name) {
  const auto found = std::ranges::find_if(
      forms(), [&](const Form& form) { return std::ranges::equal(form.name, name, {}, lower, lower); });
  return found == forms().end() ? nullptr : &*found;
}

std::string name_hint(std::string_view name, bool is_function) {
  std::vector<std::string> names;
  for (const Form& form : forms()) {
    if ((form.precedence == function) == is_function) names.emplace_back(form.name);
  }
  std::string hint = did_you_mean(name, names);
  for (std::size_t i = 0; i < names.size() && !hint.ends_with('?'); ++i)
    hint += (i == 0 ? "there are " : ", ") + names[i];
  return hint;
}

}  // namespace weir::expression

namespace weir {

std::string Expression::functions() {
  std::string out;
  for (const expression::Form& form : expression::forms()) {
    if (form.precedence != expression::function) continue;
    const bool brackets = form.name != "case";
    out += weir::format("    {}{}{}{}\n        {}\n", form.name, brackets ? "(" : " ", form.arguments,
                        brackets ? ")" : "", form.doc);
  }
  return out;
}

}  // namespace weir
