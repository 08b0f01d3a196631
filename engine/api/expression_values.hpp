/// The values of a block of rows while an expression is evaluated. Not for operators.
#pragma once

#include <array>
#include <concepts>
#include <memory_resource>
#include <type_traits>

#include "expression_tree.hpp"

namespace weir::expression {

inline constexpr std::size_t block_rows = 1024;  ///< what one step makes is still in the cache for the next

/// The values of a block of rows: int64, double, a byte per truth, std::string_view, or ids with their dictionary.
struct Values {
  Type type;
  const void* data;
  const std::uint8_t* valid;  ///< 0: NULL; what is in data there is readable, ids excepted
  const Ids* ids = nullptr;   ///< of Type::dictionary
};

inline constexpr std::array<std::uint8_t, block_rows> none_valid{};
inline constexpr auto all_valid = [] {
  std::array<std::uint8_t, block_rows> out{};
  out.fill(1);
  return out;
}();

/// A kernel that can give NULL for arguments that are not NULL takes this before them, and sets it.
struct Valid {
  bool is = true;
};

template <typename T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;

/// Calls use.operator()<T>() with the type that holds the values.
template <typename F>
auto with_type(Type type, F use) {
  if (type == Type::float64) return use.template operator()<double>();
  if (type == Type::boolean) return use.template operator()<std::uint8_t>();
  if (type == Type::string || type == Type::dictionary) return use.template operator()<std::string_view>();
  return use.template operator()<std::int64_t>();
}

/// A block of rows of a batch. What is made for it stays in `memory` until the block is done.
class Block {
 public:
  Block(const Batch& batch, std::size_t begin, std::size_t rows, std::pmr::memory_resource& memory)
      : batch_{batch}, begin_{begin}, rows_{rows}, memory_{memory} {}

  Values values(const Node& n) {
    if (n.form != nullptr) return n.form->evaluate(*this, n);
    return n.is_name ? column(n) : literal(n);
  }

  template <typename T>
  T* make(std::size_t count) {
    return static_cast<T*>(memory_.allocate(std::max<std::size_t>(count, 1) * sizeof(T), alignof(T)));
  }

  template <typename T, typename F>
  const T* filled(F value_at) {
    T* __restrict out = make<T>(rows_);
    for (std::size_t i = 0; i < rows_; ++i) out[i] = static_cast<T>(value_at(i));
    return out;
  }

  /// Per row what `f` makes of the arguments' values there, NULL unless `given` and where f says so.
  template <typename F, typename... T>
  Values each(Type type, const std::uint8_t* given, F f, const T*... of) {
    if constexpr (std::invocable<F, Valid&, T...>) {
      auto* __restrict data = make<Stored<std::invoke_result_t<F, Valid&, T...>>>(rows_);
      auto* __restrict valid = make<std::uint8_t>(rows_);
      for (std::size_t i = 0; i < rows_; ++i) {
        Valid made;
        data[i] = f(made, of[i]...);
        valid[i] = given[i] & static_cast<std::uint8_t>(made.is);
      }
      return {type, data, valid};
    } else {
      using Made = Stored<std::invoke_result_t<F, T...>>;
      return {type, filled<Made>([=](std::size_t i) { return f(of[i]...); }), given};
    }
  }

  /// The same of arguments as T, NULL where one of them is.
  template <typename T, typename F, typename... Of>
  Values map(Type type, F f, const Of&... of) {
    return each(type, both(of.valid...), f, as<T>(of)...);
  }

  const std::uint8_t* both(const std::uint8_t* a, const std::uint8_t* b = all_valid.data()) {
    if (a == all_valid.data() || a == b) return b;
    return b == all_valid.data() ? a : filled<std::uint8_t>([=](std::size_t i) { return a[i] & b[i]; });
  }

  /// Whole numbers become doubles, and ids their texts, where that is asked for.
  template <typename T>
  const T* as(const Values& of) {
    if constexpr (std::is_same_v<T, double>) {
      const auto* whole = static_cast<const std::int64_t*>(of.data);
      if (of.type != Type::float64) return filled<double>([=](std::size_t i) { return whole[i]; });
    } else if constexpr (std::is_same_v<T, std::string_view>) {
      const auto* ids = static_cast<const std::uint32_t*>(of.data);
      const auto text = [&](std::size_t i) { return of.valid[i] != 0 ? of.ids->dictionary->at(ids[i]) : T{}; };
      if (of.type == Type::dictionary) return filled<T>(text);
    }
    return static_cast<const T*>(of.data);
  }

 private:
  Values literal(const Node& n) {
    return with_type(n.type, [&]<typename T>() {
      T value{};
      if constexpr (std::is_same_v<T, std::string_view>) {
        value = n.text;
      } else {
        value = n.type == Type::float64 ? static_cast<T>(n.number) : static_cast<T>(n.integer);
      }
      const auto* data = filled<T>([=](std::size_t) { return value; });
      return Values{n.type, data, n.null ? none_valid.data() : all_valid.data()};
    });
  }

  Values column(const Node& n) {
    if (n.column == arrival_column) return {n.type, batch_.arrival.data() + begin_, all_valid.data()};
    const Column& from = batch_.columns[n.column];
    if (from.absent()) return literal({.type = n.type == Type::dictionary ? Type::string : n.type, .null = true});
    const Validity& validity = from.validity();
    const auto* valid = all_valid.data();
    if (!validity.all()) valid = filled<std::uint8_t>([&](std::size_t i) { return validity[begin_ + i]; });
    switch (n.type) {
      case Type::float64:
        return {n.type, from.float64s().data() + begin_, valid};
      case Type::boolean:
        return each(n.type, valid, [](std::uint8_t a) { return a != 0; }, from.booleans().data() + begin_);
      case Type::string:
        return {n.type, filled<std::string_view>([&](std::size_t i) { return from.texts()[begin_ + i]; }), valid};
      case Type::dictionary:
        return {n.type, from.ids().ids.data() + begin_, valid, &from.ids()};
      default:
        return {n.type, from.int64s().data() + begin_, valid};
    }
  }

  const Batch& batch_;
  std::size_t begin_;
  std::size_t rows_;
  std::pmr::memory_resource& memory_;
};

}  // namespace weir::expression
