#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory_resource>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t block = 1024;  ///< rows at a time: what a step makes is still in the cache for the next
constexpr std::uint8_t yes = 1;
constexpr std::uint8_t no = 0;
constexpr std::size_t each_row = static_cast<std::size_t>(-1);

/// Values of a row block; with `mask` 0 one value stands for every row.
template <typename T>
struct View {
  const T* data;
  std::size_t mask;
  T operator[](std::size_t row) const { return data[row & mask]; }
};

struct Values {
  Type type = Type::float64;
  const void* data = nullptr;
  std::size_t mask = each_row;
  View<std::uint8_t> valid{&yes, 0};
  const Ids* table = nullptr;  ///< of a dictionary column: data are ids

  bool complete() const { return valid.data == &yes; }
  template <typename T>
  View<T> view() const {
    return {static_cast<const T*>(data), mask};
  }
};

/// Doubles as SQL orders them: NaN equals NaN and is greater than every number.
template <typename T>
struct Order {
  static bool equal(const T& a, const T& b) { return a == b; }
  static bool less(const T& a, const T& b) { return a < b; }
};
template <>
struct Order<double> {
  static bool equal(double a, double b) { return (a == b) | ((a != a) & (b != b)); }
  static bool less(double a, double b) { return !(b <= a) & (a == a); }
};

bool is_text(Type type) { return type == Type::string || type == Type::dictionary; }

char changed(char c, char from, char to) { return c >= from && c < from + 26 ? static_cast<char>(c - from + to) : c; }

/// One evaluation of a block of rows. Everything made on the way lives in `memory_`.
class Evaluation {
 public:
  Evaluation(const Batch& batch, std::size_t begin, std::size_t rows, std::pmr::memory_resource& memory)
      : batch_{batch}, begin_{begin}, rows_{rows}, memory_{memory} {}

  Values values(const Node& n) {
    switch (n.op) {
      case Op::literal:
        return literal(n);
      case Op::column:
        return column(n);
      case Op::negate:
        return arithmetic(n, Op::subtract, constant(n.type), values(n.args[0]));
      case Op::add:
      case Op::subtract:
      case Op::multiply:
      case Op::divide:
      case Op::modulo:
        return arithmetic(n, n.op, values(n.args[0]), values(n.args[1]));
      case Op::in:
      case Op::all_of:
      case Op::any_of:
        return combined(n);
      case Op::between: {
        const Values value = values(n.args[0]);
        return joined(Op::all_of, compared(Op::at_least, value, n.args[1]), compared(Op::at_most, value, n.args[2]));
      }
      case Op::negation: {
        const Values of = values(n.args[0]);
        return computed<std::uint8_t>(Type::boolean, of.valid,
                                      [a = of.view<std::uint8_t>()](std::size_t i) { return a[i] ^ 1; });
      }
      case Op::is_null:
        return computed<std::uint8_t>(Type::boolean, {&yes, 0},
                                      [a = values(n.args[0]).valid](std::size_t i) { return a[i] ^ 1; });
      case Op::absolute:
        return absolute(values(n.args[0]));
      case Op::least:
      case Op::greatest:
      case Op::coalesce:
      case Op::choose:
        return chosen(n);
      case Op::length:
      case Op::lower:
      case Op::upper:
      case Op::starts_with:
      case Op::ends_with:
      case Op::contains:
        return textual(n);
      default:
        break;
    }
    if (n.op >= Op::equal && n.op <= Op::at_least) return comparison(n);
    return function(n);
  }

  /// Texts of a string or dictionary column, readable in NULL rows too.
  View<std::string_view> texts(const Values& of) {
    if (of.table == nullptr) return of.view<std::string_view>();
    const auto ids = of.view<std::uint32_t>();
    auto* out = make<std::string_view>();
    for (std::size_t i = 0; i < rows_; ++i)
      out[i] = of.valid[i] ? of.table->dictionary->at(ids[i]) : std::string_view{};
    return {out, each_row};
  }

