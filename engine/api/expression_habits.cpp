#include "expression_habits.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

constexpr std::string_view parts_of_texts = "starts_with(x, 'a'), ends_with(x, 'a') or contains(x, 'a')";

/// In lower case, and what is written here.
constexpr auto habits = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"&", "and"},
    {"&&", "and"},
    {"|", "or"},
    {"||", "or"},
    {"!", "not"},
    {"?", "if(condition, then, else)"},
    {"case", "if(condition, then, else)"},
    {"iif", "if(condition, then, else)"},
    {"ilike", parts_of_texts},
    {"like", parts_of_texts},
    {"regexp", parts_of_texts},
    {"rlike", parts_of_texts},
    {"substr", parts_of_texts},
    {"substring", parts_of_texts},
    {"ceiling", "ceil(x)"},
    {"current_timestamp", "arrival"},
    {"greatest", "max(x, y)"},
    {"least", "min(x, y)"},
    {"ifnull", "coalesce(x, y)"},
    {"nvl", "coalesce(x, y)"},
    {"log", "ln(x)"},
    {"mod", "x % y"},
    {"now", "arrival"},
    {"pow", "power(x, y)"},
    {"^", "power(x, y)"},
});

}  // namespace

std::string habit_hint(std::string_view word) {
  const auto found = std::ranges::find_if(
      habits, [&](const auto& habit) { return std::ranges::equal(habit.first, word, {}, {}, lower); });
  return found == habits.end() ? "" : weir::format("; write {}", found->second);
}

std::string unknown_function(std::string_view name) {
  std::vector<std::string> names;
  for (const Form& each : forms()) {
    if (each.precedence == 0) names.emplace_back(each.name);
  }
  std::string hint = habit_hint(name);
  if (hint.empty()) {
    hint = did_you_mean(name, names);
    for (std::size_t i = 0; i < names.size() && !hint.ends_with('?'); ++i)
      hint += (i == 0 ? "there are " : ", ") + names[i];
    hint.insert(0, "; ");
  }
  return weir::format("unknown function {}{}", quoted(name), hint);
}

}  // namespace weir::expression
