#include <functional>

#include "expression/block.hpp"

namespace weir::expression {
namespace {

// Whole numbers whose result does not fit, and division by zero, which SQL refuses, give NULL.
template <auto overflows>
constexpr auto checked = [](std::int64_t a, std::int64_t b) {
  std::int64_t made = 0;
  const bool fits = !overflows(a, b, &made);
  return Maybe{made, fits};
};
constexpr auto add = checked<[](auto a, auto b, auto* out) { return __builtin_add_overflow(a, b, out); }>;
constexpr auto subtract = checked<[](auto a, auto b, auto* out) { return __builtin_sub_overflow(a, b, out); }>;
constexpr auto multiply = checked<[](auto a, auto b, auto* out) { return __builtin_mul_overflow(a, b, out); }>;
constexpr auto absolute = [](std::int64_t a) { return Maybe{a == INT64_MIN ? 0 : std::abs(a), a != INT64_MIN}; };
constexpr auto divide = [](double a, double b) {
  const double made = a / b;
  return Maybe{made, b != 0 && (std::isfinite(made) || !std::isfinite(a) || !std::isfinite(b))};
};
constexpr auto real_modulo = [](double a, double b) { return Maybe{std::fmod(a, b), b != 0}; };
constexpr auto modulo = [](std::int64_t a, std::int64_t b) {
  return Maybe{b == 0 || b == -1 ? 0 : a % b, b != 0};  // the least number % -1 would trap
};

constexpr Type real_number = Type::float64;

constexpr auto number_table = std::to_array<Form>({
    {"+", 5, 2, 2, numbers, {}, arithmetic<add, finite<std::plus<double>{}>>},
    {"-", 5, 2, 2, numbers, {}, arithmetic<subtract, finite<std::minus<double>{}>>},
    {"*", 6, 2, 2, numbers, {}, arithmetic<multiply, finite<std::multiplies<double>{}>>},
    {"/", 6, 2, 2, numbers, real_number, mapped<double, divide>},
    {"%", 6, 2, 2, numbers, {}, arithmetic<modulo, real_modulo>},
    {"abs",
     function,
     1,
     1,
     numbers,
     {},
     arithmetic<absolute, [](double x) { return std::fabs(x); }>,
     "x",
     "the value without its sign"},
    {"floor", function, 1, 1, numbers, real_number, real<[](double x) { return std::floor(x); }>, "x",
     "the greatest whole number that is no greater"},
    {"ceil", function, 1, 1, numbers, real_number, real<[](double x) { return std::ceil(x); }>, "x",
     "the least whole number that is no less"},
    {"round", function, 1, 1, numbers, real_number, real<[](double x) { return std::round(x); }>, "x",
     "the nearest whole number; of two the one further from zero"},
    {"sqrt", function, 1, 1, numbers, real_number, real<[](double x) { return std::sqrt(x); }>, "x", "the square root"},
    {"power", function, 2, 2, numbers, real_number, real<[](double x, double y) { return std::pow(x, y); }>, "x, y",
     "x to the power of y"},
    {"exp", function, 1, 1, numbers, real_number, real<[](double x) { return std::exp(x); }>, "x",
     "e to the power of x"},
    {"ln", function, 1, 1, numbers, real_number, real<[](double x) { return std::log(x); }>, "x",
     "the natural logarithm"},
    {"sin", function, 1, 1, numbers, real_number, real<[](double x) { return std::sin(x); }>, "x",
     "the sine of an angle in radians"},
    {"cos", function, 1, 1, numbers, real_number, real<[](double x) { return std::cos(x); }>, "x",
     "the cosine of an angle in radians"},
    {"hypot", function, 2, 2, numbers, real_number, real<[](double x, double y) { return std::hypot(x, y); }>, "x, y",
     "the length of the hypotenuse, sqrt(x*x + y*y)"},
});

}  // namespace

std::span<const Form> number_forms() { return number_table; }

}  // namespace weir::expression