 private:
  template <typename T>
  T* make(std::size_t count) {
    return static_cast<T*>(memory_.allocate(std::max<std::size_t>(count, 1) * sizeof(T), alignof(T)));
  }
  template <typename T>
  T* make() {
    return make<T>(rows_);
  }

  template <typename T, typename F>
  Values computed(Type type, View<std::uint8_t> valid, F&& value_at) {
    T* out = make<T>();
    for (std::size_t i = 0; i < rows_; ++i) out[i] = static_cast<T>(value_at(i));
    return {.type = type, .data = out, .valid = valid};
  }

  /// Where both hold a value.
  View<std::uint8_t> both(View<std::uint8_t> a, View<std::uint8_t> b) {
    if (a.data == &yes) return b;
    if (b.data == &yes) return a;
    auto* out = make<std::uint8_t>();
    for (std::size_t i = 0; i < rows_; ++i) out[i] = a[i] & b[i];
    return {out, each_row};
  }

  /// A zero of the type for every row; NULL everywhere if asked for.
  static Values constant(Type type, bool null = false) {
    alignas(16) static constexpr std::array<std::byte, 16> zero{};
    static constexpr std::string_view nothing;
    return {.type = type,
            .data = is_text(type) ? static_cast<const void*>(&nothing) : zero.data(),
            .mask = 0,
            .valid = {null ? &no : &yes, 0}};
  }

  Values literal(const Node& n) {
    Values out = constant(n.type, n.null);
    if (n.null) return out;
    if (n.type == Type::string) {
      out.data = std::construct_at(make<std::string_view>(1), n.text);
    } else if (n.type == Type::float64) {
      out.data = &n.number;
    } else if (n.type == Type::boolean) {
      out.data = n.integer != 0 ? &yes : &no;
    } else {
      out.data = &n.integer;
    }
    return out;
  }

  Values column(const Node& n) {
    if (n.column == arrival_column) return {.type = n.type, .data = batch_.arrival.data() + begin_};
    const Column& from = batch_.columns[n.column];
    if (from.absent()) return constant(n.type == Type::dictionary ? Type::string : n.type, true);
    Values out{.type = n.type};
    if (!from.validity().all()) {
      auto* valid = make<std::uint8_t>();
      for (std::size_t i = 0; i < rows_; ++i) valid[i] = from.validity()[begin_ + i];
      out.valid = {valid, each_row};
    }
    switch (n.type) {
      case Type::int64:
      case Type::timestamp:
        out.data = from.int64s().data() + begin_;
        return out;
      case Type::float64:
        out.data = from.float64s().data() + begin_;
        return out;
      case Type::boolean:
        return computed<std::uint8_t>(n.type, out.valid,
                                      [&, a = from.booleans()](std::size_t i) { return a[begin_ + i] != 0; });
      case Type::string:
        return computed<std::string_view>(n.type, out.valid, [&](std::size_t i) { return from.texts()[begin_ + i]; });
      case Type::dictionary:
        out.data = from.ids().ids.data() + begin_;
        out.table = &from.ids();
        return out;
    }
    return out;
  }

  View<double> doubles(const Values& of) {
    if (of.type == Type::float64) return of.view<double>();
    return computed<double>(Type::float64, of.valid,
                            [a = of.view<std::int64_t>()](std::size_t i) { return static_cast<double>(a[i]); })
        .view<double>();
  }

