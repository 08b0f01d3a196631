#include "core/config/format_text.hpp"

#include <algorithm>
#include <optional>

namespace weir {
namespace {

constexpr std::size_t width = 120;

bool is_container(const Value& value) { return value.is(Value::Kind::object) || value.is(Value::Kind::array); }

/// A member or an element of a list, seen alike.
struct Element {
  std::string_view key;  ///< as written, with its quotes; empty in a list
  Span begin;
  const Value* value;
};

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

class Printer {
 public:
  explicit Printer(const Document& document) : document_{document} {}

  std::string print() {
    const Value& root = document_.root;
    comments(root.comments.before, 0);
    value(root, 0, 0);
    after(root);
    out_ += '\n';
    return std::move(out_);
  }

 private:
  std::string_view source(const Span& span) const {
    return std::string_view{document_.text}.substr(span.begin.offset, span.end.offset - span.begin.offset);
  }

  std::vector<Element> elements(const Value& of) const {
    std::vector<Element> out;
    for (const Member& member : of.members) out.push_back({source(member.key_span), member.key_span, &member.value});
    for (const Value& item : of.items) out.push_back({{}, item.span, &item});
    return out;
  }

  /// No comment stands between its elements.
  static bool plain(const Value& of, const std::vector<Element>& all) {
    return of.comments.inside.empty() && std::ranges::all_of(all, [](const Element& element) {
             const Comments& comments = element.value->comments;
             return comments.before.empty() && comments.after.empty();
           });
  }

  /// On one line; nothing if comments or tables stand inside.
  std::optional<std::string> flat(const Value& of) const {
    if (!is_container(of)) return std::string{source(of.span)};
    const auto all = elements(of);
    if (!plain(of, all) || is_table(of, all)) return {};
    const bool object = of.is(Value::Kind::object);
    std::string out;
    for (const Element& element : all) {
      const auto inner = flat(*element.value);
      if (!inner) return {};
      out.append(out.empty() ? "" : ", ").append(element.key).append(object ? ": " : "").append(*inner);
    }
    if (out.empty()) return object ? "{}" : "[]";
    return object ? "{ " + out + " }" : "[" + out + "]";
  }

  /// At the end of the text so far; `behind` columns will follow on the line.
  void value(const Value& of, std::size_t indent, std::size_t behind) {
    const auto all = elements(of);
    const bool objects = !all.empty() && std::ranges::all_of(all, [](const Element& element) {
      return element.value->is(Value::Kind::object);
    });
    const bool root = &of == &document_.root;
    const auto line = flat(of);
    if (is_table(of, all) || (!root && are_texts(of) && line && !fits(*line, behind))) return table(all);
    const bool listed = objects && of.is(Value::Kind::array);
    if (line && (!is_container(of) || all.empty() || (!root && !listed)) && fits(*line, behind)) {
      out_ += *line;
    } else if (line && !is_container(of)) {
      out_ += *line;
    } else if (plain(of, all) && !root && !objects && !nested(of)) {
      fill(of, all, indent, behind);
    } else {
      one_a_line(of, all, indent);
    }
  }

  /// A list with lists or objects in it.
  static bool nested(const Value& of) {
    return of.is(Value::Kind::array) && std::ranges::any_of(of.items, is_container);
  }

  static bool are_texts(const Value& of) {
    return of.is(Value::Kind::array) && of.items.size() > 1 &&
           std::ranges::all_of(of.items, [](const Value& item) { return item.is(Value::Kind::string); });
  }

  /// The tables of cases: texts that were written one below the other.
  bool is_table(const Value& of, const std::vector<Element>& all) const {
    return &of != &document_.root && are_texts(of) && plain(of, all) &&
           all.front().begin.begin.line != all.back().begin.begin.line;
  }

  void table(const std::vector<Element>& all) {
    out_ += '[';
    const std::size_t column = here();
    for (const Element& element : all) {
      if (&element != &all.front()) out_.append(",\n").append(column, ' ');
      out_ += source(element.value->span);
    }
    out_ += ']';
  }

  void one_a_line(const Value& of, const std::vector<Element>& all, std::size_t indent) {
    const bool object = of.is(Value::Kind::object);
    out_ += object ? '{' : '[';
    std::uint32_t line = of.span.begin.line;
    for (const Element& element : all) {
      const auto& before = element.value->comments.before;
      const std::uint32_t begins = (before.empty() ? element.begin : before.front().span).begin.line;
      if (&element != &all.front() && begins > line + 1) out_ += '\n';
      out_ += '\n';
      comments(before, indent + 2);
      out_.append(indent + 2, ' ').append(element.key).append(object ? ": " : "");
      value(*element.value, indent + 2, 1);
      if (&element != &all.back()) out_ += ',';
      after(*element.value);
      const auto& behind = element.value->comments.after;
      line = (behind.empty() ? element.value->span : behind.back().span).end.line;
    }
    out_ += '\n';
    comments(of.comments.inside, indent + 2);
    out_.append(indent, ' ') += object ? '}' : ']';
  }

  /// As many as fit on a line. None has a comment.
  void fill(const Value& of, const std::vector<Element>& all, std::size_t indent, std::size_t behind) {
    const bool object = of.is(Value::Kind::object);
    out_ += object ? "{ " : "[";
    bool alone = false;
    for (const Element& element : all) {
      const bool first = &element == &all.front(), last = &element == &all.back();
      const std::size_t more = last ? behind + (object ? 2 : 1) : 1;
      const auto piece = shape(element, indent + 2 + more);
      const bool wraps = !first && (alone || !piece || !fits(" " + *piece, more));
      if (wraps) out_.append("\n").append(indent + 2, ' ');
      if (!first && !wraps) out_ += ' ';
      alone = is_container(*element.value) && (!piece || !fits(*piece, more));
      out_.append(element.key).append(object ? ": " : "");
      value(*element.value, indent + 2, more);
      if (!last) out_ += ',';
    }
    out_ += object ? " }" : "]";
  }

  /// What must fit on a line for an element to begin there; nothing if it has lines of its own.
  /// `around`: columns that a line of its own would lose.
  std::optional<std::string> shape(const Element& element, std::size_t around) const {
    const std::string key = element.key.empty() ? "" : std::string{element.key} + ": ";
    const auto all = elements(*element.value);
    const auto line = flat(*element.value).transform([&](const std::string& text) { return key + text; });
    const bool long_texts = are_texts(*element.value) && line && columns_of(*line) + around > width;
    if (!is_table(*element.value, all) && !long_texts) return line;
    std::string_view widest;
    for (const Element& each : all) {
      const std::string_view text = source(each.value->span);
      if (columns_of(text) > columns_of(widest)) widest = text;
    }
    return key + "[" + std::string{widest};
  }

  void comments(const std::vector<Comment>& all, std::size_t indent) {
    for (const Comment& comment : all) out_.append(indent, ' ').append(comment.text).append("\n");
  }

  void after(const Value& of) {
    for (const Comment& comment : of.comments.after) {
      // Behind the root there may be whole lines.
      const bool own_line = comment.span.begin.line > of.span.end.line;
      out_.append(own_line ? "\n" : "  ").append(comment.text);
    }
  }

  bool fits(std::string_view text, std::size_t behind) const { return here() + columns_of(text) + behind <= width; }

  std::size_t here() const { return columns_of(std::string_view{out_}.substr(out_.rfind('\n') + 1)); }

  const Document& document_;
  std::string out_;
};

}  // namespace

std::string format_text(const Document& document) { return Printer{document}.print(); }

}  // namespace weir
