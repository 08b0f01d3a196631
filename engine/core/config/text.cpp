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

/// Members, elements and their comments; and what to make of misplaced commas and brackets.
class Reader {
 public:
  Reader(std::string_view source, Document& document, TextPosition start = {1, 1, 0})
      : document_{document}, in_{source, document, start} {}

  void run();
  TextPosition place_in_string(std::size_t offset);

 private:
  struct Open {
    TextPosition place;
    char closer;
    std::unordered_map<std::string, TextPosition> keys = {};
  };

  Value value();
  Value container();
  bool closes(const Value& container);
  bool wrong_closer();
  void too_deep();
  void element(Value& array);
  void member(Value& object);
  bool key(std::string& key);
  bool colon(const Member& member, bool named);
  void separate(const Value& container, Value& last);

  Document& document_;
  Lexer in_;
  std::vector<Open> open_;
  bool after_gap_ = false;  // a closing bracket was supplied, behind which no comma can be expected
};

void Reader::run() {
  Value& root = document_.root;
  in_.skip_mark();
  in_.skip();
  std::vector<Comment> before = in_.take_comments();
  if (in_.ended()) {
    root.span = {in_.here(), in_.here()};
    in_.mistake(root.span, "empty", "no value in this file", R"(write { "name": …, "nodes": [ … ] })");
  } else if (is_closer(in_.next())) {
    root.span = {in_.here(), in_.here()};
  } else {
    root = value();
  }
  root.comments.before = std::move(before);
  for (in_.skip(); is_closer(in_.next()); in_.skip()) {
    const std::string closer{in_.next()};
    in_.mistake(in_.take(), "unopened-bracket", quoted(closer) + " closes nothing", "remove it");
  }
  if (const TextPosition begin = in_.here(); !in_.ended()) {
    while (!in_.ended()) in_.take();
    in_.mistake({begin, in_.here()}, "text-after-end",
                weir::format("text behind the {}, which ends at {}", to_string(root.kind), at(root.span.end)),
                "remove it, or the bracket that closes too early");
  }
  append(root.comments.after, in_.take_comments());
  sort_by_place(document_.findings);
}

/// Not in_.between().
Value Reader::value() {
  if (in_.next() == '{' || in_.next() == '[') return container();
  if (in_.next() != '"' && in_.next() != '\'') return in_.word();
  Value value;
  value.kind = Value::Kind::string;
  value.span.begin = in_.here();
  in_.string(value.text);
  value.span.end = in_.here();
  return value;
}

Value Reader::container() {
  Value value;
  value.span.begin = in_.here();
  const bool object = in_.next() == '{';
  if (open_.size() == depth_limit) {
    too_deep();
  } else {
    value.kind = object ? Value::Kind::object : Value::Kind::array;
    open_.push_back({in_.here(), object ? '}' : ']'});
    in_.take();
    for (in_.skip(); !closes(value); in_.skip()) {
      if (in_.next() == ',') {
        in_.mistake(in_.take(), "extra-comma", "nothing stands before this \",\"", "remove it");
      } else if (in_.next() == ':' && !object) {
        in_.mistake(in_.take(), "unexpected-colon", "\":\" in an array", "write { … } around members");
      } else if (object) {
        member(value);
      } else {
        element(value);
      }
    }
    open_.pop_back();
    value.comments.inside = in_.take_comments();
  }
  value.span.end = in_.here();
  return value;
}

bool Reader::closes(const Value& container) {
  while (!in_.ended()) {
    if (in_.next() == open_.back().closer) return in_.take(), true;
    if (in_.next() == '{' && container.is(Value::Kind::object) && !container.members.empty() && open_.size() > 1 &&
        open_[open_.size() - 2].closer == ']') {
      in_.mistake(in_.one(), "missing-bracket", "\"}\" is missing before this \"{\"",
                  "close the object of " + at(open_.back().place));
      return after_gap_ = true;
    }
    if (!is_closer(in_.next())) return false;
    if (wrong_closer()) return true;
    in_.skip();
    if (in_.next() == ',') in_.take();
    in_.skip();
  }
  std::string opened, closers;
  for (const Open& open : open_) {
    opened +=
        weir::format("{}\"{}\" of {}", opened.empty() ? "" : ", ", open.closer == '}' ? '{' : '[', at(open.place));
    closers.insert(0, 1, open.closer);
  }
  const bool reported = !document_.findings.empty() && document_.findings.back().rule == "unclosed";
  if (!reported)
    in_.mistake({in_.here(), in_.here()}, "unclosed", "the file ends before " + opened + " is closed",
                "write " + closers);
  return true;
}

/// At a closing bracket of the other kind: too many, mistyped, or is one missing before it? The rest of the file tells.
/// False if it was too many, and nothing ends.
bool Reader::wrong_closer() {
  const char closer = in_.next();
  const TextPosition opened = open_.back().place;
  const char expected = open_.back().closer;
  const auto depth = static_cast<std::ptrdiff_t>(open_.size());
  const std::ptrdiff_t ahead = in_.closers_ahead();
  const char opener = expected == '}' ? '{' : '[';
  if (ahead == depth) {
    in_.mistake(in_.take(), "unopened-bracket", weir::format("\"{}\" closes nothing", closer), "remove it");
    return false;
  }
  if (ahead == depth - 1 || !std::ranges::contains(open_, closer, &Open::closer)) {
    in_.mistake(in_.take(), "wrong-bracket", weir::format("\"{}\" closes the \"{}\" of {}", closer, opener, at(opened)),
                weir::format("write \"{}\"", expected));
  } else {
    in_.mistake(in_.one(), "missing-bracket", weir::format("\"{}\" is missing before this \"{}\"", expected, closer),
                weir::format("close the \"{}\" of {}", opener, at(opened)));
  }
  return true;
}