  /// NULL instead of what SQL would refuse: division by zero, a whole number that does not fit.
  Values arithmetic(const Node& n, Op op, const Values& left, const Values& right) {
    auto valid = both(left.valid, right.valid);
    if (n.type != Type::float64) return whole_arithmetic(n.type, op, left, right, valid);
    const View<double> a = doubles(left);
    const View<double> b = doubles(right);
    const auto with = [&](auto f) {
      return computed<double>(n.type, valid, [=](std::size_t i) { return f(a[i], b[i]); });
    };
    if (op == Op::add) return with(std::plus<>{});
    if (op == Op::subtract) return with(std::minus<>{});
    if (op == Op::multiply) return with(std::multiplies<>{});
    valid = both(valid, computed<std::uint8_t>(Type::boolean, valid, [=](std::size_t i) {
                          return b[i] != 0;
                        }).view<std::uint8_t>());
    if (op == Op::divide)
      return computed<double>(n.type, valid, [=](std::size_t i) { return a[i] / (b[i] != 0 ? b[i] : 1); });
    return computed<double>(n.type, valid, [=](std::size_t i) { return std::fmod(a[i], b[i] != 0 ? b[i] : 1); });
  }

  Values whole_arithmetic(Type type, Op op, const Values& left, const Values& right, View<std::uint8_t> valid) {
    const auto a = left.view<std::int64_t>();
    const auto b = right.view<std::int64_t>();
    auto* fits = make<std::uint8_t>();
    const auto checked = [&](auto f) {
      return computed<std::int64_t>(type, {fits, each_row}, [=](std::size_t i) {
        std::int64_t result = 0;
        fits[i] = static_cast<std::uint8_t>(!f(a[i], b[i], &result)) & valid[i];
        return result;
      });
    };
    if (op == Op::add) return checked([](auto x, auto y, auto* r) { return __builtin_add_overflow(x, y, r); });
    if (op == Op::subtract) return checked([](auto x, auto y, auto* r) { return __builtin_sub_overflow(x, y, r); });
    if (op == Op::multiply) return checked([](auto x, auto y, auto* r) { return __builtin_mul_overflow(x, y, r); });
    return checked([](auto x, auto y, auto* r) {
      *r = y == 0 || y == -1 ? 0 : x % y;
      return y == 0;
    });
  }

  Values absolute(const Values& of) {
    if (of.type == Type::float64) {
      return computed<double>(of.type, of.valid, [a = of.view<double>()](std::size_t i) { return std::fabs(a[i]); });
    }
    const auto a = of.view<std::int64_t>();
    const auto fits = computed<std::uint8_t>(Type::boolean, of.valid, [=](std::size_t i) { return a[i] != INT64_MIN; });
    return computed<std::int64_t>(of.type, both(of.valid, fits.view<std::uint8_t>()),
                                  [=](std::size_t i) { return a[i] < 0 && a[i] != INT64_MIN ? -a[i] : a[i]; });
  }

  /// Functions of doubles. What is no finite number though the arguments are is NULL: sqrt(-1), ln(0).
  Values function(const Node& n) {
    const Values first = values(n.args.front());
    const Values last = n.args.size() > 1 ? values(n.args.back()) : first;
    const View<double> a = doubles(first);
    const View<double> b = doubles(last);
    const auto with = [&](auto f) {
      auto* valid = make<std::uint8_t>();
      const auto given = both(first.valid, last.valid);
      return computed<double>(Type::float64, {valid, each_row}, [=](std::size_t i) {
        const double result = f(a[i], b[i]);
        valid[i] =
            given[i] & static_cast<std::uint8_t>(std::isfinite(result) || !std::isfinite(a[i]) || !std::isfinite(b[i]));
        return result;
      });
    };
    switch (n.op) {
      case Op::floor:
        return with([](double x, double) { return std::floor(x); });
      case Op::ceil:
        return with([](double x, double) { return std::ceil(x); });
      case Op::round:
        return with([](double x, double) { return std::round(x); });
      case Op::sqrt:
        return with([](double x, double) { return std::sqrt(x); });
      case Op::exp:
        return with([](double x, double) { return std::exp(x); });
      case Op::ln:
        return with([](double x, double) { return std::log(x); });
      case Op::sin:
        return with([](double x, double) { return std::sin(x); });
      case Op::cos:
        return with([](double x, double) { return std::cos(x); });
      case Op::hypot:
        return with([](double x, double y) { return std::hypot(x, y); });
      default:
        return with([](double x, double y) { return std::pow(x, y); });
    }
  }

