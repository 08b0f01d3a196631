#include <weir/expression.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <functional>
#include <memory_resource>
#include <utility>

#include "expression_tree.hpp"

namespace weir::expression {

/// The values of a block of rows. What a NULL's row holds is readable, ids excepted.
struct Values {
  Type type;
  const std::uint8_t* valid;      ///< per row; 0: NULL
  const void* data = nullptr;     ///< int64, double, a byte per truth, std::string_view, or ids
  const Ids* ids = nullptr;       ///< what the ids are in
  const Node* literal = nullptr;  ///< the same in every row, and nothing in data
};

namespace {

using Text = std::string_view;
using Byte = std::uint8_t;

constexpr std::size_t block_rows = 1024;  ///< what one step makes is still in the cache for the next
constexpr std::array<Byte, block_rows> none_valid{};
constexpr auto all_valid = [] {
  std::array<Byte, block_rows> out{};
  out.fill(1);
  return out;
}();

/// Calls use.operator()<T>() with the type that holds the values.
template <typename F>
auto with_type(Type type, F use) {
  if (type == Type::float64) return use.template operator()<double>();
  if (type == Type::boolean) return use.template operator()<Byte>();
  if (type == Type::string || type == Type::dictionary) return use.template operator()<Text>();
  return use.template operator()<std::int64_t>();
}

}  // namespace

/// Some rows of a batch, no more than block_rows. What is made for them stays in `memory` until they are done.
struct Block {
  const Batch& batch;
  std::size_t begin, rows;
  std::pmr::polymorphic_allocator<> memory;

  Values values(const Node& n) {
    if (n.form != nullptr) return n.form->evaluate(*this, n);
    if (!n.is_name) return {.type = n.type, .valid = n.null ? none_valid.data() : all_valid.data(), .literal = &n};
    if (n.column == arrival_column) return {n.type, all_valid.data(), batch.arrival.data() + begin};
    return column(n.type, batch.columns[n.column]);
  }

  Values column(Type type, const Column& from) {
    static const Node null{.null = true};
    if (from.absent()) return {.type = type, .valid = none_valid.data(), .literal = &null};
    const auto is_valid = [&](std::size_t i) { return from.validity()[begin + i]; };
    const Byte* valid = from.validity().all() ? all_valid.data() : filled<Byte>(is_valid);
    if (type == Type::float64) return {type, valid, from.float64s().data() + begin};
    if (type == Type::dictionary) return {type, valid, from.ids().ids.data() + begin, &from.ids()};
    if (type == Type::string)
      return {type, valid, filled<Text>([&, &of = from.texts()](std::size_t i) { return of[begin + i]; })};
    if (type == Type::boolean)
      return {type, valid, filled<bool>([of = from.booleans().data() + begin](std::size_t i) { return of[i] != 0; })};
    return {type, valid, from.int64s().data() + begin};
  }

  template <typename T, typename F>
  const T* filled(F value_at) {
    T* __restrict out = memory.allocate_object<T>(rows);
    for (std::size_t i = 0; i < rows; ++i) out[i] = static_cast<T>(value_at(i));
    return out;
  }

  /// The values as T, which is their own type, double for whole numbers, or text for ids.
  template <typename T>
  const T* as(const Values& of) {
    if (of.literal != nullptr) return filled<T>([value = of.literal->value<T>()](std::size_t) { return value; });
    if constexpr (std::is_same_v<T, double>) {
      if (of.type != Type::float64)
        return filled<T>([whole = as<std::int64_t>(of)](std::size_t i) { return whole[i]; });
    } else if constexpr (std::is_same_v<T, Text>) {
      const auto* ids = static_cast<const std::uint32_t*>(of.data);
      const auto text = [&](std::size_t i) { return of.valid[i] != 0 ? of.ids->dictionary->at(ids[i]) : T{}; };
      if (of.ids != nullptr) return filled<T>(text);
    }
    return static_cast<const T*>(of.data);
  }

  const Byte* both(const Byte* a, const Byte* b = all_valid.data()) {
    if (a == all_valid.data() || a == b) return b;
    return b == all_valid.data() ? a : filled<Byte>([=](std::size_t i) { return a[i] & b[i]; });
  }

