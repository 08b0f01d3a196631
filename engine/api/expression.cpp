#include <weir/expression.hpp>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <utility>

#include "expression_values.hpp"

namespace weir::expression {
namespace {

/// A form that is `f` of its one or two arguments, row by row.
template <typename T, auto f>
Values mapped(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  if constexpr (std::invocable<decltype(f), T> || std::invocable<decltype(f), Valid&, T>) {
    return block.map<T>(n.type, f, a);
  } else {
    return block.map<T>(n.type, f, a, block.values(n.args[1]));
  }
}

template <auto of_whole, auto of_real>
Values arithmetic(Block& block, const Node& n) {
  return n.type == Type::float64 ? mapped<double, of_real>(block, n) : mapped<std::int64_t, of_whole>(block, n);
}

/// A function of real numbers. What is no finite number though the arguments are is NULL: sqrt(-1), ln(0).
template <auto f>
constexpr auto finite = [](Valid& valid, auto... x) -> double
  requires std::invocable<decltype(f), decltype(x)...>
{
  const double made = f(x...);
  valid.is = std::isfinite(made) || !(std::isfinite(x) && ...);
  return made;
};
template <auto f>
constexpr auto* real = mapped<double, finite<f>>;

/// Whole numbers whose result does not fit, and division by zero, which SQL refuses, give NULL.
template <auto overflows>
constexpr auto checked = [](Valid& valid, std::int64_t a, std::int64_t b) {
  std::int64_t made = 0;
  valid.is = !overflows(a, b, &made);
  return made;
};
constexpr auto add = checked<[](auto a, auto b, auto* out) { return __builtin_add_overflow(a, b, out); }>;
constexpr auto subtract = checked<[](auto a, auto b, auto* out) { return __builtin_sub_overflow(a, b, out); }>;
constexpr auto multiply = checked<[](auto a, auto b, auto* out) { return __builtin_mul_overflow(a, b, out); }>;
constexpr auto modulo = [](Valid& valid, std::int64_t a, std::int64_t b) {
  valid.is = b != 0;
  return b == 0 || b == -1 ? 0 : a % b;  // the least number % -1 would trap
};
constexpr auto absolute = [](Valid& valid, std::int64_t a) {
  valid.is = a != INT64_MIN;
  return a < 0 && a != INT64_MIN ? -a : a;
};
constexpr auto divide = [](Valid& valid, double a, double b) {
  valid.is = b != 0;
  return b != 0 ? a / b : 0;
};
constexpr auto real_modulo = [](Valid& valid, double a, double b) {
  valid.is = b != 0;
  return b != 0 ? std::fmod(a, b) : 0;
};

/// As SQL orders doubles: NaN equals NaN and is greater than every number.
template <typename T>
bool equals(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, double>) return (a == b) | ((a != a) & (b != b));
  return a == b;
}
template <typename T>
bool is_less(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, double>) return !(b <= a) & (a == a);
  return a < b;
}

/// `a < b` or `a = b`, maybe with the sides turned or the answer inverted: all six comparisons.
struct Comparison {
  bool by_order, turned = false, inverted = false;
};
constexpr Comparison equal{false}, unequal{false, false, true};
constexpr Comparison less{true}, greater{true, true}, at_most{true, true, true}, at_least{true, false, true};

Values ordered(Block& block, Comparison how, const Values& left, const Values& right) {
  const Values& a = how.turned ? right : left;
  const Values& b = how.turned ? left : right;
  return with_type(a.type == Type::float64 ? a.type : b.type, [&]<typename T>() {
    const bool inverted = how.inverted;
    if (!how.by_order)
      return block.map<T>(Type::boolean, [=](const T& x, const T& y) { return equals(x, y) != inverted; }, a, b);
    return block.map<T>(Type::boolean, [=](const T& x, const T& y) { return is_less(x, y) != inverted; }, a, b);
  });
}

/// A dictionary column meets a text as a number: the text's id.
Values compared(Block& block, Comparison how, const Values& left, const Node& right) {
  if (how.by_order || left.type != Type::dictionary || right.ids == nullptr)
    return ordered(block, how, left, block.values(right));
  const std::uint32_t id = right.ids->find(right.text, left.ids->dictionary);
  const auto matches = [=](std::uint32_t each) { return (each == id) != how.inverted; };
  return block.map<std::uint32_t>(Type::boolean, matches, left);
}