  Values comparison(const Node& n) {
    constexpr std::array turned{Op::equal, Op::unequal, Op::greater, Op::at_least, Op::less, Op::at_most};
    if (n.args[0].ids == nullptr) return compared(n.op, values(n.args[0]), n.args[1]);
    return compared(turned[static_cast<std::size_t>(n.op) - static_cast<std::size_t>(Op::equal)], values(n.args[1]),
                    n.args[0]);
  }

  /// `a op b`. A dictionary column meets a text as a number: the text's id, looked up once.
  Values compared(Op op, const Values& a, const Node& b) {
    if (a.table == nullptr || b.ids == nullptr || (op != Op::equal && op != Op::unequal))
      return compared(op, a, values(b));
    const auto id = b.ids->find(b.text, a.table->dictionary);
    const std::uint8_t inverted = op == Op::unequal;
    const std::uint32_t wanted = id.value_or(0);
    const std::uint8_t known = id.has_value();
    return computed<std::uint8_t>(Type::boolean, a.valid, [=, ids = a.view<std::uint32_t>()](std::size_t i) {
      return (static_cast<std::uint8_t>(ids[i] == wanted) & known) ^ inverted;
    });
  }

  Values compared(Op op, const Values& a, const Values& b) {
    if (is_text(a.type) || is_text(b.type)) {
      const bool texts_both = is_text(a.type) && is_text(b.type);  // else one is the literal NULL
      const View<std::string_view> none = constant(Type::string).view<std::string_view>();
      return ordered(op, texts_both ? texts(a) : none, texts_both ? texts(b) : none, both(a.valid, b.valid));
    }
    const auto valid = both(a.valid, b.valid);
    if (a.type == Type::boolean || b.type == Type::boolean) {
      return ordered(op, a.view<std::uint8_t>(), b.view<std::uint8_t>(), valid);
    }
    if (a.type == Type::timestamp || b.type == Type::timestamp || (a.type == Type::int64 && b.type == Type::int64)) {
      return ordered(op, a.view<std::int64_t>(), b.view<std::int64_t>(), valid);
    }
    return ordered(op, doubles(a), doubles(b), valid);
  }

  template <typename T>
  Values ordered(Op op, View<T> a, View<T> b, View<std::uint8_t> valid) {
    if (op == Op::greater || op == Op::at_most) std::swap(a, b);
    const std::uint8_t inverted = op == Op::unequal || op == Op::at_most || op == Op::at_least;
    if (op == Op::equal || op == Op::unequal) {
      return computed<std::uint8_t>(Type::boolean, valid,
                                    [=](std::size_t i) { return Order<T>::equal(a[i], b[i]) ^ inverted; });
    }
    return computed<std::uint8_t>(Type::boolean, valid,
                                  [=](std::size_t i) { return Order<T>::less(a[i], b[i]) ^ inverted; });
  }

  Values combined(const Node& n) {
    const Values first = values(n.args[0]);
    Values out = n.op == Op::in ? compared(Op::equal, first, n.args[1]) : first;
    for (std::size_t i = n.op == Op::in ? 2 : 1; i < n.args.size(); ++i) {
      out = joined(n.op, out, n.op == Op::in ? compared(Op::equal, first, n.args[i]) : values(n.args[i]));
    }
    return out;
  }

