/// What people write who know other languages better, and what it is here. Not for operators.
#pragma once

#include <string>
#include <string_view>

namespace weir::expression {

/// `; write power(x, y)`, to append to what is wrong with `word`; empty if it is nobody's habit.
std::string habit_hint(std::string_view word);

/// `unknown function "sqr"; did you mean "sqrt"?`, or what to write instead, or all functions that there are.
std::string unknown_function(std::string_view name);

}  // namespace weir::expression
