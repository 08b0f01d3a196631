// Random expressions against a reference that evaluates one row at a time, and only what it looks at.
#include <weir/expression.hpp>
#include <weir/format.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace weir {
namespace {

constexpr std::size_t reference_rows = 1100;  // more than one block

struct ReferenceRow {
  std::optional<std::int64_t> n;
  std::optional<double> x;
  std::optional<bool> ok;
};

/// A row, and how many undefined results its evaluation met.
struct ReferenceLook {
  const ReferenceRow& row;
  std::uint64_t& undefined;
};

/// The text of an expression, and what it means.
template <typename T>
struct Meant {
  std::string text;
  std::function<std::optional<T>(ReferenceLook)> value;
};

class RandomExpressions {
 public:
  explicit RandomExpressions(unsigned seed) : random_{seed} {}

  Meant<std::int64_t> whole(int depth) {
    const auto choice = below(depth > 0 ? 6 : 2);
    if (choice == 0) return {"n", [](ReferenceLook at) { return at.row.n; }};
    if (choice == 1) {
      const std::array<std::int64_t, 5> some{0, 1, -3, 7, INT64_MAX};
      const auto number = some.at(below(some.size()));
      return {std::to_string(number), [=](ReferenceLook) { return std::optional{number}; }};
    }
    const auto a = whole(depth - 1), b = whole(depth - 1);
    if (choice == 2)
      return undefined_too<std::int64_t>("({} + {})", a, b,
                                         [](auto x, auto y, auto* out) { return !__builtin_add_overflow(x, y, out); });
    if (choice == 3)
      return undefined_too<std::int64_t>("({} * {})", a, b,
                                         [](auto x, auto y, auto* out) { return !__builtin_mul_overflow(x, y, out); });
    return choice == 4 ? chosen(depth, a, b) : unless_null(a, b);
  }

  Meant<double> real(int depth) {
    const auto choice = below(depth > 0 ? 7 : 2);
    if (choice == 0) return {"x", [](ReferenceLook at) { return at.row.x; }};
    if (choice == 1) {
      const std::array<double, 4> some{0.5, 2.25, 1e200, 3.75};
      const auto number = some.at(below(some.size()));
      return {weir::format("{}", number), [=](ReferenceLook) { return std::optional{number}; }};
    }
    const auto a = real(depth - 1), b = real(depth - 1);
    const auto finite = [](double made, double* out) { return std::isfinite(*out = made); };
    if (choice == 2)
      return undefined_too<double>("({} / {})", a, b,
                                   [=](double x, double y, double* out) { return finite(x / y, out) && y != 0; });
    if (choice == 3)
      return undefined_too<double>("({} * {})", a, b,
                                   [=](double x, double y, double* out) { return finite(x * y, out); });
    if (choice == 4)
      return undefined_too<double>("power({}, {})", a, b,
                                   [=](double x, double y, double* out) { return finite(std::pow(x, y), out); });
    return choice == 5 ? chosen(depth, a, b) : unless_null(a, b);
  }

  Meant<bool> truth(int depth) {
    const auto choice = below(depth > 0 ? 7 : 1);
    if (choice == 0) return {"ok", [](ReferenceLook at) { return at.row.ok; }};
    if (choice == 1) {
      const auto a = real(depth - 1), b = real(depth - 1);
      return undefined_too<bool>("({} < {})", a, b, [](double x, double y, bool* out) { return *out = x < y, true; });
    }
    if (choice == 2) {
      const auto a = whole(depth - 1);
      return {weir::format("({} is null)", a.text), [=](ReferenceLook at) { return std::optional{!a.value(at)}; }};
    }
    if (choice == 3) {
      const auto a = whole(depth - 1), b = whole(depth - 1);
      return undefined_too<bool>("({} not in ({}))", a, b,
                                 [](auto x, auto y, bool* out) { return *out = x != y, true; });
    }
    const auto a = truth(depth - 1), b = truth(depth - 1);
    if (choice == 4)
      return {weir::format("(not {})", a.text), [=](ReferenceLook at) {
                const auto value = a.value(at);
                return value ? std::optional{!*value} : std::nullopt;
              }};
    return logical(choice == 5, a, b);
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }

  /// Of two values, both looked at; `make` answers whether the result is defined.
  template <typename Made, typename T, typename F>
  static Meant<Made> undefined_too(FormatText<const std::string&, const std::string&> text, const Meant<T>& a,
                                   const Meant<T>& b, F make) {
    return {weir::format(text, a.text, b.text), [=](ReferenceLook at) -> std::optional<Made> {
              const auto x = a.value(at), y = b.value(at);
              Made out{};
              if (!x || !y) return {};
              if (make(*x, *y, &out)) return out;
              ++at.undefined;
              return {};
            }};
  }