  /// And, or (also what `in` is made of) with three values: what one side decides alone is not NULL.
  Values joined(Op op, const Values& left, const Values& right) {
    const auto a = left.view<std::uint8_t>();
    const auto b = right.view<std::uint8_t>();
    const std::uint8_t decides = op != Op::all_of;
    Values out = decides != 0
                     ? computed<std::uint8_t>(Type::boolean, {&yes, 0}, [=](std::size_t i) { return a[i] | b[i]; })
                     : computed<std::uint8_t>(Type::boolean, {&yes, 0}, [=](std::size_t i) { return a[i] & b[i]; });
    if (left.complete() && right.complete()) return out;
    auto* valid = make<std::uint8_t>();
    return computed<std::uint8_t>(
        Type::boolean, {valid, each_row}, [=, p = left.valid, q = right.valid](std::size_t i) {
          const bool decided = (p[i] != 0 && a[i] == decides) || (q[i] != 0 && b[i] == decides);
          valid[i] = decided || (p[i] != 0 && q[i] != 0);
          return decided ? decides : decides ^ 1;
        });
  }

  /// min, max, coalesce, if: one of two values per row.
  Values chosen(const Node& n) {
    if (n.op == Op::choose) {
      const Values condition = values(n.args[0]);
      const auto met = both(condition.valid, condition.view<std::uint8_t>());
      return picked(n.type, condition.complete() ? condition.view<std::uint8_t>() : met, values(n.args[1]),
                    values(n.args[2]));
    }
    Values out = values(n.args[0]);
    for (std::size_t k = 1; k < n.args.size(); ++k) {
      const Values next = values(n.args[k]);
      View<std::uint8_t> first = out.valid;
      if (n.op != Op::coalesce) {
        const Values before = compared(n.op == Op::least ? Op::at_most : Op::at_least, out, next);
        first = computed<std::uint8_t>(Type::boolean, {&yes, 0},
                                       [=, a = out.valid, b = next.valid, c = before.view<std::uint8_t>()](
                                           std::size_t i) { return a[i] & ((b[i] ^ 1) | c[i]); })
                    .view<std::uint8_t>();
      }
      out = picked(n.type, first, out, next);
    }
    return n.args.size() == 1 ? picked(n.type, {&yes, 0}, out, out) : out;
  }

  Values picked(Type type, View<std::uint8_t> first, const Values& a, const Values& b) {
    View<std::uint8_t> valid{&yes, 0};
    if (!a.complete() || !b.complete()) {
      valid = computed<std::uint8_t>(Type::boolean, valid, [=](std::size_t i) {
                return first[i] ? a.valid[i] : b.valid[i];
              }).view<std::uint8_t>();
    }
    const auto pick = [&]<typename T>(View<T> x, View<T> y) {
      return computed<T>(type, valid, [=](std::size_t i) { return first[i] ? x[i] : y[i]; });
    };
    if (is_text(type)) {
      const View<std::string_view> none = constant(Type::string).view<std::string_view>();
      return pick(is_text(a.type) ? texts(a) : none, is_text(b.type) ? texts(b) : none);
    }
    if (type == Type::boolean) return pick(a.view<std::uint8_t>(), b.view<std::uint8_t>());
    if (type == Type::float64) return pick(doubles(a), doubles(b));
    return pick(a.view<std::int64_t>(), b.view<std::int64_t>());
  }

  Values textual(const Node& n) {
    const Values subject = values(n.args[0]);
    const auto a = is_text(subject.type) ? texts(subject) : constant(Type::string).view<std::string_view>();
    if (n.op == Op::length) {
      return computed<std::int64_t>(n.type, subject.valid, [=](std::size_t i) {
        return std::ranges::count_if(a[i], [](char c) { return (c & 0xc0) != 0x80; });
      });
    }
    if (n.op == Op::lower || n.op == Op::upper) {
      const char from = n.op == Op::lower ? 'A' : 'a';
      const char to = n.op == Op::lower ? 'a' : 'A';
      return computed<std::string_view>(n.type, subject.valid, [&](std::size_t i) {
        char* chars = make<char>(a[i].size());
        std::ranges::transform(a[i], chars, [&](char c) { return changed(c, from, to); });
        return std::string_view{chars, a[i].size()};
      });
    }
    const Values part = values(n.args[1]);
    const auto b = is_text(part.type) ? texts(part) : constant(Type::string).view<std::string_view>();
    return computed<std::uint8_t>(n.type, both(subject.valid, part.valid), [=](std::size_t i) {
      return n.op == Op::starts_with ? a[i].starts_with(b[i])
             : n.op == Op::ends_with ? a[i].ends_with(b[i])
                                     : a[i].contains(b[i]);
    });
  }

