#include <weir/format.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t deepest = 200;
constexpr std::size_t longest = 1u << 16;
constexpr int any_value = 0, not_operand = 3, sign_operand = 7;  ///< the least precedence inside

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool same(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

const Form* find_form(std::string_view name) {
  const auto found = std::ranges::find_if(forms(), [&](const Form& form) { return same(form.name, name); });
  return found == forms().end() ? nullptr : &*found;
}

/// Precedence climbing. After the first mistake every token is the end, so that all loops run out.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_{text} {}

  Result<Node> run() {
    if (text_.size() > longest) blame(0, "an expression may have 65,536 bytes");
    next();
    Node root = value(any_value);
    if (token_.kind != Kind::end)
      blame(token_.offset, weir::format("unexpected {} after a complete expression", shown()));
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

  void blame(std::size_t offset, std::string message) {
    if (!error_) error_ = Error{Error::Kind::invalid, std::move(message), {}, offset};
    token_ = {Kind::end, at_ = text_.size()};
  }
  std::string shown() const { return token_.kind == Kind::end ? "end" : quoted(token_.raw); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool is_plain() const { return token_.kind == Kind::word || token_.kind == Kind::symbol; }
  bool is(std::string_view text) const { return is_plain() && same(token_.raw, text); }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    next();
    return true;
  }
  void expect(std::string_view text, std::string_view why) {
    if (!take(text)) blame(token_.offset, weir::format("expected \"{}\" {}, found {}", text, why, shown()));
  }

  void next() {
    if (error_) return;
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    Token token{Kind::symbol, at_};
    if (at_ == text_.size()) {
      token.kind = Kind::end;
    } else if (peek() == '\'' || peek() == '"') {
      token.kind = peek() == '"' ? Kind::name : Kind::text;
      if (!read_quoted(token.content))
        return blame(token.offset,
                     token.kind == Kind::text ? "text without its closing '" : "name without its closing \"");
    } else if (is_letter(peek()) || is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) {
      token.kind = is_letter(peek()) ? Kind::word : Kind::number;
      const auto exponent = [&] {
        const bool sign = peek() == '-' || peek() == '+';
        return token.kind == Kind::number && sign && lower(text_[at_ - 1]) == 'e' && is_digit(peek(1));
      };
      while (is_letter(peek()) || is_digit(peek()) || peek() == '.' || exponent()) ++at_;
    } else {
      at_ += peek(1) != '\0' && find_form(text_.substr(at_, 2)) != nullptr ? 2 : 1;
    }
    token.raw = text_.substr(token.offset, at_ - token.offset);
    token_ = std::move(token);
  }

  /// From an opening quote to its closing one; a doubled quote stands for itself.
  bool read_quoted(std::string& content) {
    const char quote = text_[at_++];
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote && (++at_, peek() != quote)) return true;
      content += text_[at_];
    }
    return false;
  }

  Node node(const Form* form, std::size_t offset, std::vector<Node> args) {
    Node out{.form = form, .offset = offset, .args = std::move(args)};
    for (const Node& arg : out.args) out.depth = std::max(out.depth, arg.depth + 1);
    if (out.depth > deepest) blame(offset, "nested more than 200 deep");
    return out;
  }
  Node inverted(std::size_t offset, Node of) {
    std::vector<Node> args;
    args.push_back(std::move(of));
    return node(find_form("not"), offset, std::move(args));
  }

  Node value(int least) {
    if (++nested_ > deepest) blame(token_.offset, "nested more than 200 deep");
    Node left = operand();
    while (is_plain()) {
      const Form* form = find_form(token_.raw);
      if (form == nullptr || form->precedence <= 0 || form->precedence < least) break;
      left = operation(std::move(left), form);
    }
    --nested_;
    return left;
  }

  /// An operator and what follows it: one more operand, `null`, values in brackets, or two bounds.
  Node operation(Node left, const Form* form) {
    const std::size_t offset = token_.offset;
    next();
    bool turned = form->name == "not";
    if (turned) {
      form = find_form(is("in") ? "in" : "between");
      expect(form->name, "after \"not\", or \"in\"");
    }
    std::vector<Node> args;
    args.push_back(std::move(left));
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
    Node out = node(form, offset, std::move(args));
    return turned ? inverted(offset, std::move(out)) : out;
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
    switch (token.kind) {
      case Kind::number:
        return number(token);
      case Kind::name:
        return {.offset = token.offset, .is_name = true, .text = token.content};
      case Kind::text:
        return {
            .offset = token.offset, .type = Type::string, .text = token.content, .ids = std::make_shared<KnownIds>()};
      case Kind::word:
        return word(token);
      default:
        break;
    }
    if (token.raw == "(") {
      Node inner = value(any_value);
      expect(")", weir::format("for the \"(\" at byte {}", token.offset));
      return inner;
    }
    if (token.raw == "-") return negative(token.offset, value(sign_operand));
    blame(token.offset, weir::format("expected a value, found {}", token.raw.empty() ? "the end" : quoted(token.raw)));
    return {};
  }

  Node negative(std::size_t offset, Node of) {
    if (of.is_literal() && !of.null && (of.type == Type::int64 || of.type == Type::float64)) {
      of.number = -of.number;
      of.integer = -of.integer;
      return of;
    }
    std::vector<Node> args{{.offset = offset, .type = Type::int64}};
    args.push_back(std::move(of));
    return node(find_form("-"), offset, std::move(args));
  }

  Node word(const Token& token) {
    if (same(token.raw, "not")) return inverted(token.offset, value(not_operand));
    if (same(token.raw, "null")) return {.offset = token.offset, .null = true};
    const bool truth = same(token.raw, "true");
    if (truth || same(token.raw, "false")) return {.offset = token.offset, .type = Type::boolean, .integer = truth};
    const Form* form = find_form(token.raw);
    if (form != nullptr && form->precedence > 0)
      blame(token.offset, weir::format("expected a value, found \"{}\"", token.raw));
    if (!take("(")) return {.offset = token.offset, .is_name = true, .text = std::string{token.raw}};
    if (form == nullptr) {
      std::vector<std::string> names;
      for (const Form& each : forms()) {
        if (each.precedence == 0) names.emplace_back(each.name);
      }
      const std::string hint = did_you_mean(token.raw, names);
      blame(token.offset, weir::format("unknown function {}{}{}", quoted(token.raw), hint.empty() ? "" : "; ", hint));
      return {};
    }
    std::vector<Node> args;
    arguments(args);
    if (args.size() < form->least || args.size() > form->most) {
      const std::string wanted = form->most == many ? "at least 1" : std::to_string(form->least);
      blame(token.offset, weir::format("{}() takes {} value{}, not {}", form->name, wanted,
                                       wanted.ends_with('1') ? "" : "s", args.size()));
    }
    return node(form, token.offset, std::move(args));
  }

  Node number(const Token& token) {
    Node out{.offset = token.offset, .type = Type::int64};
    const char* const end = token.raw.data() + token.raw.size();
    const auto whole = std::from_chars(token.raw.data(), end, out.integer);
    if (whole.ptr == end && whole.ec == std::errc{}) return out;
    const auto real = std::from_chars(token.raw.data(), end, out.number);
    if (real.ptr == end) {
      out.type = Type::float64;
      if (real.ec != std::errc{}) blame(token.offset, weir::format("{} is out of range", quoted(token.raw)));
      return out;
    }
    const auto length = parse_duration(token.raw);  // nanoseconds
    out.integer = length.value_or(0);
    if (!length)
      blame(token.offset,
            weir::format("{} is neither a number nor a length of time like 5s or 1m30s", quoted(token.raw)));
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t nested_ = 0;
  Token token_;
  std::optional<Error> error_;
};

