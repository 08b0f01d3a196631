#include <cassert>
#include <cmath>
#include <functional>
#include <utility>

#include "expression_values.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t block_rows = 1024;  ///< what one step makes is still in the cache for the next

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

/// One block of rows of a batch. The texts of an expression's columns are in it, its numbers are read where they are.
class Evaluation : Block {
 public:
  Evaluation(const Batch& batch, std::size_t begin, std::size_t count, std::pmr::memory_resource& room)
      : Block{count, room}, batch_{batch}, begin_{begin} {}

  using Block::texts;

  Values values(const Node& n) {
    if (n.op == Op::literal) return literal(n);
    if (n.op == Op::column) return column(n);
    if (n.within(Op::in, Op::any_of)) return combined(n);
    if (n.within(Op::add, Op::modulo)) return arithmetic(n);
    if (n.within(Op::equal, Op::at_least)) return comparison(n);
    if (n.within(Op::least, Op::choose)) return chosen(n);
    if (n.within(Op::length, Op::of_texts)) return textual(n);
    if (n.op == Op::of_numbers) return function(n);
    const Values of = values(n.args[0]);
    if (n.op == Op::absolute) return absolute(of);
    if (n.op == Op::is_null) return truths(everywhere, [a = of.valid](std::size_t i) { return a[i] ^ 1; });
    return truths(of.valid, [a = of.view<std::uint8_t>()](std::size_t i) { return a[i] ^ 1; });  // not
  }