/// Passes over what is too deep without recursion.
void Reader::too_deep() {
  in_.mistake(in_.one(), "too-deep", weir::format("more than {} levels of arrays and objects", depth_limit),
              "flatten it");
  std::size_t depth = 0;
  do {
    if (in_.next() == '"') {
      std::string ignored;
      in_.string(ignored);
    } else {
      if (in_.next() == '[' || in_.next() == '{') ++depth;
      if (is_closer(in_.next())) --depth;
      in_.take();
    }
    in_.skip();
  } while (depth > 0 && !in_.ended());
}

void Reader::element(Value& array) {
  std::vector<Comment> before = in_.take_comments();
  array.items.push_back(value());
  array.items.back().comments.before = std::move(before);
  separate(array, array.items.back());
}

void Reader::member(Value& object) {
  std::vector<Comment> before = in_.take_comments();
  Member member;
  member.key_span.begin = in_.here();
  const bool named = key(member.key);
  member.key_span.end = in_.here();
  bool kept = named;
  if (named) {
    const auto [first, fresh] = open_.back().keys.try_emplace(member.key, member.key_span.begin);
    if (!fresh) {
      in_.mistake(member.key_span, "duplicate-key", quoted(member.key) + " is given twice",
                  "the first is at " + at(first->second));
    }
    kept = fresh;
  }
  in_.skip();
  if (colon(member, named)) {
    in_.skip();
    append(before, in_.take_comments());
    if (!in_.between()) {
      member.value = value();
    } else {
      in_.mistake(member.key_span, "missing-value", quoted(member.key) + " has no value", "write one behind the \":\"");
    }
  }
  if (member.value.span.begin.line == 0) member.value.span = {member.key_span.end, member.key_span.end};
  member.value.comments.before = std::move(before);
  object.members.push_back(std::move(member));
  separate(object, object.members.back().value);
  if (!kept) object.members.pop_back();
}

/// False if there is none.
bool Reader::key(std::string& key) {
  if (in_.next() == '"' || in_.next() == '\'') return in_.string(key), true;
  if (std::string_view{":{["}.contains(in_.next())) {
    in_.mistake(in_.one(), "missing-key", "a member needs a key", "write \"name\": …");
    return false;
  }
  const TextPosition begin = in_.here();
  do {
    in_.take();
  } while (!in_.between() && !std::string_view{" \t\r\n:=\"[{#"}.contains(in_.next()) && !in_.at_comment());
  key = valid_utf8(in_.since(begin));
  in_.mistake({begin, in_.here()}, "unquoted", "key without quotes", weir::format("write {}", quoted(key)));
  return true;
}

/// Whether a value may follow.
bool Reader::colon(const Member& member, bool named) {
  const TextPosition end = member.key_span.end;
  if (in_.next() == ':') {
    in_.take();
  } else if (in_.next() == '=') {
    in_.mistake(in_.take(), "missing-colon", "\"=\" behind a key", "write \":\"");
  } else if (named && in_.between()) {
    in_.mistake(member.key_span, "missing-value", quoted(member.key) + " has no value",
                "write \":\" and a value behind it");
    return false;
  } else if (named) {
    in_.mistake({end, end}, "missing-colon", "\":\" is missing behind " + quoted(member.key), "write \":\"");
  }
  return true;
}

/// The comma behind an element, and who gets the comments around it.
void Reader::separate(const Value& container, Value& last) {
  const TextPosition end = last.span.end;
  const bool object = container.is(Value::Kind::object);
  for (in_.skip(); object && in_.next() == ':'; in_.skip()) {
    in_.mistake(in_.take(), "unexpected-colon", "\":\" behind a value", "write \",\" and a key before it");
    in_.skip();
    if (!in_.between()) value();
  }
  std::vector<Comment>& pending = in_.comments();
  const std::size_t before_comma = pending.size();
  const bool gap = std::exchange(after_gap_, false);
  if (in_.next() == ',') {
    const Span comma = in_.take();
    in_.skip();
    if (is_closer(in_.next()))
      in_.mistake(comma, "trailing-comma", weir::format("\",\" before \"{}\"", in_.next()), "remove it");
  } else if (!in_.between() && !gap && in_.next() != ':') {
    in_.mistake({end, end}, "missing-comma",
                weir::format("\",\" is missing between {}", object ? "members" : "elements"), "write \",\"");
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
  switch (kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return "boolean";
    case Value::Kind::integer:
      return "integer";
    case Value::Kind::number:
      return "number";
    case Value::Kind::string:
      return "string";
    case Value::Kind::array:
      return "array";
    case Value::Kind::object:
      return "object";
    case Value::Kind::invalid:
      return "invalid value";
  }
  std::unreachable();
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
