#include "core/config/lexer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/utf8.hpp>

namespace weir {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0; }

/// These say nothing about the quotes of their line.
bool concerns_content(std::string_view rule) {
  return rule == "invalid-utf8" || rule == "bad-escape" || rule == "control-character" || rule == "duplicate-key" ||
         rule == "bad-number" || rule == "too-deep";
}

bool is_number(std::string_view text) {
  const auto digits = [&] {
    const std::size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(length);
    return length > 0;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0' && is_digit(text[1])) return false;
  if (!digits()) return false;
  if (text.starts_with('.') && (text.remove_prefix(1), !digits())) return false;
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(text.size() > 1 && (text[1] == '+' || text[1] == '-') ? 2 : 1);
    if (!digits()) return false;
  }
  return text.empty();
}

/// What someone who wrote `+5`, `.5`, `007`, `1_000` or `0x1F` meant; nothing if it is no number at all.
std::string meant_number(std::string text) {
  std::erase(text, '_');
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  if (text.starts_with("0x") || text.starts_with("0X")) {
    std::uint64_t hex = 0;
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), hex, 16);
    if (error != std::errc{} || end != text.data() + text.size()) return "";
    text = std::to_string(hex);
  }
  while (text.size() > 1 && text[0] == '0' && is_digit(text[1])) text.erase(0, 1);
  if (text.starts_with('.')) text.insert(0, "0");
  if (text.ends_with('.')) text += '0';
  if (negative) text.insert(0, "-");
  return is_number(text) ? text : "";
}

/// Literals of other languages.
std::string_view meant_literal(std::string text) {
  std::ranges::transform(text, text.begin(), lower);
  if (text == "true" || text == "false") return text == "true" ? "true" : "false";
  return text == "null" || text == "none" || text == "nil" || text == "undefined" ? "null" : "";
}

}  // namespace

void Lexer::mistake(Span span, std::string rule, std::string message, std::string suggestion) {
  if (gave_up() || span.begin.line == noisy_line_) return;
  if (!concerns_content(rule) && cursor_.odd_quotes(span.begin)) {
    noisy_line_ = span.begin.line;
    if (rule != "unterminated-string") {
      rule = "unterminated-string";
      message = "a \" is missing or too many on this line";
      suggestion = "look here and before";
    }
  }
  auto& findings = document_.findings;
  findings.push_back(
      {Severity::error, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
  if (gave_up()) {
    findings.back() = {
        Severity::error, document_.file, span, "too-many-mistakes", "too many mistakes; stopped reading", ""};
  }
}

/// Every character passes here, so bytes that are no UTF-8 are found wherever they are; neighbours are one mistake.
Span Lexer::take(std::size_t points) {
  const TextPosition begin = here();
  for (; points > 0 && !ended(); --points) {
    const TextPosition place = here();
    const auto byte = static_cast<unsigned char>(next());
    if (cursor_.advance()) continue;
    const bool neighbour = bad_end_ > 0 && bad_end_ == place.offset;
    bad_end_ = here().offset;
    if (!neighbour) {
      mistake({place, here()}, "invalid-utf8", weir::format("byte 0x{:02x} is no UTF-8", byte),
              "save the file as UTF-8");
    }
  }
  return {begin, here()};
}

void Lexer::comment() {
  const Span begin = one();
  if (cursor_.starts_with("/*")) {
    take(2);
    while (!ended() && !cursor_.starts_with("*/")) take();
    if (ended()) mistake(begin, "unterminated-comment", "comment is not closed", "write */ at its end");
    take(2);
  } else {
    if (next() == '#') mistake(begin, "bad-comment", "comments begin with //, not #", "write //");
    while (!ended() && next() != '\n' && !cursor_.starts_with("\r\n")) take();
  }
  comments_.push_back({valid_utf8(cursor_.since(begin.begin)), {begin.begin, here()}});
}

void Lexer::skip() {
  while (!ended()) {
    const char c = next();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      take();
    } else if (c == '#' || cursor_.starts_with("//") || cursor_.starts_with("/*")) {
      comment();
    } else {
      return;
    }
  }
}

void Lexer::string(std::string& text) {
  const Span opening = one();
  const char quote = next();
  if (quote == '\'') mistake(opening, "single-quotes", "strings take double quotes", "write \"");
  if (ended()) return;  // that was one mistake too many
  for (take(); next() != quote; character(text)) {
    if (!ended() && next() != '\n') continue;
    // Commas and brackets at the line's end were not meant to be inside.
    const std::string_view raw = cursor_.since(opening.end);
    const std::size_t extra = raw.size() - (raw.find_last_not_of(",]} \t\r") + 1);
    cursor_.back(extra);
    text.resize(text.size() - std::min(extra, text.size()));
    return mistake({opening.begin, here()}, "unterminated-string", "string is not closed on its line",
                   "write \" at its end");
  }
  take();
}

void Lexer::character(std::string& text) {
  const TextPosition begin = here();
  const auto code = static_cast<unsigned char>(next());
  if (code == '\\') return escape(text);
  const Span span = take();
  text += bad_end_ > begin.offset ? "\xef\xbf\xbd" : cursor_.since(begin);
  if (code < 0x20 && !ended()) {
    mistake(span, "control-character", weir::format("control character U+{:04X} in a string", code),
            code == '\t' ? "write \\t" : weir::format("write \\u{:04x}", code));
  }
}

void Lexer::escape(std::string& text) {
  constexpr std::string_view names = "\"\\/bfnrt", codes = "\"\\/\b\f\n\r\t";
  const TextPosition begin = take().begin;
  if (ended() || next() == '\n') return;
  const char name = next();
  take();
  if (const std::size_t i = names.find(name); i != std::string_view::npos) {
    text += codes[i];
    return;
  }
  const auto bad = [&](std::string_view suggestion) {
    const std::string written = valid_utf8(cursor_.since(begin));
    mistake({begin, here()}, "bad-escape", written + " is no escape", weir::format("write {}", suggestion));
  };
  if (name != 'u') {
    const std::string written = valid_utf8(cursor_.since(begin));
    text += written.substr(1);
    return bad("\\" + written);
  }
  std::optional<char32_t> point = hex4();
  if (!point) return bad("\\u and four hexadecimal digits");
  if (*point >= 0xd800 && *point < 0xdc00 && cursor_.starts_with("\\u")) {
    take(2);
    const auto low = hex4();
    const bool pair = low && *low >= 0xdc00 && *low < 0xe000;
    point = pair ? 0x10000 + ((*point - 0xd800) << 10) + (*low - 0xdc00) : 0xdc00;
  }
  append_utf8(text, *point);
  if (*point >= 0xd800 && *point < 0xe000) bad("both halves of the pair, or the character itself");
}

std::optional<char32_t> Lexer::hex4() {
  char32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    const auto digit =
        std::string_view{"0123456789abcdef"}.find(static_cast<char>(next() | (is_letter(next()) ? 0x20 : 0)));
    if (digit == std::string_view::npos) return {};
    code = code * 16 + static_cast<char32_t>(digit);
    take();
  }
  return code;
}