 private:
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
    if (!from.validity().all()) out.valid = flags([&](std::size_t i) { return from.validity()[begin_ + i]; });
    if (n.type == Type::dictionary) {
      out.data = from.ids().ids.data() + begin_;
      out.table = &from.ids();
    } else if (n.type == Type::float64) {
      out.data = from.float64s().data() + begin_;
    } else if (n.type == Type::boolean) {
      out = truths(out.valid, [all = from.booleans(), this](std::size_t i) { return all[begin_ + i] != 0; });
    } else if (n.type == Type::string) {
      out = computed<std::string_view>(n.type, out.valid, [&](std::size_t i) { return from.texts()[begin_ + i]; });
    } else {
      out.data = from.int64s().data() + begin_;
    }
    return out;
  }

  /// NULL instead of what SQL would refuse: division by zero, a whole number that does not fit.
  Values arithmetic(const Node& n) {
    const Values left = values(n.args[0]);
    const Values right = values(n.args[1]);
    const Flags valid = both(left.valid, right.valid);
    if (n.type != Type::float64) return whole_arithmetic(n, left, right, valid);
    const View<double> a = doubles(left);
    const View<double> b = doubles(right);
    const auto with = [&](Flags known, auto f) {
      return computed<double>(n.type, known, [=](std::size_t i) { return f(a[i], b[i]); });
    };
    if (n.op == Op::add) return with(valid, std::plus<>{});
    if (n.op == Op::subtract) return with(valid, std::minus<>{});
    if (n.op == Op::multiply) return with(valid, std::multiplies<>{});
    const Flags divisible = both(valid, flags([=](std::size_t i) { return b[i] != 0; }));
    if (n.op == Op::divide) return with(divisible, [](double x, double y) { return y != 0 ? x / y : 0; });
    return with(divisible, [](double x, double y) { return y != 0 ? std::fmod(x, y) : 0; });
  }

  Values whole_arithmetic(const Node& n, const Values& left, const Values& right, Flags valid) {
    const auto a = left.view<std::int64_t>();
    const auto b = right.view<std::int64_t>();
    auto* fits = make<std::uint8_t>(rows);
    const auto with = [&](auto fails) {
      return computed<std::int64_t>(n.type, {fits}, [=](std::size_t i) {
        std::int64_t result = 0;
        fits[i] = static_cast<std::uint8_t>(!fails(a[i], b[i], &result)) & valid[i];
        return result;
      });
    };
    if (n.op == Op::add) return with([](auto x, auto y, auto* r) { return __builtin_add_overflow(x, y, r); });
    if (n.op == Op::subtract) return with([](auto x, auto y, auto* r) { return __builtin_sub_overflow(x, y, r); });
    if (n.op == Op::multiply) return with([](auto x, auto y, auto* r) { return __builtin_mul_overflow(x, y, r); });
    return with([](auto x, auto y, auto* r) {
      *r = y == 0 || y == -1 ? 0 : x % y;  // the least number % -1 would trap
      return y == 0;
    });
  }

  Values absolute(const Values& of) {
    if (of.type == Type::float64) {
      return computed<double>(of.type, of.valid, [a = of.view<double>()](std::size_t i) { return std::fabs(a[i]); });
    }
    const auto a = of.view<std::int64_t>();
    const Flags fits = flags([=](std::size_t i) { return a[i] != INT64_MIN; });
    return computed<std::int64_t>(of.type, both(of.valid, fits),
                                  [=](std::size_t i) { return a[i] < 0 && a[i] != INT64_MIN ? -a[i] : a[i]; });
  }

  /// What is no finite number though the arguments are is NULL: sqrt(-1), ln(0).
  Values function(const Node& n) {
    const Values first = values(n.args.front());
    const Values last = n.args.size() > 1 ? values(n.args.back()) : first;
    const View<double> a = doubles(first);
    const View<double> b = doubles(last);
    auto* valid = make<std::uint8_t>(rows);
    return computed<double>(n.type, {valid},
                            [=, call = n.of_numbers, given = both(first.valid, last.valid)](std::size_t i) {
                              const double result = call(a[i], b[i]);
                              const bool made = std::isfinite(result) || !std::isfinite(a[i]) || !std::isfinite(b[i]);
                              valid[i] = static_cast<std::uint8_t>(made) & given[i];
                              return result;
                            });
  }

  Values comparison(const Node& n) {
    constexpr std::array turned{Op::equal, Op::unequal, Op::greater, Op::at_least, Op::less, Op::at_most};
    if (n.args[0].ids == nullptr) return compared(n.op, values(n.args[0]), n.args[1]);
    return compared(turned[static_cast<std::size_t>(n.op) - static_cast<std::size_t>(Op::equal)], values(n.args[1]),
                    n.args[0]);
  }

  /// `a op b`. A dictionary column meets a text as a number: the text's id.
  Values compared(Op op, const Values& a, const Node& b) {
    if (a.table == nullptr || b.ids == nullptr || (op != Op::equal && op != Op::unequal))
      return compared(op, a, values(b));
    const auto id = b.ids->find(b.text, a.table->dictionary);
    const std::uint8_t inverted = op == Op::unequal;
    if (!id) return truths(a.valid, [=](std::size_t) { return inverted; });
    return truths(a.valid, [=, ids = a.view<std::uint32_t>(), wanted = *id](std::size_t i) {
      return static_cast<std::uint8_t>(ids[i] == wanted) ^ inverted;
    });
  }

  Values compared(Op op, const Values& a, const Values& b) {
    const auto either = [&](Type type) {
      return a.type == type || b.type == type;
    };  // the other may be the literal NULL
    const Flags valid = both(a.valid, b.valid);
    if (a.texts() || b.texts()) return ordered(op, texts(a), texts(b), valid);
    if (either(Type::boolean)) return ordered(op, a.view<std::uint8_t>(), b.view<std::uint8_t>(), valid);
    if (!either(Type::float64) || either(Type::timestamp)) {
      return ordered(op, a.view<std::int64_t>(), b.view<std::int64_t>(), valid);
    }
    return ordered(op, doubles(a), doubles(b), valid);
  }

  template <typename T>
  Values ordered(Op op, View<T> a, View<T> b, Flags valid) {
    if (op == Op::greater || op == Op::at_most) std::swap(a, b);
    const std::uint8_t inverted = op == Op::unequal || op == Op::at_most || op == Op::at_least;
    if (op == Op::equal || op == Op::unequal) {
      return truths(valid, [=](std::size_t i) { return Order<T>::equal(a[i], b[i]) ^ inverted; });
    }
    return truths(valid, [=](std::size_t i) { return Order<T>::less(a[i], b[i]) ^ inverted; });
  }

  /// and, or; in and between, which are made of them.
  Values combined(const Node& n) {
    const Values first = values(n.args[0]);
    if (n.op == Op::between) {
      return joined(Op::all_of, compared(Op::at_least, first, n.args[1]), compared(Op::at_most, first, n.args[2]));
    }
    const bool in = n.op == Op::in;
    Values out = in ? compared(Op::equal, first, n.args[1]) : first;
    for (std::size_t i = in ? 2 : 1; i < n.args.size(); ++i) {
      out = joined(n.op, out, in ? compared(Op::equal, first, n.args[i]) : values(n.args[i]));
    }
    return out;
  }

  /// Logic of three values: what one side decides alone is not NULL.
  Values joined(Op op, const Values& left, const Values& right) {
    const auto a = left.view<std::uint8_t>();
    const auto b = right.view<std::uint8_t>();
    const std::uint8_t decides = op != Op::all_of;
    if (left.complete() && right.complete()) {
      if (decides != 0) return truths(everywhere, [=](std::size_t i) { return a[i] | b[i]; });
      return truths(everywhere, [=](std::size_t i) { return a[i] & b[i]; });
    }
    auto* valid = make<std::uint8_t>(rows);
    return truths({valid}, [=, p = left.valid, q = right.valid](std::size_t i) {
      const bool decided = (p[i] != 0 && a[i] == decides) || (q[i] != 0 && b[i] == decides);
      valid[i] = decided || (p[i] != 0 && q[i] != 0);
      return decided ? decides : decides ^ 1;
    });
  }

  /// min, max, coalesce, if: one of two values per row.
  Values chosen(const Node& n) {
    if (n.op == Op::choose) {
      const Values condition = values(n.args[0]);
      return picked(n.type, both(condition.view<std::uint8_t>(), condition.valid), values(n.args[1]),
                    values(n.args[2]));
    }
    Values out = values(n.args[0]);
    if (n.args.size() == 1) return picked(n.type, everywhere, out, out);
    for (std::size_t k = 1; k < n.args.size(); ++k) {
      const Values next = values(n.args[k]);
      Flags first = out.valid;
      if (n.op != Op::coalesce) {
        const auto before = compared(n.op == Op::least ? Op::at_most : Op::at_least, out, next).view<std::uint8_t>();
        first = flags([=, a = out.valid, b = next.valid](std::size_t i) { return a[i] & ((b[i] ^ 1) | before[i]); });
      }
      out = picked(n.type, first, out, next);
    }
    return out;
  }

  Values picked(Type type, Flags first, const Values& a, const Values& b) {
    const bool complete = a.complete() && b.complete();
    const Flags valid =
        complete ? everywhere : flags([=](std::size_t i) { return first[i] != 0 ? a.valid[i] : b.valid[i]; });
    const auto pick = [&]<typename T>(View<T> x, View<T> y) {
      return computed<T>(type, valid, [=](std::size_t i) { return first[i] != 0 ? x[i] : y[i]; });
    };
    if (type == Type::string) return pick(texts(a), texts(b));
    if (type == Type::boolean) return pick(a.view<std::uint8_t>(), b.view<std::uint8_t>());
    if (type == Type::float64) return pick(doubles(a), doubles(b));
    return pick(a.view<std::int64_t>(), b.view<std::int64_t>());
  }

  Values textual(const Node& n) {
    const Values subject = values(n.args[0]);
    const auto a = texts(subject);
    if (n.op == Op::of_texts) {
      const Values part = values(n.args[1]);
      const Flags valid = both(subject.valid, part.valid);
      return truths(valid, [=, b = texts(part), call = n.of_texts](std::size_t i) { return call(a[i], b[i]); });
    }
    if (n.op == Op::length) {
      return computed<std::int64_t>(n.type, subject.valid, [=](std::size_t i) {
        return std::ranges::count_if(a[i], [](char c) { return (c & 0xc0) != 0x80; });
      });
    }
    const char from = n.op == Op::lower ? 'A' : 'a';
    return computed<std::string_view>(n.type, subject.valid, [=, this](std::size_t i) {
      char* chars = make<char>(a[i].size());
      std::ranges::transform(a[i], chars,
                             [=](char c) { return static_cast<char>(c >= from && c < from + 26 ? c ^ 32 : c); });
      return std::string_view{chars, a[i].size()};
    });
  }

  const Batch& batch_;
  std::size_t begin_;
};