template <Comparison how>
Values comparison(Block& block, const Node& n) {
  const bool text_first = n.args[0].ids != nullptr;
  Comparison turned = how;
  turned.turned ^= text_first;
  return compared(block, turned, block.values(n.args[text_first ? 1 : 0]), n.args[text_first ? 0 : 1]);
}

/// and, or, with three values: what one side decides alone is not NULL.
Values joined(Block& block, std::uint8_t decides, const Values& left, const Values& right) {
  const auto* a = static_cast<const std::uint8_t*>(left.data);
  const auto* b = static_cast<const std::uint8_t*>(right.data);
  if (left.valid == all_valid.data() && right.valid == all_valid.data()) {
    if (decides != 0) return block.each(Type::boolean, left.valid, [](auto x, auto y) { return (x | y) != 0; }, a, b);
    return block.each(Type::boolean, left.valid, [](auto x, auto y) { return (x & y) != 0; }, a, b);
  }
  using Byte = std::uint8_t;
  const auto join = [=](Valid& valid, Byte x, Byte x_valid, Byte y, Byte y_valid) {
    const bool decided = ((x_valid & (x == decides)) | (y_valid & (y == decides))) != 0;
    valid.is = decided || (x_valid & y_valid) != 0;
    return decided == (decides != 0);
  };
  return block.each(Type::boolean, all_valid.data(), join, a, left.valid, b, right.valid);
}

template <bool decides>
Values logic(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (std::size_t i = 1; i < n.args.size(); ++i) out = joined(block, decides, out, block.values(n.args[i]));
  return out;
}

Values in(Block& block, const Node& n) {
  const Values first = block.values(n.args[0]);
  Values out = compared(block, equal, first, n.args[1]);
  for (std::size_t i = 2; i < n.args.size(); ++i) {
    out = joined(block, true, out, compared(block, equal, first, n.args[i]));
  }
  return out;
}

Values between(Block& block, const Node& n) {
  const Values first = block.values(n.args[0]);
  return joined(block, false, compared(block, at_least, first, n.args[1]), compared(block, at_most, first, n.args[2]));
}

Values is_null(Block& block, const Node& n) {
  return block.each(
      n.type, all_valid.data(), [](std::uint8_t valid) { return valid == 0; }, block.values(n.args[0]).valid);
}

/// One of two values per row.
Values picked(Block& block, Type type, const std::uint8_t* first, const Values& a, const Values& b) {
  const auto pick = [](std::uint8_t is_first, const auto& x, const auto& y) { return is_first != 0 ? x : y; };
  const bool complete = a.valid == all_valid.data() && b.valid == all_valid.data();
  const auto* valid =
      complete ? a.valid
               : block.filled<std::uint8_t>([=](std::size_t i) { return pick(first[i], a.valid[i], b.valid[i]); });
  return with_type(type,
                   [&]<typename T>() { return block.each(type, valid, pick, first, block.as<T>(a), block.as<T>(b)); });
}

Values choose(Block& block, const Node& n) {
  const Values condition = block.values(n.args[0]);
  const auto* holds = block.both(static_cast<const std::uint8_t*>(condition.data), condition.valid);
  return picked(block, n.type, holds, block.values(n.args[1]), block.values(n.args[2]));
}

Values coalesce(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (std::size_t i = 1; i < n.args.size(); ++i) out = picked(block, n.type, out.valid, out, block.values(n.args[i]));
  return out;
}

/// min, max: the one that compares so with all others; NULL counts only if there is nothing else.
template <Comparison how>
Values extreme(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (std::size_t i = 1; i < n.args.size(); ++i) {
    const Values next = block.values(n.args[i]);
    const Values wins = ordered(block, how, out, next);
    const auto stays = [](auto wins_over, auto valid, auto next_valid) {
      return (valid & (wins_over | !next_valid)) != 0;
    };
    const auto* first = static_cast<const std::uint8_t*>(wins.data);
    const Values keeps = block.each(Type::boolean, all_valid.data(), stays, first, out.valid, next.valid);
    out = picked(block, n.type, static_cast<const std::uint8_t*>(keeps.data), out, next);
  }
  return out;
}