/// A literal, a number, or text that lacks its quotes.
Value Lexer::word() {
  Value value;
  value.span.begin = here();
  Cursor ahead = cursor_;
  while (!ahead.ended() && !std::string_view{" \t\r\n,:]}[{\"/"}.contains(ahead.peek())) ahead.advance();
  const std::string text{ahead.since(here())};
  const bool whole = ahead.peek() != '/' || ahead.starts_with("//") || ahead.starts_with("/*");
  while (ahead.peek() == ' ' || ahead.peek() == '\t') ahead.advance();
  const bool alone = whole && ahead.peek() != ':' && !is_letter(ahead.peek()) && ahead.peek() != '%';
  if (text == "null" || text == "true" || text == "false") {
    value.kind = text == "null" ? Value::Kind::null : Value::Kind::boolean;
    value.boolean = text == "true";
    take(text.size());
  } else if (alone && is_number(text)) {
    value.text = text;
    take(text.size());
    value.span.end = here();
    number(value);
  } else {
    unquoted(value);
  }
  value.span.end = here();
  return value;
}

void Lexer::number(Value& value) {
  const std::string text = std::exchange(value.text, {});
  const char* const end = text.data() + text.size();
  std::int64_t integer = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, integer);
  if (std::from_chars(text.data(), end, value.number).ec != std::errc{}) {
    mistake(value.span, "bad-number", "number is out of range", "numbers go from -1.8e308 to 1.8e308");
  } else if (stop == end && error == std::errc{} && text != "-0") {
    value.kind = Value::Kind::integer;
    value.integer = integer;
  } else {
    value.kind = Value::Kind::number;
  }
}

/// Up to the comma, bracket, quote, comment or end of line that ends it.
void Lexer::unquoted(Value& value) {
  do {
    take();
  } while (!between() && !std::string_view{"\r\n[{\"#"}.contains(next()) && !cursor_.starts_with("/*") &&
           (!cursor_.starts_with("//") || cursor_.since(value.span.begin).ends_with(':')));
  const std::string_view raw = cursor_.since(value.span.begin);
  cursor_.back(raw.size() - std::max<std::size_t>(raw.find_last_not_of(" \t") + 1, 1));
  value.text = valid_utf8(cursor_.since(value.span.begin));
  value.span.end = here();
  if (const auto literal = meant_literal(value.text); !literal.empty()) {
    mistake(value.span, "unquoted", value.text + " is no JSON", weir::format("write {}", literal));
  } else if (const std::string meant = meant_number(value.text); !meant.empty()) {
    mistake(value.span, "bad-number", value.text + " is no JSON number", weir::format("write {}", meant));
  } else {
    mistake(value.span, "unquoted", "text without quotes", weir::format("write {}", quoted(value.text)));
  }
}

void Lexer::skip_mark() {
  if (cursor_.starts_with("\xef\xbb\xbf")) cursor_.skip_mark();
}

}  // namespace weir
