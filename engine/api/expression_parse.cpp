#include <weir/format.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <weir/ascii.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t deepest = 200, longest = 1u << 16;
constexpr int any_value = 1, not_operand = 3, sign_operand = 7;  ///< the least precedence inside

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
bool same(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

const Form* find_form(std::string_view name) {
  const auto found = std::ranges::find_if(forms(), [&](const Form& form) { return same(form.name, name); });
  return found == forms().end() ? nullptr : &*found;
}

/// Keeps the first mistake.
class Pass {
 protected:
  template <typename... Args>
  void blame(std::size_t offset, FormatText<Args...> message, Args&&... args) {
    if (!error_) error_ = Error{Error::Kind::invalid, weir::format(message, std::forward<Args>(args)...), {}, offset};
  }

  std::optional<Error> error_;
};

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
      form = find_form(same(token_.raw, "in") ? "in" : "between");
      expect(form->name, "after \"not\", or \"in\"");
    }
    std::vector<Node> args = list(std::move(left));
    if (form->name == "is") {
      turned = take("not");
      expect("null", "after \"is\"");
    } else if (form->name == "in") {
      expect("(", "after \"in\"");
      arguments(args);
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
    return turned ? node("not", offset, list(std::move(out))) : out;
  }

  /// Values up to the closing bracket; the opening one is read.
  void arguments(std::vector<Node>& out) {
    if (take(")")) return;
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
    arguments(args);
    if (args.size() < form->least || args.size() > form->most) {
      const std::string wanted = form->most == many ? "at least 1" : std::to_string(form->least);
      const auto* plural = wanted.ends_with('1') ? "" : "s";
      blame(token.offset, "{}() takes {} value{}, not {}", form->name, wanted, plural, args.size());
    }
    return node(form->name, token.offset, std::move(args));
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

constexpr std::array<std::string_view, 4> one_of{"a number", "a text", "true or false", "an instant"};
constexpr std::array<std::string_view, 4> several_of{"numbers", "texts", "true or false", "instants"};
constexpr std::array plain_types{Type::float64, Type::string, Type::boolean, Type::timestamp};

Takes kind_of(Type type) {
  if (type == Type::string || type == Type::dictionary) return Takes::text;
  if (type == Type::timestamp) return Takes::instant;
  return type == Type::boolean ? Takes::truth : Takes::number;
}
bool fits(const Node& n, Takes kind) { return n.null || kind_of(n.type) == kind; }
bool is_instant(const Node& n) { return kind_of(n.type) == Takes::instant; }

std::string described(const Node& n) {
  const std::string_view what = one_of[static_cast<std::size_t>(kind_of(n.type))];
  if (n.is_name) return weir::format("{} is {}", quoted(n.text), what);
  return n.is_literal() ? weir::format("this is {}", what)
                        : weir::format("what \"{}\" gives is {}", n.form->name, what);
}

/// The argument that the others must be like: one that can't adapt, if there is one.
const Node& model_of(std::span<const Node> args) {
  const Node* model = &args.front();
  for (const Node& arg : args) {
    if (!arg.is_literal()) return arg;
    if (model->null) model = &arg;
  }
  return *model;
}

/// Looks up names, decides every node's type, and turns literals into the type of what they meet.
class Binder : Pass {
 public:
  explicit Binder(const Schema& schema) : schema_{schema} {}

  Result<void> run(Node& root) {
    visit(root);
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  void visit(Node& n) {
    if (n.is_name) look_up(n);
    if (n.id != nullptr) n.id = std::make_shared<KnownId>();  // every lane binds its own, and has its own dictionaries
    for (Node& arg : n.args) visit(arg);
    if (n.form != nullptr && !error_) n.type = n.form->result.value_or(infer_type(n));
  }

  void blame_need(const Node& arg, std::string_view wanted, const Node& by) {
    blame(arg.offset, "\"{}\" needs {}, but {}", by.form->name, wanted, described(arg));
  }

  void look_up(Node& n) {
    const auto number = schema_.find(n.text);
    n.type = number ? schema_.columns[*number].type : Type::timestamp;
    n.column = number.value_or(arrival_column);
    if (number || n.text == "arrival") return;
    std::vector<std::string> names;
    for (const ColumnType& column : schema_.columns) names.push_back(column.name);
    names.emplace_back("arrival");
    std::string hint = did_you_mean(n.text, names);
    if (hint.empty() && schema_.shape == Shape::samples) {
      hint = weir::format("a sample is one value of one field: field = '{}' and x > 0", n.text);
    } else if (hint.empty()) {
      for (const std::string& name : names) hint += (hint.empty() ? "there are " : ", ") + name;
      hint += weir::format("; a text is written '{}'", n.text);
    }
    blame(n.offset, "unknown name {}; {}", quoted(n.text), hint);
  }

  Type infer_type(Node& n) {
    std::span<Node> args{n.args};
    const std::string_view name = n.form->name;
    if ((name == "+" || name == "-") && is_instant(args[0])) return infer_instant(n);
    if (name == "if") {
      if (!fits(args[0], Takes::truth)) blame_need(args[0], "a condition first", n);
      if (args[0].null) args[0].type = Type::boolean;
      args = args.subspan(1);
    }
    return infer_type(args, n);
  }

  /// `time + 5s`, `time - time`: an instant comes first.
  Type infer_instant(Node& n) {
    Node& length = n.args.back();
    if (is_instant(length) && n.form->name == "-") return Type::int64;
    if (length.null) length.type = Type::int64;
    if (length.type != Type::int64) blame_need(length, "a length of time like 5s after an instant", n);
    return Type::timestamp;
  }

  /// Makes the arguments one kind; answers their common type.
  Type infer_type(std::span<Node> args, const Node& by) {
    const Node& model = model_of(args);
    const bool alike = by.form->takes == Takes::alike;
    const Takes kind = alike ? kind_of(model.type) : by.form->takes;
    const auto number = static_cast<std::size_t>(kind);
    Type common = model.null || kind == Takes::text ? plain_types[number] : model.type;
    for (Node& arg : args) {
      if (kind == Takes::instant && arg.id != nullptr) read_instant(arg);
      const auto [a, b] = std::minmax<const Node*>({&arg, &model});
      if (!fits(arg, kind) && alike)
        blame(b->offset, "\"{}\" can't take both: {}, and {}", by.form->name, described(*a), described(*b));
      else if (!fits(arg, kind))
        blame_need(arg, (args.size() == 1 ? one_of : several_of)[number], by);
      if (!arg.null && arg.type == Type::float64) common = Type::float64;
    }
    for (Node& arg : args) {
      if (arg.null) arg.type = common;
      if (!arg.is_literal() || arg.type != Type::int64 || model.type != Type::float64) continue;
      arg.type = Type::float64;
      arg.number = static_cast<double>(arg.integer);
    }
    return common;
  }

  /// What a text that meets an instant becomes.
  void read_instant(Node& n) {
    const auto instant = parse_rfc3339(n.text);
    if (!instant) blame(n.offset, "{} is no instant; write '2026-01-01T00:00:00Z'", quoted(n.text));
    n.type = Type::timestamp;
    n.integer = instant.value_or(0);
    n.id.reset();
  }

  const Schema& schema_;
};

}  // namespace
}  // namespace weir::expression

namespace weir {

Expression::Expression(std::shared_ptr<const Program> program) : program_{std::move(program)} {}
Expression::Expression(const Expression&) = default;
Expression& Expression::operator=(const Expression&) = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

Result<Expression> Expression::compile(std::string_view text) {
  return expression::Parser{text}.run().transform([&](expression::Node&& root) {
    return Expression{std::make_shared<const Program>(std::string{text}, std::move(root))};
  });
}

Result<Expression> Expression::bind(const Schema& schema) const {
  Program bound = *program_;
  return expression::Binder{schema}.run(bound.root).transform([&] {
    return Expression{std::make_shared<const Program>(std::move(bound))};
  });
}

const std::string& Expression::text() const { return program_->text; }
Type Expression::type() const { return program_->root.type; }

}  // namespace weir