/// lower, upper: turns the case of the 26 letters that begin with `from`.
template <char from>
Values cased(Block& block, const Node& n) {
  const auto turned = [](char c) { return static_cast<char>(c >= from && c < from + 26 ? c ^ 32 : c); };
  const auto copied = [&](std::string_view text) {
    char* out = block.make<char>(text.size());
    std::ranges::transform(text, out, turned);
    return std::string_view{out, text.size()};
  };
  return block.map<std::string_view>(n.type, copied, block.values(n.args[0]));
}

constexpr auto code_points = [](std::string_view text) -> std::int64_t {
  return std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; });
};

using Text = std::string_view;
constexpr Type truth = Type::boolean;
constexpr int function = 0;

constexpr auto all_forms = std::to_array<Form>({
    {"or", 1, 2, many, Kind::truth, Type::boolean, logic<true>},
    {"and", 2, 2, many, Kind::truth, Type::boolean, logic<false>},
    {"not", 4, 1, 1, Kind::truth, Type::boolean, mapped<std::uint8_t, [](std::uint8_t a) { return a == 0; }>},
    {"is", 4, 1, 1, Kind::alike, Type::boolean, is_null},
    {"in", 4, 2, many, Kind::alike, Type::boolean, in},
    {"between", 4, 3, 3, Kind::alike, Type::boolean, between},
    {"=", 4, 2, 2, Kind::alike, Type::boolean, comparison<equal>},
    {"==", 4, 2, 2, Kind::alike, Type::boolean, comparison<equal>},
    {"<>", 4, 2, 2, Kind::alike, Type::boolean, comparison<unequal>},
    {"!=", 4, 2, 2, Kind::alike, Type::boolean, comparison<unequal>},
    {"<", 4, 2, 2, Kind::alike, Type::boolean, comparison<less>},
    {"<=", 4, 2, 2, Kind::alike, Type::boolean, comparison<at_most>},
    {">", 4, 2, 2, Kind::alike, Type::boolean, comparison<greater>},
    {">=", 4, 2, 2, Kind::alike, Type::boolean, comparison<at_least>},
    {"+", 5, 2, 2, Kind::number, {}, arithmetic<add, std::plus<double>{}>},
    {"-", 5, 2, 2, Kind::number, {}, arithmetic<subtract, std::minus<double>{}>},
    {"*", 6, 2, 2, Kind::number, {}, arithmetic<multiply, std::multiplies<double>{}>},
    {"/", 6, 2, 2, Kind::number, Type::float64, mapped<double, divide>},
    {"%", 6, 2, 2, Kind::number, {}, arithmetic<modulo, real_modulo>},
    {"abs", function, 1, 1, Kind::number, {}, arithmetic<absolute, [](double x) { return std::fabs(x); }>},
    {"min", function, 1, many, Kind::alike, {}, extreme<at_most>},
    {"max", function, 1, many, Kind::alike, {}, extreme<at_least>},
    {"coalesce", function, 1, many, Kind::alike, {}, coalesce},
    {"if", function, 3, 3, Kind::alike, {}, choose},
    {"floor", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::floor(x); }>},
    {"ceil", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::ceil(x); }>},
    {"round", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::round(x); }>},
    {"sqrt", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::sqrt(x); }>},
    {"exp", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::exp(x); }>},
    {"ln", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::log(x); }>},
    {"sin", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::sin(x); }>},
    {"cos", function, 1, 1, Kind::number, Type::float64, real<[](double x) { return std::cos(x); }>},
    {"hypot", function, 2, 2, Kind::number, Type::float64, real<[](double x, double y) { return std::hypot(x, y); }>},
    {"power", function, 2, 2, Kind::number, Type::float64, real<[](double x, double y) { return std::pow(x, y); }>},
    {"length", function, 1, 1, Kind::text, Type::int64, mapped<Text, code_points>},
    {"lower", function, 1, 1, Kind::text, Type::string, cased<'A'>},
    {"upper", function, 1, 1, Kind::text, Type::string, cased<'a'>},
    {"starts_with", function, 2, 2, Kind::text, truth, mapped<Text, [](Text a, Text b) { return a.starts_with(b); }>},
    {"ends_with", function, 2, 2, Kind::text, truth, mapped<Text, [](Text a, Text b) { return a.ends_with(b); }>},
    {"contains", function, 2, 2, Kind::text, truth, mapped<Text, [](Text a, Text b) { return a.contains(b); }>},
});

