#include <algorithm>
#include <charconv>

#include <weir/ascii.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "expression/tree.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t deepest = 200, longest = 1u << 16;
constexpr int any_value = 1, not_operand = 3, sign_operand = 7;  ///< the least precedence inside

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
bool same(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

/// Precedence climbing. After the first mistake every token is the end, so that all loops run out.
class Parser : Pass {
 public:
  explicit Parser(std::string_view text) : text_{text} {}

  Result<Node> run() {
    if (text_.size() > longest) blame(0, "an expression may have 65,536 bytes");
    next();
    Node root = value(any_value);
    if (token_.kind != Kind::end)
      blame(token_.offset, "expected an operator or the end, found {}; {}", shown(token_),
            name_hint(token_.raw, false));
    if (error_) return std::unexpected(*error_);
    return root;
  }

 private:
  enum class Kind : std::uint8_t { end, number, text, word, name, symbol };
  struct Token {
    Kind kind = Kind::end;
    std::size_t offset = 0;
    std::string_view raw = {};
    std::string content = {};  ///< of a text or a quoted name, without its quotes
  };

  static std::string shown(const Token& token) { return token.raw.empty() ? "the end" : quoted(token.raw); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    const bool found = same(token_.raw, text);
    if (found) next();
    return found;
  }
  void expect(std::string_view text, std::string_view why) {
    if (!take(text)) blame(token_.offset, "expected \"{}\" {}, found {}", text, why, shown(token_));
  }

  void next() {
    at_ = error_ ? text_.size() : std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    token_ = {.offset = at_};
    if (at_ == text_.size()) return;
    if (peek() == '\'' || peek() == '"') {
      token_.kind = peek() == '"' ? Kind::name : Kind::text;
      read_quoted(token_.kind == Kind::name ? "name" : "text");
    } else if (is_letter(peek()) || is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) {
      token_.kind = is_letter(peek()) ? Kind::word : Kind::number;
      const auto exponent = [&] {
        const bool sign = peek() == '-' || peek() == '+';
        return token_.kind == Kind::number && sign && lower(text_[at_ - 1]) == 'e' && is_digit(peek(1));
      };
      while (is_letter(peek()) || is_digit(peek()) || peek() == '.' || exponent()) ++at_;
    } else {
      token_.kind = Kind::symbol;
      const std::string_view two = text_.substr(at_, 2);
      at_ += two.size() == 2 && find_form(two) != nullptr ? 2 : 1;
    }
    token_.raw = text_.substr(token_.offset, at_ - token_.offset);
  }

  /// From an opening quote to its closing one; a doubled quote stands for itself.
  void read_quoted(std::string_view what) {
    const char quote = text_[at_++];
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote && (++at_, peek() != quote)) return;
      token_.content += text_[at_];
    }
    blame(token_.offset, "{} without its closing {}", what, quote);
    token_.kind = Kind::end;
  }

  static std::vector<Node> list(auto... nodes) {
    std::vector<Node> out;
    (out.push_back(std::move(nodes)), ...);
    return out;
  }
  Node node(std::string_view name, std::size_t offset, std::vector<Node> args) {
    Node out{.form = find_form(name), .offset = offset, .args = std::move(args)};
    for (const Node& arg : out.args) out.depth = std::max(out.depth, arg.depth + 1);
    if (out.depth > deepest) blame(offset, "nested more than 200 deep");
    return out;
  }

  Node value(int least) {
    if (++nested_ > deepest) blame(token_.offset, "nested more than 200 deep");
    Node left = operand();
    const Form* form = find_form(token_.raw);
    for (; form != nullptr && form->precedence >= least; form = find_form(token_.raw))
      left = operation(std::move(left), form);
    --nested_;
    return left;
  }

  /// An operator and what follows it: one more operand, `null`, values in brackets, or two bounds.
  Node operation(Node left, const Form* form) {
    const std::size_t offset = token_.offset;
    next();
    bool turned = form->name == "not";
    if (turned) {
      const bool known = same(token_.raw, "in") || same(token_.raw, "like");
      form = find_form(known ? token_.raw : "between");
      expect(form->name, "after \"not\", or \"in\" or \"like\"");
    }
    std::vector<Node> args = list(std::move(left));
    if (form->name == "is") {
      turned = take("not");
      expect("null", "after \"is\"");
    } else if (form->name == "in") {
      expect("(", "after \"in\"");
      if (!take(")")) arguments(args);
      if (args.size() == 1) blame(offset, "\"in\" needs at least one value");
    } else {
      const bool goes_on = args[0].form == form && form->most == many;
      if (goes_on) args = std::vector<Node>{std::move(args[0].args)};
      args.push_back(value(form->precedence + 1));
      if (form->name == "between") {
        expect("and", "between the two bounds");
        args.push_back(value(form->precedence + 1));
      }
    }
    Node out = node(form->name, offset, std::move(args));
    if (turned) out = node("not", offset, list(std::move(out)));
    return out;
  }

  /// Values up to the closing bracket; the opening one is read.
  void arguments(std::vector<Node>& out) {
    do out.push_back(value(any_value));
    while (take(","));
    expect(")", "or \",\"");
  }

  Node operand() {
    const Token token = token_;
    next();
    if (token.kind == Kind::number) return number(token);
    if (token.kind == Kind::word) return word(token);
    if (token.kind == Kind::name) return {.offset = token.offset, .is_name = true, .text = token.content};
    if (token.kind == Kind::text) {
      const auto id = std::make_shared<KnownId>();
      return {.offset = token.offset, .type = Type::string, .text = token.content, .id = id};
    }
    if (token.raw == "-") return negative(token.offset, value(sign_operand));
    if (token.raw != "(") {
      blame(token.offset, "expected a value, found {}", shown(token));
      return {};
    }
    Node inner = value(any_value);
    expect(")", weir::format("for the \"(\" at byte {}", token.offset));
    return inner;
  }

  Node negative(std::size_t offset, Node of) {
    if (!of.is_literal() || of.null || (of.type != Type::int64 && of.type != Type::float64))
      return node("-", offset, list(Node{.offset = offset, .type = Type::int64}, std::move(of)));
    of.number = -of.number;
    of.integer = -of.integer;
    return of;
  }

  Node word(const Token& token) {
    if (same(token.raw, "not")) return node("not", token.offset, list(value(not_operand)));
    if (same(token.raw, "null")) return {.offset = token.offset, .null = true};
    if (same(token.raw, "case")) return choice(token.offset);
    const bool yes = same(token.raw, "true");
    if (yes || same(token.raw, "false")) return {.offset = token.offset, .type = Type::boolean, .integer = yes};
    const Form* form = find_form(token.raw);
    if (form != nullptr && form->precedence > 0) blame(token.offset, "expected a value, found \"{}\"", token.raw);
    if (!take("(")) {
      return {.offset = token.offset, .is_name = true, .text = std::string{token.raw}};
    }
    if (form == nullptr) {
      blame(token.offset, "unknown function {}; {}", quoted(token.raw), name_hint(token.raw, true));
      return {};
    }
    std::vector<Node> args;
    if (form->name == "extract") take_part(args);
    if (!args.empty() || !take(")")) arguments(args);
    if (args.size() < form->least || args.size() > form->most) {
      blame(token.offset, "{}({}) takes {}, not {}", form->name, form->arguments, number_of_values(*form), args.size());
    }
    return node(form->name, token.offset, std::move(args));
  }

  static std::string number_of_values(const Form& form) {
    if (form.most == 0) return "no value";
    const std::string least = std::to_string(form.least);
    if (form.most == many) return weir::format("at least {} value{}", least, form.least == 1 ? "" : "s");
    if (form.most > form.least)
      return weir::format("{} {} {} values", least, form.most > form.least + 1 ? "to" : "or", form.most);
    return weir::format("{} value{}", least, form.least == 1 ? "" : "s");
  }

  /// `hour from` of `extract(hour from time)`.
  void take_part(std::vector<Node>& args) {
    if (token_.kind == Kind::text) return;  // extract('hour', time)
    const Token part = token_;
    next();
    expect("from", weir::format("after {}", shown(part)));
    args.push_back({.offset = part.offset,
                    .type = Type::string,
                    .text = std::string{part.raw},
                    .id = std::make_shared<KnownId>()});
  }

  /// What follows `case`. The node has the values first, `else` last of them, so that what must be alike stands
  /// together; then the conditions, or the value that `case` begins with and what it is compared with.
  Node choice(std::size_t offset) {
    std::vector<Node> values, conditions;
    const bool compares = !same(token_.raw, "when");
    if (compares) conditions.push_back(value(any_value));
    do {
      expect("when", values.empty() ? "after \"case\"" : "or \"end\"");
      conditions.push_back(value(any_value));
      expect("then", "after a condition");
      values.push_back(value(any_value));
    } while (!error_ && !same(token_.raw, "else") && !same(token_.raw, "end"));
    values.push_back(take("else") ? value(any_value) : Node{.offset = token_.offset, .null = true});
    expect("end", "of \"case\"");
    std::ranges::move(conditions, std::back_inserter(values));
    return node("case", offset, std::move(values));
  }

  Node number(const Token& token) {
    Node out{.offset = token.offset, .type = Type::int64};
    const char *const begin = token.raw.data(), *const end = begin + token.raw.size();
    const auto whole = std::from_chars(begin, end, out.integer);
    if (whole.ptr == end && whole.ec == std::errc{}) return out;
    const auto real = std::from_chars(begin, end, out.number);
    if (real.ptr == end) {
      out.type = Type::float64;
      if (real.ec != std::errc{}) blame(token.offset, "{} is out of range", quoted(token.raw));
    } else if (const auto length = parse_duration(token.raw)) {
      out.integer = *length;  // nanoseconds
    } else {
      blame(token.offset, "{} is neither a number nor a length of time like 5s or 1m30s", quoted(token.raw));
    }
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t nested_ = 0;
  Token token_;
};

}  // namespace

Result<Node> parse(std::string_view text) { return Parser{text}.run(); }

}  // namespace weir::expression