  /// Per row what `f` makes of the arguments' values as T; NULL where one of them is, and where `f` says so (Maybe).
  template <typename T, typename F, typename... Of>
  Values map(Type type, F f, const Of&... of) {
    return [&](const Byte* given, const auto*... at) -> Values {
      using Made = decltype(f(*at...));
      if constexpr (requires(Made made) { made.known; }) {
        auto* __restrict data = memory.allocate_object<decltype(Made::value)>(rows);
        auto* __restrict valid = memory.allocate_object<Byte>(rows);
        for (std::size_t i = 0; i < rows; ++i) {
          const Made made = f(at[i]...);
          data[i] = made.value;
          valid[i] = given[i] & static_cast<Byte>(made.known);
        }
        return {type, valid, data};
      } else {
        return {type, given, filled<Made>([=](std::size_t i) { return f(at[i]...); })};
      }
    }(both(of.valid...), as<T>(of)...);
  }
};

namespace {

/// A form that is `f` of its one or two arguments, row by row.
template <typename T, auto f>
Values mapped(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  if constexpr (std::invocable<decltype(f), T>)
    return block.map<T>(n.type, f, a);
  else
    return block.map<T>(n.type, f, a, block.values(n.args[1]));
}

template <auto of_whole, auto of_real>
Values arithmetic(Block& block, const Node& n) {
  return n.type == Type::float64 ? mapped<double, of_real>(block, n) : mapped<std::int64_t, of_whole>(block, n);
}

/// What a kernel gives that may not know its result. Both are calculated in every row, for want of a branch; no bool,
/// because filling up what is behind one takes longer than all the rest.
template <typename T>
struct Maybe {
  T value;
  std::uint64_t known;
};

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
constexpr auto divide = [](double a, double b) { return Maybe{a / b, b != 0}; };
constexpr auto real_modulo = [](double a, double b) { return Maybe{std::fmod(a, b), b != 0}; };
constexpr auto modulo = [](std::int64_t a, std::int64_t b) {
  return Maybe{b == 0 || b == -1 ? 0 : a % b, b != 0};  // the least number % -1 would trap
};

/// A function of real numbers. What is no finite number though the arguments are is NULL: sqrt(-1), ln(0).
template <auto f>
constexpr auto finite = [](auto... x)
  requires std::invocable<decltype(f), decltype(x)...>
{
  const double made = f(x...);
  return Maybe{made, std::isfinite(made) || !(std::isfinite(x) && ...)};
};
template <auto f>
constexpr auto* real = mapped<double, finite<f>>;

// As SQL orders doubles: NaN equals NaN and is greater than every number.
constexpr auto equals = []<typename T>(const T& a, const T& b) -> bool {
  if constexpr (std::is_same_v<T, double>) return (a == b) | ((a != a) & (b != b));
  return a == b;
};
constexpr auto less = []<typename T>(const T& a, const T& b) -> bool {
  if constexpr (std::is_same_v<T, double>) return !(b <= a) & (a == a);
  return a < b;
};
constexpr auto differs = [](const auto& a, const auto& b) { return !equals(a, b); };
constexpr auto greater = [](const auto& a, const auto& b) { return less(b, a); };
constexpr auto at_most = [](const auto& a, const auto& b) { return !less(b, a); };
constexpr auto at_least = [](const auto& a, const auto& b) { return !less(a, b); };

template <auto holds>
Values compared(Block& block, Type type, const Values& a, const Values& b) {
  return with_type(a.type == Type::float64 ? a.type : b.type,
                   [&]<typename T>() { return block.map<T>(type, holds, a, b); });
}

/// equals, differs: a dictionary column meets a text as a number, the text's id.
template <auto holds>
Values matched(Block& block, Type type, const Values& a, const Values& b) {
  const auto is_text = [](const Values& of) { return of.literal != nullptr && of.literal->id != nullptr; };
  if (is_text(a) && b.ids != nullptr) return matched<holds>(block, type, b, a);
  if (!is_text(b) || a.ids == nullptr) return compared<holds>(block, type, a, b);
  const std::uint32_t id = b.literal->id->find(b.literal->text, a.ids->dictionary);
  return block.map<std::uint32_t>(type, [=](std::uint32_t each) { return holds(each, id); }, a);
}

/// and, or, with three values: what one side decides alone is not NULL.
template <bool decides>
Values joined(Block& block, Type type, const Values& left, const Values& right) {
  const Byte *a = block.as<Byte>(left), *a_valid = left.valid, *b = block.as<Byte>(right), *b_valid = right.valid;
  const Byte* valid = block.both(a_valid, b_valid);
  if (valid == all_valid.data())
    return {type, valid, block.filled<Byte>([=](std::size_t i) { return decides ? a[i] | b[i] : a[i] & b[i]; })};
  const auto decided = [=](std::size_t i) {
    return (a_valid[i] & (a[i] == decides)) | (b_valid[i] & (b[i] == decides));
  };
  valid = block.filled<Byte>([=](std::size_t i) { return valid[i] | decided(i); });
  return {type, valid, block.filled<Byte>([=](std::size_t i) { return decided(i) == decides; })};
}

/// One of two values per row.
Values picked(Block& block, Type type, const Byte* first, const Values& a, const Values& b) {
  const auto pick = [&]<typename T>(const T* x, const T* y) {
    return block.filled<T>([=](std::size_t i) {
      const T one = x[i], other = y[i];  // no branch
      return first[i] != 0 ? one : other;
    });
  };
  const Byte* valid = a.valid == b.valid ? a.valid : pick(a.valid, b.valid);
  return with_type(type, [&]<typename T>() { return Values{type, valid, pick(block.as<T>(a), block.as<T>(b))}; });
}

Values first_known(Block& block, Type type, const Values& a, const Values& b) {
  return picked(block, type, a.valid, a, b);
}

/// min, max: NULL counts only if there is nothing else.
template <auto wins>
Values extreme(Block& block, Type type, const Values& a, const Values& b) {
  const Byte *won = block.as<Byte>(compared<wins>(block, Type::boolean, a, b)), *a_valid = a.valid, *b_valid = b.valid;
  const auto stays = [=](std::size_t i) { return a_valid[i] & (won[i] | (b_valid[i] ^ 1)); };
  return picked(block, type, block.filled<Byte>(stays), a, b);
}

/// A form that joins its arguments step by step: the first two, what that gives and the third, and so on.
template <auto step>
Values folded(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (const Node& arg : std::span{n.args}.subspan(1)) out = step(block, n.type, out, block.values(arg));
  return out;
}

Values in(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  Values out = matched<equals>(block, n.type, a, block.values(n.args[1]));
  for (const Node& arg : std::span{n.args}.subspan(2))
    out = joined<true>(block, n.type, out, matched<equals>(block, n.type, a, block.values(arg)));
  return out;
}

Values between(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  const Values above = compared<at_least>(block, n.type, a, block.values(n.args[1]));
  return joined<false>(block, n.type, above, compared<at_most>(block, n.type, a, block.values(n.args[2])));
}

Values is_null(Block& block, const Node& n) {
  const Byte* valid = block.values(n.args[0]).valid;
  return {n.type, all_valid.data(), block.filled<bool>([=](std::size_t i) { return valid[i] == 0; })};
}

Values choose(Block& block, const Node& n) {
  const Values condition = block.values(n.args[0]);
  const Byte* holds = block.both(block.as<Byte>(condition), condition.valid);
  const Values then = block.values(n.args[1]);
  return picked(block, n.type, holds, then, block.values(n.args[2]));
}

/// lower, upper: turns the case of the 26 letters that begin with `from`.
template <char from>
Values cased(Block& block, const Node& n) {
  const auto turned = [](char c) { return static_cast<char>(c >= from && c < from + 26 ? c ^ 32 : c); };
  const auto copied = [&](Text text) {
    char* out = block.memory.allocate_object<char>(text.size());
    std::ranges::transform(text, out, turned);
    return Text{out, text.size()};
  };
  return block.map<Text>(n.type, copied, block.values(n.args[0]));
}

constexpr auto code_points = [](Text text) -> std::int64_t {
  return std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; });
};

