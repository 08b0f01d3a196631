#include "expression/block.hpp"

namespace weir::expression {
namespace {

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

/// What a later argument gives is not looked at where an earlier one decides.
template <bool decides>
Values joined_all(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (const Node& arg : std::span{n.args}.subspan(1))
    out = joined<decides>(block, n.type, out, block.values(arg, Branch{out.valid, block.as<Byte>(out), decides}));
  return out;
}

/// One of two values per row.
Values picked(Block& block, const Node& n, const Byte* first, const Values& a, const Values& b) {
  const auto pick = [&]<typename T>(const T* x, const T* y) {
    return block.filled<T>([=](std::size_t i) {
      const T one = x[i], other = y[i];  // no branch
      return first[i] != 0 ? one : other;
    });
  };
  const Byte* valid = a.valid == b.valid ? a.valid : pick(a.valid, b.valid);
  return with_type(n.type, [&]<typename T>() {
    Values out{n.type, valid, pick(block.as<T>(a), block.as<T>(b))};
    if (n.is_point) out.longitude = pick(block.longitudes(a), block.longitudes(b));
    return out;
  });
}

Values coalesce(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (const Node& arg : std::span{n.args}.subspan(1))
    out = picked(block, n, out.valid, out, block.values(arg, Branch{all_valid.data(), out.valid, 1}));
  return out;
}

Values nullif(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  const Values same = matched<equals>(block, Type::boolean, a, block.values(n.args[1]));
  const Byte *is_same = block.as<Byte>(same), *known = same.valid, *valid = a.valid;
  const Byte* stays = block.filled<Byte>([=](std::size_t i) { return valid[i] & ((known[i] & is_same[i]) ^ 1); });
  return with_type(n.type, [&]<typename T>() { return Values{n.type, stays, block.as<T>(a)}; });
}

/// greatest, least: NULL counts only if there is nothing else.
template <auto wins>
Values extreme(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (const Node& arg : std::span{n.args}.subspan(1)) {
    const Values b = block.values(arg);
    const Byte *won = block.as<Byte>(compared<wins>(block, Type::boolean, out, b)), *a_valid = out.valid,
               *b_valid = b.valid;
    const auto stays = [=](std::size_t i) { return a_valid[i] & (won[i] | (b_valid[i] ^ 1)); };
    out = picked(block, n, block.filled<Byte>(stays), out, b);
  }
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

/// Of `conditions` many the first one that holds picks its value; the last value is for rows where none does.
/// `condition(i)` evaluates one.
template <typename F>
Values first_that_holds(Block& block, const Node& n, std::span<const Node> values, F condition) {
  const std::size_t conditions = values.size() - 1;
  const Branch* const all = block.branch;
  auto* holds = block.memory.allocate_object<Branch>(conditions);  // each the rows that it picks
  for (std::size_t i = 0; i < conditions; ++i) {
    const Values held = condition(i);
    const Byte* data = block.as<Byte>(held);
    holds[i] = {all_valid.data(), block.both(data, held.valid), 0, block.branch};
    block.branch = block.memory.new_object<Branch>(held.valid, data, Byte{1}, block.branch);
  }
  Values out = block.values(values.back());
  for (std::size_t i = conditions; i-- > 0;) {
    block.branch = &holds[i];
    out = picked(block, n, holds[i].data, block.values(values[i]), out);
  }
  block.branch = all;
  return out;
}

/// The condition stands first.
Values choose(Block& block, const Node& n) {
  return first_that_holds(block, n, std::span{n.args}.subspan(1), [&](std::size_t) { return block.values(n.args[0]); });
}

/// The parser puts the values first, then conditions, or a value and what it is compared with.
Values choose_case(Block& block, const Node& n) {
  const std::span<const Node> args{n.args};
  const auto values = args.first((args.size() + 1) / 2), conditions = args.subspan(values.size());
  if (args.size() % 2 != 0)
    return first_that_holds(block, n, values, [&](std::size_t i) { return block.values(conditions[i]); });
  const Values of = block.values(conditions[0]);
  return first_that_holds(block, n, values, [&](std::size_t i) {
    return matched<equals>(block, Type::boolean, of, block.values(conditions[i + 1]));
  });
}

constexpr Type truth = Type::boolean;

constexpr auto logic_table = std::to_array<Form>({
    {"or", 1, 2, many, truths, truth, joined_all<true>},
    {"and", 2, 2, many, truths, truth, joined_all<false>},
    {"not", 4, 1, 1, truths, truth, mapped<Byte, [](Byte a) { return a == 0; }>},
    {"is", 4, 1, 1, same_kind, truth, is_null},
    {"in", 4, 2, many, alike, truth, in},
    {"between", 4, 3, 3, alike, truth, between},
    {"=", 4, 2, 2, alike, truth, folded<matched<equals>>},
    {"==", 4, 2, 2, alike, truth, folded<matched<equals>>},
    {"<>", 4, 2, 2, alike, truth, folded<matched<differs>>},
    {"!=", 4, 2, 2, alike, truth, folded<matched<differs>>},
    {"<", 4, 2, 2, alike, truth, folded<compared<less>>},
    {"<=", 4, 2, 2, alike, truth, folded<compared<at_most>>},
    {">", 4, 2, 2, alike, truth, folded<compared<greater>>},
    {">=", 4, 2, 2, alike, truth, folded<compared<at_least>>},
    {"case",
     function,
     2,
     many,
     same_kind,
     {},
     choose_case,
     "when condition then value … else value end",
     "the value behind the first condition that is true; also: case x when value then value … end"},
    {"if",
     function,
     3,
     3,
     {Takes::truth, Takes::same, Takes::same},
     {},
     choose,
     "condition, then, else",
     "case when condition then … else … end"},
    {"coalesce", function, 1, many, same_kind, {}, coalesce, "x, …", "the first value that is not NULL"},
    {"nullif", function, 2, 2, alike, {}, nullif, "x, y", "x, or NULL where it equals y"},
    {"greatest", function, 1, many, alike, {}, extreme<at_least>, "x, …", "the greatest value that is not NULL"},
    {"least", function, 1, many, alike, {}, extreme<at_most>, "x, …", "the least value that is not NULL"},
    {"max", function, 1, many, alike, {}, extreme<at_least>, "x, …", "another name of greatest"},
    {"min", function, 1, many, alike, {}, extreme<at_most>, "x, …", "another name of least"},
});

}  // namespace

std::span<const Form> logic_forms() { return logic_table; }

}  // namespace weir::expression
