/// The words of pipeline text: strings, numbers, literals, comments; and the mistakes in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/findings.hpp"
#include "core/config/text.hpp"

namespace weir {

/// Walks a text of less than 4 GiB by code points and reports into a document; both must outlive it.
/// After stop() it stands at the end of the text, and reports nothing more.
class Lexer {
 public:
  Lexer(std::string_view text, Document& document, TextPosition start)
      : text_{text}, document_{document}, place_{start} {}

  TextPosition here() const { return place_; }
  bool stopped() const { return stopped_; }
  bool ended() const { return stopped_ || place_.offset >= text_.size(); }
  /// The byte here; NUL at the end.
  char next() const { return ended() ? '\0' : text_[place_.offset]; }

  /// Over so many code points, or up to the end.
  Span take(std::size_t points = 1);
  /// Over space and comments, which then wait to be collected.
  void skip();
  /// Over a byte order mark, which has no column.
  void skip_mark();
  /// The comments passed since they were last collected.
  std::vector<Comment>& comments() { return comments_; }
  std::vector<Comment> take_comments() { return std::exchange(comments_, {}); }

  /// A string in its quotes; its content is appended.
  void string(std::string& text);
  /// One character of a string's content, escaped or not.
  void character(std::string& text);
  /// null, true, false or a number; nothing if none stands here.
  std::optional<Value> word();

  /// Reports what reading can go on after.
  void mistake(Span span, std::string rule, std::string message, std::string suggestion);
  /// Reports, and ends the reading.
  void stop(Span span, std::string rule, std::string message, std::string suggestion);
  /// Reports what stands here in the place of `what`, and ends the reading.
  void expected(std::string_view what, std::string suggestion = "");

 private:
  std::string_view since(TextPosition begin) const { return text_.substr(begin.offset, place_.offset - begin.offset); }
  bool starts_with(std::string_view prefix) const {
    return !ended() && text_.substr(place_.offset).starts_with(prefix);
  }
  void comment();
  void escape(std::string& text);
  std::optional<char32_t> hex4();
  void number(Value& value, std::string_view text);

  std::string_view text_;
  Document& document_;
  TextPosition place_;
  std::vector<Comment> comments_;
  bool stopped_ = false;
  std::size_t bad_end_ = 0;  // behind the last byte that was no UTF-8
};

}  // namespace weir