/// Calls use(block, begin, rows) for one block of rows after the other.
template <typename F>
void for_each_block(const Batch& batch, F&& use) {
  std::array<std::byte, 32 * block_rows> room;
  for (std::size_t begin = 0; begin < batch.rows; begin += block_rows) {
    std::pmr::monotonic_buffer_resource memory{room.data(), room.size()};
    const std::size_t rows = std::min(block_rows, batch.rows - begin);
    Block block{batch, begin, rows, memory};
    use(block, begin, rows);
  }
}

template <typename T, typename Made>
Column collected(const Node& root, const Batch& batch, Column (*finish)(Made, Validity)) {
  Made out;
  Validity valid;
  for_each_block(batch, [&](Block& block, std::size_t begin, std::size_t rows) {
    const Values values = block.values(root);
    const T* const data = block.as<T>(values);
    if constexpr (std::is_same_v<T, Text>) {
      for (std::size_t i = 0; i < rows; ++i) out.push(values.valid[i] != 0 ? data[i] : Text{});
    } else {
      out.resize(batch.rows);
      std::copy_n(data, rows, out.data() + begin);
    }
    if (values.valid == all_valid.data() && valid.all()) return;
    for (std::size_t i = 0; i < rows; ++i) valid.push(values.valid[i] != 0, begin + i);
  });
  return finish(std::move(out), std::move(valid));
}

}  // namespace

std::span<const Form> forms() { return all_forms; }

std::uint32_t KnownIds::find(std::string_view text, const std::shared_ptr<const Dictionary>& table) {
  const std::lock_guard lock{mutex_};
  const auto of_table = [&](const Entry& e) { return !e.table.owner_before(table) && !table.owner_before(e.table); };
  auto entry = std::ranges::find_if(entries_, of_table);
  if (entry == entries_.end()) {
    std::erase_if(entries_, [](const Entry& each) { return each.table.expired(); });
    entry = entries_.insert(entries_.end(), {.table = table});
  }
  for (const std::uint32_t size = table->size(); entry->id == none && entry->seen < size; ++entry->seen) {
    if (table->at(entry->seen) == text) entry->id = entry->seen;
  }
  return entry->id;
}

Column evaluate(const Node& root, const Batch& batch) {
  if (root.is_name && root.column != arrival_column) return batch.columns[root.column];
  if (root.type == Type::int64) return collected<std::int64_t>(root, batch, Column::int64);
  if (root.type == Type::timestamp) return collected<std::int64_t>(root, batch, Column::timestamp);
  if (root.type == Type::float64) return collected<double>(root, batch, Column::float64);
  if (root.type == Type::boolean) return collected<std::uint8_t>(root, batch, Column::boolean);
  return collected<Text>(root, batch, Column::string);
}

std::vector<std::uint8_t> test(const Node& root, const Batch& batch) {
  assert(root.type == Type::boolean);
  std::vector<std::uint8_t> out(batch.rows);
  for_each_block(batch, [&](Block& block, std::size_t begin, std::size_t rows) {
    const Values values = block.values(root);
    std::uint8_t* __restrict flags = out.data() + begin;
    std::copy_n(block.both(block.as<std::uint8_t>(values), values.valid), rows, flags);
  });
  return out;
}

}  // namespace weir::expression

namespace weir {

struct Expression::Program {
  std::string text;
  expression::Node root;
};

Expression::Expression(std::shared_ptr<const Program> program) : program_{std::move(program)} {}
Expression::Expression(const Expression&) = default;
Expression& Expression::operator=(const Expression&) = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

Result<Expression> Expression::compile(std::string_view text) {
  return expression::parse(text).transform([&](expression::Node&& root) {
    return Expression{std::make_shared<const Program>(Program{std::string{text}, std::move(root)})};
  });
}

Result<Expression> Expression::bind(const Schema& schema) const {
  Program bound = *program_;
  return expression::bind(bound.root, schema).transform([&] {
    return Expression{std::make_shared<const Program>(std::move(bound))};
  });
}

const std::string& Expression::text() const { return program_->text; }
Type Expression::type() const { return program_->root.type; }
Column Expression::evaluate(const Batch& batch) const { return expression::evaluate(program_->root, batch); }
std::vector<std::uint8_t> Expression::test(const Batch& batch) const { return expression::test(program_->root, batch); }

}  // namespace weir
