/// Walks a text by code points and knows the place it is at.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/config/findings.hpp"

namespace weir {

/// The text must outlive the cursor and be shorter than 4 GiB.
class Cursor {
 public:
  explicit Cursor(std::string_view text, TextPosition place = {1, 1, 0}) : text_{text}, place_{place} {}

  TextPosition here() const { return place_; }
  bool ended() const { return place_.offset >= text_.size(); }
  /// The byte here; NUL at the end.
  char peek() const { return ended() ? '\0' : text_[place_.offset]; }
  bool starts_with(std::string_view prefix) const { return rest().starts_with(prefix); }
  /// What lies between a place passed before and here.
  std::string_view since(TextPosition begin) const { return text_.substr(begin.offset, place_.offset - begin.offset); }

  /// Over one code point, or one byte that belongs to none; false for the latter. Not at the end.
  bool advance();
  /// Back over ASCII characters of this line.
  void back(std::size_t characters);
  /// Over a byte order mark, which has no column.
  void skip_mark() { place_.offset += 3; }

  /// The number of quotes on this place's line is odd, so one of them is missing or too many.
  bool odd_quotes(TextPosition place) const;
  /// Closing brackets minus opening ones behind this character, those in strings and comments apart.
  std::ptrdiff_t closers_ahead() const;

 private:
  std::string_view rest() const { return text_.substr(place_.offset < text_.size() ? place_.offset : text_.size()); }

  std::string_view text_;
  TextPosition place_;
};

}  // namespace weir