constexpr std::array<std::string_view, 4> one_of{"a number", "a text", "true or false", "an instant"};
constexpr std::array<std::string_view, 4> several_of{"numbers", "texts", "true or false", "instants"};
constexpr std::array plain_types{Type::float64, Type::string, Type::boolean, Type::timestamp};

Kind kind_of(Type type) {
  if (type == Type::string || type == Type::dictionary) return Kind::text;
  if (type == Type::timestamp) return Kind::instant;
  return type == Type::boolean ? Kind::truth : Kind::number;
}
bool fits(const Node& n, Kind kind) { return n.null || kind_of(n.type) == kind; }
bool is_instant(const Node& n) { return kind_of(n.type) == Kind::instant; }

std::string described(const Node& n) {
  const std::string_view what = one_of[static_cast<std::size_t>(kind_of(n.type))];
  if (n.is_name) return weir::format("{} is {}", quoted(n.text), what);
  return n.is_literal() ? weir::format("this is {}", what)
                        : weir::format("what \"{}\" gives is {}", n.form->name, what);
}

std::unexpected<Error> blame(const Node& n, std::string message) {
  return fail(Error::Kind::invalid, std::move(message), {}, n.offset);
}
std::unexpected<Error> blame_need(const Node& arg, std::string_view wanted, const Node& by) {
  return blame(arg, weir::format("\"{}\" needs {}, but {}", by.form->name, wanted, described(arg)));
}

