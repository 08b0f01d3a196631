/// Values of a block of rows, and what every function makes its own of. Not for operators.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <memory_resource>
#include <ranges>
#include <utility>

#include "expression/tree.hpp"

namespace weir::expression {

using Text = std::string_view;
using Byte = std::uint8_t;

class Memory;

inline constexpr std::size_t block_rows = 1024;  ///< what one step makes is still in the cache for the next
inline constexpr std::array<Byte, block_rows> none_valid{};
inline constexpr auto all_valid = [] {
  std::array<Byte, block_rows> out{};
  out.fill(1);
  return out;
}();

/// The values of a block of rows. What a NULL's row holds is readable, ids excepted.
struct Values {
  Type type;
  const Byte* valid;              ///< per row; 0: NULL
  const void* data = nullptr;     ///< int64, double, a byte per truth, std::string_view, or ids; of points latitudes
  const Ids* ids = nullptr;       ///< what the ids are in
  const Node* literal = nullptr;  ///< the same in every row, and nothing in data
  const double* longitude = nullptr;  ///< of points
};

/// Calls use.operator()<T>() with the type that holds the values.
template <typename F>
auto with_type(Type type, F use) {
  if (type == Type::float64) return use.template operator()<double>();
  if (type == Type::boolean) return use.template operator()<Byte>();
  if (type == Type::string || type == Type::dictionary) return use.template operator()<Text>();
  return use.template operator()<std::int64_t>();
}

/// What a kernel gives that may not know its result. Both are calculated in every row, for want of a branch; no bool,
/// because filling up what is behind one takes longer than all the rest.
template <typename T>
struct Maybe {
  T value;
  std::uint64_t known;
};

/// The rows that a branch is for: those in which `data` does not decide against it. What is calculated for others, as
/// every branch is for all rows, is not looked at.
struct Branch {
  const Byte *valid, *data;
  Byte decides;
  const Branch* outer = nullptr;

  bool has(std::size_t row) const {
    for (const Branch* at = this; at != nullptr; at = at->outer)
      if (at->valid[row] != 0 && at->data[row] == at->decides) return false;
    return true;
  }
};

/// Some rows of a batch, no more than block_rows. What is made for them stays in `memory` until they are done.
struct Block {
  const Batch& batch;
  std::size_t begin, rows;
  std::pmr::polymorphic_allocator<> memory;
  Memory* history = nullptr;       ///< of those that look back
  const Branch* branch = nullptr;  ///< that is being evaluated; null: what is for all rows
  std::uint64_t undefined = 0;     ///< results that are undefined, and NULL, in rows of their branch

  Values values(const Node& n) {
    if (n.form != nullptr) return n.form->evaluate(*this, n);
    if (!n.is_name) return {.type = n.type, .valid = n.null ? none_valid.data() : all_valid.data(), .literal = &n};
    if (n.is_point) return point(column(n.type, batch.columns[n.column]), column(n.type, batch.columns[n.longitude]));
    if (n.column == arrival_column) return {n.type, all_valid.data(), batch.arrival.data() + begin};
    return column(n.type, batch.columns[n.column]);
  }

  /// The same in a branch, whose `outer` is set here.
  Values values(const Node& n, Branch inner) {
    inner.outer = std::exchange(branch, &inner);
    const Values out = values(n);
    branch = inner.outer;
    return out;
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

  /// NULL where one of both is.
  Values point(const Values& latitude, const Values& longitude) {
    return {.type = Type::float64,
            .valid = both(latitude.valid, longitude.valid),
            .data = as<double>(latitude),
            .longitude = as<double>(longitude)};
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
  const double* longitudes(const Values& of) {
    return of.literal != nullptr ? as<double>(of) : of.longitude;  // the literal is NULL
  }

  const Byte* both(const Byte* a, const Byte* b = all_valid.data()) {
    if (a == all_valid.data() || a == b) return b;
    return b == all_valid.data() ? a : filled<Byte>([=](std::size_t i) { return a[i] & b[i]; });
  }

  /// Per row what `f` makes of the arguments' values as T; NULL where one of them is, and where `f` says so (Maybe).
  template <typename T, typename F, typename... Of>
  Values map(Type type, F f, const Of&... of) {
    return mapped_rows(type, f, both_all(of.valid...), as<T>(of)...);
  }

  const Byte* both_all(const Byte* a) { return both(a); }
  const Byte* both_all(const Byte* a, const Byte* b, auto... more) { return both_all(both(a, b), more...); }

  /// The same of values that are at hand.
  template <typename F, typename... T>
  Values mapped_rows(Type type, F f, const Byte* given, const T*... at) {
    using Made = decltype(f(*at...));
    if constexpr (requires(Made made) { made.known; }) {
      auto* __restrict data = memory.allocate_object<decltype(Made::value)>(rows);
      std::uint64_t known = 1;
      for (std::size_t i = 0; i < rows; ++i) {
        const Made made = f(at[i]...);
        data[i] = made.value;
        known &= made.known;
      }
      // Most blocks have no undefined value; one that has, or may have one beneath a NULL, is gone through once more.
      return {type, known != 0 ? given : valid_where(given, [=](std::size_t i) { return f(at[i]...).known; }), data};
    } else {
      return {type, given, filled<Made>([=](std::size_t i) { return f(at[i]...); })};
    }
  }

  /// The flags of rows whose value was given and is known; counts the undefined ones.
  template <typename F>
  const Byte* valid_where(const Byte* given, F known) {
    auto* __restrict valid = memory.allocate_object<Byte>(rows);
    std::uint64_t lost = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      valid[i] = given[i] & static_cast<Byte>(known(i));
      lost += given[i] ^ valid[i];
    }
    if (lost != 0 && branch != nullptr)
      lost =
          static_cast<std::uint64_t>(std::ranges::count_if(std::views::iota(std::size_t{0}, rows), [&](std::size_t i) {
            return given[i] != valid[i] && branch->has(i);
          }));
    undefined += lost;
    return valid;
  }
};

/// A form that is `f` of its one or two arguments, row by row.
template <typename T, auto f>
Values mapped(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]);
  if constexpr (std::invocable<decltype(f), T>)
    return block.map<T>(n.type, f, a);
  else
    return block.map<T>(n.type, f, a, block.values(n.args[1]));
}

/// The same of whole numbers or real ones.
template <auto of_whole, auto of_real>
Values arithmetic(Block& block, const Node& n) {
  return n.type == Type::float64 ? mapped<double, of_real>(block, n) : mapped<std::int64_t, of_whole>(block, n);
}

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

/// A form that joins its arguments step by step: the first two, what that gives and the third, and so on.
template <auto step>
Values folded(Block& block, const Node& n) {
  Values out = block.values(n.args[0]);
  for (const Node& arg : std::span{n.args}.subspan(1)) out = step(block, n.type, out, block.values(arg));
  return out;
}

}  // namespace weir::expression