constexpr Type truth = Type::boolean;
constexpr int function = 0;

constexpr auto all_forms = std::to_array<Form>({
    {"or", 1, 2, many, Takes::truth, truth, folded<joined<true>>},
    {"and", 2, 2, many, Takes::truth, truth, folded<joined<false>>},
    {"not", 4, 1, 1, Takes::truth, truth, mapped<Byte, [](Byte a) { return a == 0; }>},
    {"is", 4, 1, 1, Takes::alike, truth, is_null},
    {"in", 4, 2, many, Takes::alike, truth, in},
    {"between", 4, 3, 3, Takes::alike, truth, between},
    {"=", 4, 2, 2, Takes::alike, truth, folded<matched<equals>>},
    {"==", 4, 2, 2, Takes::alike, truth, folded<matched<equals>>},
    {"<>", 4, 2, 2, Takes::alike, truth, folded<matched<differs>>},
    {"!=", 4, 2, 2, Takes::alike, truth, folded<matched<differs>>},
    {"<", 4, 2, 2, Takes::alike, truth, folded<compared<less>>},
    {"<=", 4, 2, 2, Takes::alike, truth, folded<compared<at_most>>},
    {">", 4, 2, 2, Takes::alike, truth, folded<compared<greater>>},
    {">=", 4, 2, 2, Takes::alike, truth, folded<compared<at_least>>},
    {"+", 5, 2, 2, Takes::number, {}, arithmetic<add, std::plus<double>{}>},
    {"-", 5, 2, 2, Takes::number, {}, arithmetic<subtract, std::minus<double>{}>},
    {"*", 6, 2, 2, Takes::number, {}, arithmetic<multiply, std::multiplies<double>{}>},
    {"/", 6, 2, 2, Takes::number, Type::float64, mapped<double, divide>},
    {"%", 6, 2, 2, Takes::number, {}, arithmetic<modulo, real_modulo>},
    {"abs", function, 1, 1, Takes::number, {}, arithmetic<absolute, [](double x) { return std::fabs(x); }>},
    {"min", function, 1, many, Takes::alike, {}, folded<extreme<at_most>>},
    {"max", function, 1, many, Takes::alike, {}, folded<extreme<at_least>>},
    {"coalesce", function, 1, many, Takes::alike, {}, folded<first_known>},
    {"if", function, 3, 3, Takes::alike, {}, choose},
    {"floor", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::floor(x); }>},
    {"ceil", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::ceil(x); }>},
    {"round", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::round(x); }>},
    {"sqrt", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::sqrt(x); }>},
    {"exp", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::exp(x); }>},
    {"ln", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::log(x); }>},
    {"sin", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::sin(x); }>},
    {"cos", function, 1, 1, Takes::number, Type::float64, real<[](double x) { return std::cos(x); }>},
    {"hypot", function, 2, 2, Takes::number, Type::float64, real<[](double x, double y) { return std::hypot(x, y); }>},
    {"power", function, 2, 2, Takes::number, Type::float64, real<[](double x, double y) { return std::pow(x, y); }>},
    {"length", function, 1, 1, Takes::text, Type::int64, mapped<Text, code_points>},
    {"lower", function, 1, 1, Takes::text, Type::string, cased<'A'>},
    {"upper", function, 1, 1, Takes::text, Type::string, cased<'a'>},
    {"starts_with", function, 2, 2, Takes::text, truth, mapped<Text, [](Text a, Text b) { return a.starts_with(b); }>},
    {"ends_with", function, 2, 2, Takes::text, truth, mapped<Text, [](Text a, Text b) { return a.ends_with(b); }>},
    {"contains", function, 2, 2, Takes::text, truth, mapped<Text, [](Text a, Text b) { return a.contains(b); }>},
});

