#include "core/config/text.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include <weir/format.hpp>
#include <weir/utf8.hpp>

#include "core/config/lexer.hpp"

namespace weir {
namespace {

bool is_closer(char c) { return c == '}' || c == ']'; }

std::string at(TextPosition place) { return weir::format("{}:{}", place.line, place.column); }

void append(std::vector<Comment>& to, std::vector<Comment> from) { std::ranges::move(from, std::back_inserter(to)); }

/// Members, elements and their comments. A mistake in the grammar ends the reading.
class Reader {
 public:
  Reader(std::string_view source, Document& document, TextPosition start = {1, 1, 0})
      : document_{document}, in_{source, document, start} {}

  void run();
  TextPosition place_in_string(std::size_t offset);

 private:
  using Keys = std::unordered_map<std::string, TextPosition>;

  Value value();
  Value container();
  void element(Value& array);
  void member(Value& object, Keys& keys);
  void separate(const Value& container, Value& last);
  void expected(std::string_view what, std::string suggestion = "");

  Document& document_;
  Lexer in_;
  std::vector<Span> open_;  // the brackets that are not closed yet
};

void Reader::run() {
  in_.skip_mark();
  in_.skip();
  const TextPosition begin = in_.here();
  std::vector<Comment> before = in_.take_comments();
  if (in_.ended()) in_.stop({begin, begin}, "empty", "no value in this file", R"(write { "name": …, "nodes": [ … ] })");
  Value root = value();
  in_.skip();
  if (!in_.ended()) expected("the end", weir::format("the {} ends at {}", to_string(root.kind), at(root.span.end)));
  if (in_.stopped()) {
    document_.root.span = {begin, begin};
  } else {
    root.comments.before = std::move(before);
    append(root.comments.after, in_.take_comments());
    document_.root = std::move(root);
  }
  sort_by_place(document_.findings);
}

/// The end of the text is expected nowhere inside brackets; then they are what is of interest.
void Reader::expected(std::string_view what, std::string suggestion) {
  if (in_.ended() && !open_.empty()) {
    const TextPosition place = open_.back().begin;
    suggestion = weir::format("close the \"{}\" of {}", document_.text[place.offset], at(place));
  }
  in_.expected(what, std::move(suggestion));
}

Value Reader::value() {
  if (in_.next() == '{' || in_.next() == '[') return container();
  Value value;
  value.span.begin = in_.here();
  if (in_.next() == '"') {
    value.kind = Value::Kind::string;
    in_.string(value.text);
  } else if (auto word = in_.word()) {
    return *std::move(word);
  } else {
    expected("a value", std::string_view{",:}]"}.contains(in_.next()) ? "" : "strings take double quotes");
  }
  value.span.end = in_.here();
  return value;
}

Value Reader::container() {
  Value value;
  const bool object = in_.next() == '{';
  const char closer = object ? '}' : ']';
  value.kind = object ? Value::Kind::object : Value::Kind::array;
  value.span = in_.take();
  if (open_.size() == depth_limit) {
    in_.stop(value.span, "too-deep", weir::format("more than {} levels of arrays and objects", depth_limit),
             "flatten it");
  }
  open_.push_back(value.span);
  in_.skip();
  if (in_.next() != closer) {
    Keys keys;
    do {
      if (object)
        member(value, keys);
      else
        element(value);
    } while (in_.next() != closer && !in_.ended());
  }
  in_.take();
  open_.pop_back();
  value.comments.inside = in_.take_comments();
  value.span.end = in_.here();
  return value;
}

void Reader::element(Value& array) {
  std::vector<Comment> before = in_.take_comments();
  array.items.push_back(value());
  array.items.back().comments.before = std::move(before);
  separate(array, array.items.back());
}

void Reader::member(Value& object, Keys& keys) {
  std::vector<Comment> before = in_.take_comments();
  Member member;
  member.key_span.begin = in_.here();
  if (in_.next() != '"') return expected("a key in double quotes");
  in_.string(member.key);
  member.key_span.end = in_.here();
  const auto [first, fresh] = keys.try_emplace(member.key, member.key_span.begin);
  if (!fresh) {
    in_.mistake(member.key_span, "duplicate-key", quoted(member.key) + " is given twice",
                "the first is at " + at(first->second));
  }
  in_.skip();
  if (in_.next() != ':') return expected("\":\"");
  in_.take();
  in_.skip();
  append(before, in_.take_comments());
  member.value = value();
  member.value.comments.before = std::move(before);
  separate(object, member.value);
  if (fresh) object.members.push_back(std::move(member));
}

/// The comma behind an element, and who gets the comments around it.
void Reader::separate(const Value& container, Value& last) {
  const TextPosition end = last.span.end;
  const bool object = container.is(Value::Kind::object);
  in_.skip();
  std::vector<Comment>& pending = in_.comments();
  const std::size_t before_comma = pending.size();
  if (in_.next() == ',') {
    const TextPosition comma = in_.take().begin;
    in_.skip();
    if (is_closer(in_.next())) {
      expected(object ? "a key in double quotes" : "a value", weir::format("remove the \",\" at {}", at(comma)));
    }
  } else if (in_.next() != (object ? '}' : ']')) {
    const bool begins = std::string_view{"\"{["}.contains(in_.next());
    const TextPosition opened = container.span.begin;
    expected(weir::format("\",\" or \"{}\"", object ? '}' : ']'),
             begins ? weir::format("write \",\" at {}", at(end))
                    : weir::format("the \"{}\" of {} is open", object ? '{' : '[', at(opened)));
  }
  const bool line_over = in_.ended() || in_.here().line > end.line;
  std::size_t count = 0;
  while (count < pending.size() && pending[count].span.begin.line == end.line && (line_over || count < before_comma)) {
    ++count;
  }
  const auto rest = pending.begin() + static_cast<std::ptrdiff_t>(count);
  last.comments.after.assign(std::move_iterator{pending.begin()}, std::move_iterator{rest});
  pending.erase(pending.begin(), rest);
}

/// Reads a string again, from its beginning, until its content is as long.
TextPosition Reader::place_in_string(std::size_t offset) {
  std::string text;
  in_.take();
  for (TextPosition before = in_.here();; before = in_.here()) {
    if (in_.ended() || in_.next() == '"' || in_.next() == '\n') return before;
    in_.character(text);
    if (text.size() > offset) return before;
  }
}
}  // namespace

const Value* Value::find(std::string_view key) const& {
  const auto member = std::ranges::find(members, key, &Member::key);
  return member == members.end() ? nullptr : &member->value;
}

Value* Value::find(std::string_view key) & { return const_cast<Value*>(std::as_const(*this).find(key)); }

std::string_view to_string(Value::Kind kind) {
  constexpr std::string_view names[] = {"null",   "boolean", "integer", "number",
                                        "string", "array",   "object",  "invalid value"};
  return names[static_cast<std::size_t>(kind)];
}

Document read_text(std::string_view text, std::string_view file) {
  Document document{std::string{file}, std::string{text}, {}, {}};
  if (text.size() > text_limit) {
    document.findings.push_back({Severity::error,
                                 document.file,
                                 {},
                                 "too-large",
                                 weir::format("more than {} MiB", text_limit >> 20),
                                 "split the file"});
  } else {
    Reader{document.text, document}.run();
  }
  return document;
}

TextPosition place_as_written(std::string_view source, const Value& string, std::size_t offset) {
  const TextPosition begin = string.span.begin;
  if (!string.is(Value::Kind::string) || begin.offset >= source.size() || source[begin.offset] != '"') return begin;
  Document scratch;
  return Reader{source, scratch, begin}.place_in_string(offset);
}

TextPosition place_inside(std::string_view source, const Value& string, std::size_t offset) {
  std::size_t written = offset;
  for (const Replacement& replacement : string.replaced) {
    if (offset < replacement.at) break;
    const std::size_t into = offset - replacement.at;
    written = replacement.written_at +
              (into < replacement.length ? 0 : into - replacement.length + replacement.written_length);
  }
  return place_as_written(source, string, written);
}

}  // namespace weir