Result<void> look_up(Node& n, const Schema& schema) {
  n.type = Type::timestamp;
  n.column = arrival_column;
  if (const auto number = schema.find(n.text)) {
    n.type = schema.columns[*number].type;
    n.column = *number;
    return {};
  }
  if (n.text == "arrival") return {};
  std::vector<std::string> names;
  for (const ColumnType& column : schema.columns) names.push_back(column.name);
  names.emplace_back("arrival");
  std::string hint = did_you_mean(n.text, names);
  if (hint.empty()) {
    hint = "there are";
    for (const std::string& name : names) hint += (&name == &names.front() ? " " : ", ") + name;
    hint += weir::format("; a text is written '{}'", n.text);
  }
  return blame(n, weir::format("unknown name {}; {}", quoted(n.text), hint));
}

/// What a text that meets an instant becomes.
Result<void> read_instant(Node& n) {
  const auto instant = parse_rfc3339(n.text);
  if (!instant) return blame(n, weir::format("{} is no instant; write '2026-01-01T00:00:00Z'", quoted(n.text)));
  n.type = Type::timestamp;
  n.integer = *instant;
  n.ids.reset();
  return {};
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

/// Makes the arguments one kind; answers their common type.
Result<Type> settle(std::span<Node> args, Kind takes, const Node& by) {
  const Node& model = model_of(args);
  const Kind kind = takes == Kind::alike ? kind_of(model.type) : takes;
  const auto number = static_cast<std::size_t>(kind);
  Type common = model.null || kind == Kind::text ? plain_types[number] : model.type;
  for (Node& arg : args) {
    if (kind == Kind::instant && arg.ids != nullptr) {
      if (auto read = read_instant(arg); !read) return std::unexpected(read.error());
    }
    if (!fits(arg, kind)) {
      if (takes != Kind::alike) return blame_need(arg, (args.size() == 1 ? one_of : several_of)[number], by);
      const Node& a = &arg < &model ? arg : model;
      const Node& b = &arg < &model ? model : arg;
      return blame(b, weir::format("\"{}\" can't take both: {}, and {}", by.form->name, described(a), described(b)));
    }
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

/// `time + 5s`, `time - time`: an instant comes first.
Result<Type> settle_instant(Node& n) {
  Node& length = n.args.back();
  if (is_instant(length) && n.form->name == "-") return Type::int64;
  if (length.null) length.type = Type::int64;
  if (length.type == Type::int64) return Type::timestamp;
  return blame_need(length, "a length of time like 5s after an instant", n);
}

Result<Type> settle(Node& n) {
  std::span<Node> args{n.args};
  const std::string_view name = n.form->name;
  if ((name == "+" || name == "-") && is_instant(args[0])) return settle_instant(n);
  if (name == "if") {
    if (!fits(args[0], Kind::truth)) return blame_need(args[0], "a condition first", n);
    if (args[0].null) args[0].type = Type::boolean;
    args = args.subspan(1);
  }
  return settle(args, n.form->takes, n);
}

}  // namespace

Result<Node> parse(std::string_view text) { return Parser{text}.run(); }

Result<void> bind(Node& n, const Schema& schema) {
  if (n.is_name) return look_up(n, schema);
  if (n.is_literal()) return {};
  for (Node& arg : n.args) {
    if (auto bound = bind(arg, schema); !bound) return bound;
  }
  return settle(n).transform([&](Type common) { n.type = n.form->result.value_or(common); });
}

}  // namespace weir::expression
