
#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

bool is_number(const Node& n) { return n.null || n.type == Type::int64 || n.type == Type::float64; }
bool is_text(const Node& n) { return n.null || n.type == Type::string || n.type == Type::dictionary; }
bool is_boolean(const Node& n) { return n.null || n.type == Type::boolean; }
bool is_instant(const Node& n) { return !n.null && n.type == Type::timestamp; }

std::string described(const Node& n) {
  const auto* what = is_number(n) ? "a number" : is_text(n) ? "a text" : is_boolean(n) ? "true or false" : "an instant";
  if (n.op == Op::column) return weir::format("{} is {}", quoted(n.text), what);
  return n.op == Op::literal ? weir::format("this is {}", what) : weir::format("what \"{}\" gives is {}", n.text, what);
}

Result<void> blame(const Node& n, std::string message) {
  return fail(Error::Kind::invalid, std::move(message), {}, n.offset);
}

Result<void> need(const Node& arg, bool fits, std::string_view wanted, const Node& by) {
  if (fits) return {};
  return blame(arg, weir::format("\"{}\" needs {}, but {}", by.text, wanted, described(arg)));
}

Result<void> look_up(Node& n, const Schema& schema) {
  n.type = Type::timestamp;
  n.column = arrival_column;
  if (const auto number = schema.find(n.text)) {
    n.type = schema.columns[*number].type;
    n.column = *number;
    return {};
  }
  if (n.text == "arrival") return {};
  std::vector<std::string> names;
  for (const ColumnType& column : schema.columns) names.push_back(column.name);
  names.emplace_back("arrival");
  std::string hint = did_you_mean(n.text, names);
  if (hint.empty()) {
    hint = "there are";
    for (const std::string& name : names) hint += (&name == &names.front() ? " " : ", ") + name;
    hint += weir::format("; a text is written '{}'", n.text);
  }
  return blame(n, weir::format("unknown name {}; {}", quoted(n.text), hint));
}

/// Makes two values comparable: one type class, a text that meets an instant becomes one.
Result<void> match(Node& a, Node& b, const Node& by) {
  for (auto [text, other] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
    if (text->op != Op::literal || text->null || text->type != Type::string || !is_instant(*other)) continue;
    const auto instant = parse_rfc3339(text->text);
    if (!instant)
      return blame(*text, weir::format("{} is no instant; write '2026-01-01T00:00:00Z'", quoted(text->text)));
    text->type = Type::timestamp;
    text->integer = *instant;
  }
  const bool fits = (is_number(a) && is_number(b)) || (is_text(a) && is_text(b)) || (is_boolean(a) && is_boolean(b)) ||
                    ((a.null || is_instant(a)) && (b.null || is_instant(b)));
  return fits ? Result<void>{}
              : blame(b, weir::format("\"{}\" can't take both: {}, and {}", by.text, described(a), described(b)));
}

Result<void> bind_arithmetic(Node& n) {
  const Node& a = n.args.front();
  const Node& b = n.args.back();
  const bool integer_b = !b.null && b.type == Type::int64;
  n.type = Type::int64;
  if (n.op == Op::subtract && is_instant(a) && is_instant(b)) return {};
  if ((n.op == Op::add || n.op == Op::subtract) && is_instant(a) && integer_b) {
    n.type = Type::timestamp;
    return {};
  }
  if (is_instant(a)) return need(b, false, "a length of time like 5s after an instant", n);
  if (auto fits = need(a, is_number(a), "numbers", n); !fits) return fits;
  if (auto fits = need(b, is_number(b), "numbers", n); !fits) return fits;
  const bool integers = !a.null && a.type == Type::int64 && integer_b;
  if (!integers || n.op == Op::divide) n.type = Type::float64;
  return {};
}

/// The values from `first` on must be alike; their common type is the node's.
Result<void> bind_alike(Node& n, std::size_t first) {
  for (std::size_t i = first; i + 1 < n.args.size(); ++i) {
    for (std::size_t k = i + 1; k < n.args.size(); ++k) {
      if (auto fits = match(n.args[i], n.args[k], n); !fits) return fits;
    }
  }
  n.null = true;
  for (std::size_t i = first; i < n.args.size(); ++i) {
    if (n.args[i].null) continue;
    if (n.null || n.args[i].type == Type::float64) n.type = n.args[i].type;
    n.null = false;
  }
  if (n.type == Type::dictionary) n.type = Type::string;
  if (n.null) n.type = Type::float64;
  n.null = false;
  return {};
}

Result<void> all(Node& n, bool (*fits)(const Node&), std::string_view wanted, Type result) {
  for (const Node& arg : n.args) {
    if (auto ok = need(arg, fits(arg), wanted, n); !ok) return ok;
  }
  n.type = result;
  return {};
}

Result<void> settle(Node& n) {
  const Node& first = n.args.front();
  if (n.within(Op::add, Op::modulo)) return bind_arithmetic(n);
  if (n.within(Op::all_of, Op::negation)) return all(n, is_boolean, "true or false", Type::boolean);
  if (n.within(Op::least, Op::coalesce)) return bind_alike(n, 0);
  if (n.op == Op::choose)
    return need(first, is_boolean(first), "a condition first", n).and_then([&] { return bind_alike(n, 1); });
  if (n.op == Op::absolute)
    return all(n, is_number, "a number", first.type == Type::int64 ? Type::int64 : Type::float64);
  if (n.op == Op::of_numbers) return all(n, is_number, "numbers", Type::float64);
  if (n.op == Op::length) return all(n, is_text, "a text", Type::int64);
  if (n.within(Op::lower, Op::upper)) return all(n, is_text, "a text", Type::string);
  if (n.op == Op::of_texts) return all(n, is_text, "texts", Type::boolean);
  for (std::size_t i = 1; i < n.args.size(); ++i) {  // what compares: the first with each other one
    if (auto fits = match(n.args[0], n.args[i], n); !fits) return fits;
  }
  n.type = Type::boolean;
  return {};
}

Result<void> bind_tree(Node& n, const Schema& schema) {
  if (n.op == Op::literal) return {};
  if (n.op == Op::column) return look_up(n, schema);
  for (Node& arg : n.args) {
    if (auto bound = bind_tree(arg, schema); !bound) return bound;
  }
  return settle(n);
}

}  // namespace

Result<void> bind(Node& root, const Schema& schema) { return bind_tree(root, schema); }

}  // namespace weir::expression