/// Calls use(evaluation, begin, rows) for one block of rows after the other.
template <typename F>
void for_each_block(const Batch& batch, F&& use) {
  std::array<std::byte, 16 * block_rows> room;
  for (std::size_t begin = 0; begin < batch.rows; begin += block_rows) {
    std::pmr::monotonic_buffer_resource memory{room.data(), room.size()};
    const std::size_t rows = std::min(block_rows, batch.rows - begin);
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
    if (values.complete() && valid.all()) return;
    for (std::size_t i = 0; i < rows; ++i) valid.push(values.valid[i] != 0, begin + i);
  });
  return finish(std::move(out), std::move(valid));
}

Column collected_texts(const Node& root, const Batch& batch) {
  Texts out;
  Validity valid;
  for_each_block(batch, [&](Evaluation& evaluation, std::size_t begin, std::size_t rows) {
    const Values values = evaluation.values(root);
    const auto texts = evaluation.texts(values);
    for (std::size_t i = 0; i < rows; ++i) {
      out.push(values.valid[i] != 0 ? texts[i] : std::string_view{});
      valid.push(values.valid[i] != 0, begin + i);
    }
  });
  return Column::string(std::move(out), std::move(valid));
}

}  // namespace

std::optional<std::uint32_t> KnownIds::find(std::string_view text, const std::shared_ptr<const Dictionary>& table) {
  const std::lock_guard lock{mutex_};
  const auto of_table = [&](const Entry& e) { return !e.table.owner_before(table) && !table.owner_before(e.table); };
  auto entry = std::ranges::find_if(entries_, of_table);
  if (entry == entries_.end()) {
    std::erase_if(entries_, [](const Entry& each) { return each.table.expired(); });
    entry = entries_.insert(entries_.end(), {.table = table});
  }
  for (const std::uint32_t size = table->size(); !entry->id && entry->seen < size; ++entry->seen) {
    if (table->at(entry->seen) == text) entry->id = entry->seen;
  }
  return entry->id;
}

Column evaluate(const Node& root, const Batch& batch) {
  if (root.op == Op::column && root.column != arrival_column) return batch.columns[root.column];
  if (root.type == Type::int64) return collected<std::int64_t>(root, batch, Column::int64);
  if (root.type == Type::timestamp) return collected<std::int64_t>(root, batch, Column::timestamp);
  if (root.type == Type::float64) return collected<double>(root, batch, Column::float64);
  if (root.type == Type::boolean) return collected<std::uint8_t>(root, batch, Column::boolean);
  return collected_texts(root, batch);
}

std::vector<std::uint8_t> test(const Node& root, const Batch& batch) {
  assert(root.type == Type::boolean);
  std::vector<std::uint8_t> out(batch.rows);
  for_each_block(batch, [&](Evaluation& evaluation, std::size_t begin, std::size_t rows) {
    const Values values = evaluation.values(root);
    const auto value = values.view<std::uint8_t>();
    std::uint8_t* __restrict flags = out.data() + begin;
    for (std::size_t i = 0; i < rows; ++i) flags[i] = value[i] & values.valid[i];
  });
  return out;
}

}  // namespace weir::expression