  const Batch& batch_;
  std::size_t begin_;
  std::size_t rows_;
  std::pmr::memory_resource& memory_;
};

/// Calls use(evaluation, begin, rows) for one block of rows after the other.
template <typename F>
void for_each_block(const Batch& batch, F&& use) {
  std::array<std::byte, 32 * block> room;
  for (std::size_t begin = 0; begin < batch.rows; begin += block) {
    std::pmr::monotonic_buffer_resource memory{room.data(), room.size()};
    const std::size_t rows = std::min(block, batch.rows - begin);
    Evaluation evaluation{batch, begin, rows, memory};
    use(evaluation, begin, rows);
  }
}

template <typename T>
Column collected(const Node& root, const Batch& batch, Column (*finish)(std::vector<T>, Validity)) {
  std::vector<T> out(batch.rows);
  Validity valid;
  for_each_block(batch, [&](Evaluation& evaluation, std::size_t begin, std::size_t rows) {
    const Values values = evaluation.values(root);
    for (std::size_t i = 0; i < rows; ++i) out[begin + i] = values.view<T>()[i];
    for (std::size_t i = 0; i < rows && !(values.complete() && valid.all()); ++i)
      valid.push(values.valid[i] != 0, begin + i);
  });
  return finish(std::move(out), std::move(valid));
}

}  // namespace

std::optional<std::uint32_t> KnownIds::find(std::string_view text, const std::shared_ptr<const Dictionary>& table) {
  const std::lock_guard lock{mutex_};
  std::erase_if(entries_, [](const Entry& entry) { return entry.table.expired(); });
  const auto of_table = [&](const Entry& e) { return !e.table.owner_before(table) && !table.owner_before(e.table); };
  auto entry = std::ranges::find_if(entries_, of_table);
  if (entry == entries_.end()) entry = entries_.insert(entry, {.table = table});
  for (const std::uint32_t size = table->size(); !entry->id && entry->seen < size; ++entry->seen) {
    if (table->at(entry->seen) == text) entry->id = entry->seen;
  }
  return entry->id;
}

Column evaluate(const Node& root, const Batch& batch) {
  if (root.op == Op::column && root.column != arrival_column) return batch.columns[root.column];
  switch (root.type) {
    case Type::int64:
      return collected<std::int64_t>(root, batch, Column::int64);
    case Type::timestamp:
      return collected<std::int64_t>(root, batch, Column::timestamp);
    case Type::float64:
      return collected<double>(root, batch, Column::float64);
    case Type::boolean:
      return collected<std::uint8_t>(root, batch, Column::boolean);
    default:
      break;
  }
  Texts out;
  Validity valid;
  for_each_block(batch, [&](Evaluation& evaluation, std::size_t begin, std::size_t rows) {
    const Values values = evaluation.values(root);
    const View<std::string_view> texts = evaluation.texts(values);
    for (std::size_t i = 0; i < rows; ++i) {
      out.push(values.valid[i] ? texts[i] : std::string_view{});
      valid.push(values.valid[i] != 0, begin + i);
    }
  });
  return Column::string(std::move(out), std::move(valid));
}

std::vector<std::uint8_t> test(const Node& root, const Batch& batch) {
  assert(root.type == Type::boolean);
  std::vector<std::uint8_t> out(batch.rows);
  for_each_block(batch, [&](Evaluation& evaluation, std::size_t begin, std::size_t rows) {
    const Values values = evaluation.values(root);
    const auto value = values.view<std::uint8_t>();
    for (std::size_t i = 0; i < rows; ++i) out[begin + i] = value[i] & values.valid[i];
  });
  return out;
}

}  // namespace weir::expression
