/// Pipeline text: JSON with comments, read so that lint can point at everything and fmt can print it back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/findings.hpp"

namespace weir {

/// `// …` or `/* … */`, as written.
struct Comment {
  std::string text;
  Span span;
};

/// Every comment of a text belongs to exactly one value; a member's comments are those of its value.
struct Comments {
  std::vector<Comment> before;  ///< ahead of the element, the member's key, or between key and value
  std::vector<Comment> after;   ///< behind it on the line where it ends (of the root: everything behind it)
  std::vector<Comment> inside;  ///< of an array or object: behind the last element, or in an empty one
};

/// Where a variable's value stands in a string, and what it stands for.
struct Replacement {
  std::size_t at = 0;  ///< in Value::text
  std::size_t length = 0;
  std::size_t written_at = 0;      ///< of `${`, in Value::written
  std::size_t written_length = 0;  ///< up to and with `}`
};

struct Member;

/// One value of the text.
struct Value {
  enum class Kind : std::uint8_t {
    null,
    boolean,
    integer,  ///< a whole number without point or exponent that fits int64
    number,   ///< every other number, as a double
    string,
    array,
    object,
    invalid,  ///< a mistake that has been reported; whoever reads it says nothing more about it
  };

  Kind kind = Kind::invalid;
  bool boolean = false;
  bool from_variable = false;  ///< a string that is one variable and nothing else; may be read as a number or boolean
  bool secret = false;         ///< show it by shown() of variables.hpp only
  std::int64_t integer = 0;
  double number = 0;         ///< of an integer too
  std::string text = {};     ///< a string's content in valid UTF-8; an invalid value as written
  std::string written = {};  ///< a string's content before variables were replaced; empty if there were none
  std::vector<Replacement> replaced = {};
  std::vector<Value> items;
  std::vector<Member> members;  ///< in the order of the text, each key once
  Span span = {};
  Comments comments = {};

  bool is(Kind other) const { return kind == other; }
  /// The member of an object, or null.
  const Value* find(std::string_view key) const&;
  Value* find(std::string_view key) &;
  const Value* find(std::string_view key) const&& = delete;
};

struct Member {
  std::string key;
  Span key_span;  ///< with the quotes
  Value value;
};

/// `null`, `boolean`, …, as messages call them.
std::string_view to_string(Value::Kind kind);

struct Document {
  std::string file;
  std::string text;
  Value root;                     ///< invalid if the reading ended early or there is no value
  std::vector<Finding> findings;  ///< in the order of the text; empty: `root` is the whole text
};

inline constexpr std::size_t depth_limit = 64;                    ///< arrays and objects inside each other
inline constexpr std::size_t text_limit = std::size_t{16} << 20;  ///< bytes
inline constexpr std::size_t finding_limit = 100;                 ///< the reader gives up beyond

/// Reads a text. The first mistake in its grammar ends the reading: `root` is then invalid, so that nothing is said of
/// the part that was read. Mistakes that leave the grammar intact are all reported: duplicate keys, bad escapes,
/// control characters, invalid UTF-8, numbers out of range. More than `depth_limit` levels end the reading too. Spans
/// nest. A byte order mark is skipped. Pure; never fails otherwise.
Document read_text(std::string_view text, std::string_view file);

/// The place of a byte of a string's `text` in the source that the string was read from, across escapes and replaced
/// variables (inside a variable's value: where its `${` stands). The value's beginning if it isn't a string of this
/// source.
TextPosition place_inside(std::string_view source, const Value& string, std::size_t offset);

/// The same for an offset into the string as it was before variables were replaced.
TextPosition place_as_written(std::string_view source, const Value& string, std::size_t offset);

}  // namespace weir
