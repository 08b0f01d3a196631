#include "core/config/lexer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/utf8.hpp>

namespace weir {
namespace {

constexpr std::string_view ends_a_word = " \t\r\n,:]}[{\"/";

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

}  // namespace

void Lexer::mistake(Span span, std::string rule, std::string message, std::string suggestion) {
  if (stopped_) return;
  auto& findings = document_.findings;
  if (findings.size() + 1 == finding_limit)
    return stop(span, "too-many-mistakes", "too many mistakes; stopped reading", "");
  findings.push_back(
      {Severity::error, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
}

void Lexer::stop(Span span, std::string rule, std::string message, std::string suggestion) {
  if (std::exchange(stopped_, true)) return;
  document_.findings.push_back(
      {Severity::error, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
}

void Lexer::expected(std::string_view what, std::string suggestion) {
  const TextPosition begin = here();
  std::string found;
  if (next() == '"') {
    string(found);
  } else if (!ended()) {
    const bool sign = ends_a_word.contains(next());
    do take();
    while (!sign && !ended() && !ends_a_word.contains(next()));
    found = valid_utf8(since(begin));
  }
  const bool end = begin.offset >= text_.size();
  stop({begin, here()}, "syntax", weir::format("expected {} but found {}", what, end ? "the end" : quoted(found)),
       std::move(suggestion));
}

/// Every character passes here, so bytes that are no UTF-8 are found wherever they are; neighbours are one mistake.
Span Lexer::take(std::size_t points) {
  const TextPosition begin = here();
  for (; points > 0 && !ended(); --points) {
    const TextPosition place = here();
    const auto byte = static_cast<unsigned char>(next());
    if (byte == '\n') {
      place_ = {place.line + 1, 1, place.offset + 1};
      continue;
    }
    const std::size_t length = utf8_length(text_.substr(place.offset));
    place_.offset += static_cast<std::uint32_t>(length == 0 ? 1 : length);
    ++place_.column;
    if (length > 0) continue;
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
  const TextPosition begin = here();
  if (starts_with("/*")) {
    Span opening = take(2);
    while (!ended() && !starts_with("*/")) take();
    if (ended()) stop(opening, "unterminated-comment", "comment is not closed", "write */ at its end");
    take(2);
  } else {
    while (!ended() && next() != '\n' && !starts_with("\r\n")) take();
  }
  comments_.push_back({valid_utf8(since(begin)), {begin, here()}});
}

void Lexer::skip() {
  while (!ended()) {
    if (std::string_view{" \t\r\n"}.contains(next()))
      take();
    else if (starts_with("//") || starts_with("/*"))
      comment();
    else
      return;
  }
}

void Lexer::skip_mark() {
  if (starts_with("\xef\xbb\xbf")) place_.offset += 3;
}

void Lexer::string(std::string& text) {
  const TextPosition opening = here();
  for (take(); next() != '"'; character(text)) {
    if (ended() || next() == '\n') {
      return stop({opening, here()}, "unterminated-string", "string is not closed on its line", "write \" at its end");
    }
  }
  take();
}

void Lexer::character(std::string& text) {
  const TextPosition begin = here();
  const auto code = static_cast<unsigned char>(next());
  if (code == '\\') return escape(text);
  const Span span = take();
  text += bad_end_ > begin.offset ? "\xef\xbf\xbd" : since(begin);
  if (code < 0x20) {
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
    const std::string written = valid_utf8(since(begin));
    mistake({begin, here()}, "bad-escape", written + " is no escape", weir::format("write {}", suggestion));
  };
  if (name != 'u') {
    const std::string written = valid_utf8(since(begin));
    text += written.substr(1);
    return bad("\\" + written);
  }
  std::optional<char32_t> point = hex4();
  if (!point) return bad("\\u and four hexadecimal digits");
  if (*point >= 0xd800 && *point < 0xdc00 && starts_with("\\u")) {
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
        std::string_view{"0123456789abcdef"}.find(static_cast<char>(next() | (next() >= 'A' ? 0x20 : 0)));
    if (digit == std::string_view::npos) return {};
    code = code * 16 + static_cast<char32_t>(digit);
    take();
  }
  return code;
}

std::optional<Value> Lexer::word() {
  const std::string_view rest = ended() ? "" : text_.substr(place_.offset);
  const std::string_view text = rest.substr(0, rest.find_first_of(ends_a_word));
  Value value;
  if (text == "null") {
    value.kind = Value::Kind::null;
  } else if (text == "true" || text == "false") {
    value.kind = Value::Kind::boolean;
    value.boolean = text == "true";
  } else if (!is_number(text)) {
    return {};
  }
  value.span = take(text.size());
  if (value.is(Value::Kind::invalid)) number(value, text);
  return value;
}

void Lexer::number(Value& value, std::string_view text) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value.integer);
  if (std::from_chars(text.data(), end, value.number).ec != std::errc{}) {
    value.text = text;
    mistake(value.span, "bad-number", "number is out of range", "numbers go from -1.8e308 to 1.8e308");
  } else if (stop == end && error == std::errc{} && text != "-0") {
    value.kind = Value::Kind::integer;
  } else {
    value.kind = Value::Kind::number;
    value.integer = 0;
  }
}

}  // namespace weir
