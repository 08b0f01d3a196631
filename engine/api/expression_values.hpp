/// Columns of intermediate values while an expression is evaluated. Not for operators.
#pragma once

#include <algorithm>
#include <array>
#include <memory_resource>

#include "expression_tree.hpp"

namespace weir::expression {

/// Values of a block of rows; with `mask` 0 one value stands for every row.
template <typename T>
struct View {
  const T* data;
  std::size_t mask = static_cast<std::size_t>(-1);
  T operator[](std::size_t row) const { return data[row & mask]; }
};

using Flags = View<std::uint8_t>;  ///< 0 or 1
inline constexpr std::uint8_t yes = 1;
inline constexpr std::uint8_t no = 0;
inline constexpr Flags everywhere{&yes, 0};

struct Values {
  Type type = Type::float64;
  const void* data = nullptr;
  std::size_t mask = static_cast<std::size_t>(-1);
  Flags valid = everywhere;
  const Ids* table = nullptr;  ///< of a dictionary column: data are ids

  bool complete() const { return valid.data == &yes; }
  bool texts() const { return type == Type::string || type == Type::dictionary; }
  template <typename T>
  View<T> view() const {
    return {static_cast<const T*>(data), mask};
  }
};

/// Makes values for `rows` rows in `memory`, where they stay until the block is done.
struct Block {
  std::size_t rows;
  std::pmr::memory_resource& memory;

  template <typename T>
  T* make(std::size_t count) {
    return static_cast<T*>(memory.allocate(std::max<std::size_t>(count, 1) * sizeof(T), alignof(T)));
  }

  template <typename T, typename F>
  Values computed(Type type, Flags valid, F value_at) {
    T* __restrict out = make<T>(rows);
    for (std::size_t i = 0; i < rows; ++i) out[i] = static_cast<T>(value_at(i));
    return {.type = type, .data = out, .valid = valid};
  }
  template <typename F>
  Values truths(Flags valid, F value_at) {
    return computed<std::uint8_t>(Type::boolean, valid, value_at);
  }
  template <typename F>
  Flags flags(F value_at) {
    return truths(everywhere, value_at).template view<std::uint8_t>();
  }

  /// Where both hold.
  Flags both(Flags a, Flags b) {
    if (a.data == &yes) return b;
    return b.data == &yes ? a : flags([=](std::size_t i) { return a[i] & b[i]; });
  }

  /// A zero of the type for every row; NULL everywhere if asked for.
  static Values constant(Type type, bool null = false) {
    alignas(16) static constexpr std::array<std::byte, 16> zero{};
    static constexpr std::string_view nothing;
    Values out{.type = type, .data = zero.data(), .mask = 0, .valid = null ? Flags{&no, 0} : everywhere};
    if (out.texts()) out.data = &nothing;
    return out;
  }

  View<double> doubles(const Values& of) {
    if (of.type == Type::float64) return of.view<double>();
    const auto a = of.view<std::int64_t>();
    return computed<double>(Type::float64, everywhere, [=](std::size_t i) { return static_cast<double>(a[i]); })
        .view<double>();
  }

  /// Readable in NULL rows too. What is no text is the literal NULL.
  View<std::string_view> texts(const Values& of) {
    if (!of.texts()) return constant(Type::string).view<std::string_view>();
    if (of.table == nullptr) return of.view<std::string_view>();
    return computed<std::string_view>(Type::string, everywhere,
                                      [ids = of.view<std::uint32_t>(), &of](std::size_t i) {
                                        return of.valid[i] != 0 ? of.table->dictionary->at(ids[i]) : std::string_view{};
                                      })
        .view<std::string_view>();
  }
};

}  // namespace weir::expression
