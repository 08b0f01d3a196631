/// The words of pipeline text: strings, numbers, literals, comments; and the mistakes in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/cursor.hpp"
#include "core/config/findings.hpp"
#include "core/config/text.hpp"

namespace weir {

/// Walks a source and reports into a document; both must outlive it. Used by read_text() only.
class Lexer {
 public:
  Lexer(std::string_view source, Document& document, TextPosition start)
      : document_{document}, cursor_{source, start} {}

  TextPosition here() const { return cursor_.here(); }
  /// At the end of the text. Having given up after `finding_limit` mistakes counts as the end.
  bool ended() const { return cursor_.ended() || gave_up(); }
  /// The byte here; NUL at the end.
  char next() const { return ended() ? '\0' : cursor_.peek(); }
  /// Where no value can begin: at a comma, a closing bracket or the end.
  bool between() const { return ended() || next() == ',' || next() == '}' || next() == ']'; }
  bool at_comment() const { return cursor_.starts_with("//") || cursor_.starts_with("/*"); }
  /// The span of the one ASCII character here.
  Span one() const { return {here(), {here().line, here().column + 1, here().offset + 1}}; }
  std::string_view since(TextPosition begin) const { return cursor_.since(begin); }
  std::ptrdiff_t closers_ahead() const { return cursor_.closers_ahead(); }

  /// Over so many code points, or up to the end.
  Span take(std::size_t points = 1);
  /// Over space and comments, which then wait to be collected.
  void skip();
  /// Over a byte order mark.
  void skip_mark();
  /// The comments passed since they were last collected.
  std::vector<Comment>& comments() { return comments_; }
  std::vector<Comment> take_comments() { return std::exchange(comments_, {}); }

  /// A string in either quotes; its content is appended.
  void string(std::string& text);
  /// One character of a string's content, escaped or not.
  void character(std::string& text);
  /// A literal, a number, or text that lacks its quotes. Not between() and at no bracket or quote.
  Value word();

  /// Reports, unless it follows from a missing quote that has been reported.
  void mistake(Span span, std::string rule, std::string message, std::string suggestion = "");

 private:
  bool gave_up() const { return document_.findings.size() >= finding_limit; }
  void comment();
  void escape(std::string& text);
  std::optional<char32_t> hex4();
  void number(Value& value);
  void unquoted(Value& value);

  Document& document_;
  Cursor cursor_;
  std::vector<Comment> comments_;
  std::uint32_t noisy_line_ = 0;  // a quote is missing on it: whatever else looks wrong there is noise
  std::size_t bad_end_ = 0;       // behind the last byte that was no UTF-8
};

}  // namespace weir