/// Calls use(block, values) for one block of rows after the other.
template <typename F>
void for_each_block(const Node& root, const Batch& batch, F&& use) {
  std::array<std::byte, 32 * block_rows> room;
  for (std::size_t begin = 0; begin < batch.rows; begin += block_rows) {
    std::pmr::monotonic_buffer_resource memory{room.data(), room.size()};
    Block block{batch, begin, std::min(block_rows, batch.rows - begin), &memory};
    use(block, block.values(root));
  }
}

template <typename T, typename Made>
Column collected(const Node& root, const Batch& batch, Column (*finish)(Made, Validity)) {
  Made out;
  Validity valid;
  for_each_block(root, batch, [&](Block& block, const Values& values) {
    const T* const data = block.as<T>(values);
    if constexpr (std::is_same_v<T, Text>) {
      for (std::size_t i = 0; i < block.rows; ++i) out.push(values.valid[i] != 0 ? data[i] : Text{});
    } else {
      out.resize(batch.rows);
      std::copy_n(data, block.rows, out.data() + block.begin);
    }
    if (values.valid == all_valid.data() && valid.all()) return;
    for (std::size_t i = 0; i < block.rows; ++i) valid.push(values.valid[i] != 0, block.begin + i);
  });
  return finish(std::move(out), std::move(valid));
}

}  // namespace

std::span<const Form> forms() { return all_forms; }

}  // namespace weir::expression

namespace weir {

using namespace expression;

Column Expression::evaluate(const Batch& batch) const {
  const expression::Node& root = program_->root;
  if (root.is_name && root.column != arrival_column) return batch.columns[root.column];
  if (root.type == Type::int64) return collected<std::int64_t>(root, batch, Column::int64);
  if (root.type == Type::timestamp) return collected<std::int64_t>(root, batch, Column::timestamp);
  if (root.type == Type::float64) return collected<double>(root, batch, Column::float64);
  if (root.type == Type::boolean) return collected<Byte>(root, batch, Column::boolean);
  return collected<Text>(root, batch, Column::string);
}

std::vector<std::uint8_t> Expression::test(const Batch& batch) const {
  assert(type() == Type::boolean);
  std::vector<std::uint8_t> out(batch.rows);
  for_each_block(program_->root, batch, [&](Block& block, const Values& values) {
    std::copy_n(block.both(block.as<Byte>(values), values.valid), block.rows, out.data() + block.begin);
  });
  return out;
}

}  // namespace weir
