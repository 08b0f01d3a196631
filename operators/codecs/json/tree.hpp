/// JSON payloads as values to look at, read without recursion and without rounding.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

namespace weir::json {

/// A value of a payload. Its views point into the text that was read. Numbers are kept as written: no digit is lost.
struct Value {
  enum class Kind : std::uint8_t { null, boolean, number, text, array, object } kind = Kind::null;
  std::string_view name;  ///< of a member
  std::string_view text;  ///< of a text or number; "true" or "false"
  std::uint32_t child = 0;
  std::uint32_t next = 0;
};

/// The values of one payload. Keeps its memory from one payload to the next.
class Tree {
 public:
  static constexpr std::size_t deepest = 64;

  /// Reads a payload; answers a reason if it is not JSON. `text` is changed in place and must stay while values are
  /// used.
  std::expected<void, Reason> read(std::string& text);

  const Value& root() const { return values_[1]; }
  /// The first member or element; null if there is none.
  const Value* child(const Value& parent) const { return at(parent.child); }
  /// The next member or element of the same object or array; null after the last.
  const Value* next(const Value& value) const { return at(value.next); }
  /// The first member of that name; null if there is none or `object` is not one.
  const Value* member(const Value& object, std::string_view name) const;
  /// The member of that name, or of an array the element of that number; null if there is none.
  const Value* step(const Value& from, std::string_view name) const;

 private:
  struct Builder;
  const Value* at(std::uint32_t place) const { return place == 0 ? nullptr : &values_[place]; }

  std::vector<Value> values_;  ///< place 0 is a parent of the root
};

/// The way to a value: names of members and numbers of elements, "gps.fix.0".
class Path {
 public:
  Path() = default;
  explicit Path(std::string_view text);

  bool empty() const { return steps_.empty(); }
  const std::vector<std::string>& steps() const { return steps_; }
  std::string text() const;
  /// Null if there is nothing, or the path is empty.
  const Value* find(const Tree& tree, const Value& from) const;
  bool starts_with(std::string_view name) const { return !steps_.empty() && steps_.front() == name; }
  /// One name, without dots.
  bool plain() const { return steps_.size() == 1; }
  const std::string& name() const { return steps_.front(); }

 private:
  std::vector<std::string> steps_;
};

}  // namespace weir::json