  template <typename T>
  Meant<T> chosen(int depth, const Meant<T>& a, const Meant<T>& b) {
    const auto one = truth(depth - 1), two = truth(depth - 1);
    return {weir::format("(case when {} then {} when {} then {} end)", one.text, a.text, two.text, b.text),
            [=](ReferenceLook at) -> std::optional<T> {
              if (one.value(at).value_or(false)) return a.value(at);
              return two.value(at).value_or(false) ? b.value(at) : std::nullopt;
            }};
  }

  template <typename T>
  static Meant<T> unless_null(const Meant<T>& a, const Meant<T>& b) {
    return {weir::format("coalesce({}, {})", a.text, b.text), [=](ReferenceLook at) {
              const auto value = a.value(at);
              return value ? value : b.value(at);
            }};
  }

  static Meant<bool> logical(bool any, const Meant<bool>& a, const Meant<bool>& b) {
    return {weir::format("({} {} {})", a.text, any ? "or" : "and", b.text),
            [=](ReferenceLook at) -> std::optional<bool> {
              const auto left = a.value(at);
              if (left == any) return any;
              const auto right = b.value(at);
              if (right == any) return any;
              return left && right ? std::optional{!any} : std::nullopt;
            }};
  }

  std::mt19937 random_;
};

std::vector<ReferenceRow> random_rows() {
  std::mt19937 random{5};
  std::vector<ReferenceRow> out(reference_rows);
  const std::array<double, 6> reals{0, -1.5, 2, 1e-200, -1e300, 0.25};
  for (ReferenceRow& row : out) {
    if (random() % 5 != 0) row.n = static_cast<std::int64_t>(random() % 7) - 3;
    if (random() % 5 != 0) row.x = reals.at(random() % reals.size());
    if (random() % 5 != 0) row.ok = random() % 2 == 0;
  }
  return out;
}

BatchPtr batch_of(const std::vector<ReferenceRow>& rows) {
  auto out = std::make_shared<Batch>();
  out->schema = std::make_shared<const Schema>(
      Schema{Shape::other, {{"n", Type::int64}, {"x", Type::float64}, {"ok", Type::boolean}}});
  out->rows = rows.size();
  out->arrival.resize(rows.size());
  std::vector<std::int64_t> n;
  std::vector<double> x;
  std::vector<std::uint8_t> ok;
  Validity n_valid, x_valid, ok_valid;
  for (const ReferenceRow& row : rows) {
    n_valid.push(row.n.has_value(), n.size()), x_valid.push(row.x.has_value(), n.size());
    ok_valid.push(row.ok.has_value(), n.size());
    n.push_back(row.n.value_or(INT64_MIN)), x.push_back(row.x.value_or(-7)),
        ok.push_back(row.ok.value_or(true) ? 1 : 0);
  }
  out->columns = {Column::int64(n, n_valid), Column::float64(x, x_valid), Column::boolean(ok, ok_valid)};
  return out;
}

template <typename T>
std::optional<T> at_row(const Column& column, std::size_t row) {
  if (!column.valid(row)) return {};
  if constexpr (std::is_same_v<T, double>) return column.float64s()[row];
  if constexpr (std::is_same_v<T, bool>) return column.booleans()[row] != 0;
  if constexpr (std::is_same_v<T, std::int64_t>) return column.int64s()[row];
}

template <typename T>
void compare(const Meant<T>& meant, const std::vector<ReferenceRow>& rows, const BatchPtr& batch) {
  const auto bound = Expression::compile(meant.text).and_then([&](const auto& e) { return e.bind(*batch->schema); });
  ASSERT_TRUE(bound) << meant.text << "\n" << bound.error().message;
  Expression::Evaluation evaluation;
  const Column column = bound->evaluate(*batch, evaluation);
  std::uint64_t undefined = 0;
  for (std::size_t row = 0; row < rows.size(); ++row)
    ASSERT_EQ(at_row<T>(column, row), meant.value({rows[row], undefined})) << meant.text << " in row " << row;
  ASSERT_EQ(evaluation.undefined, undefined) << meant.text;
}

TEST(ExpressionReference, RandomExpressionsAreWhatARowByRowReferenceSays) {
  const auto rows = random_rows();
  const auto batch = batch_of(rows);
  for (unsigned seed = 0; seed < 300 && !testing::Test::HasFatalFailure(); ++seed) {
    RandomExpressions random{seed};
    compare(random.whole(4), rows, batch);
    compare(random.real(4), rows, batch);
    compare(random.truth(5), rows, batch);
  }
}

}  // namespace
}  // namespace weir
