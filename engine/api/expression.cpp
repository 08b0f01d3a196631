#include <weir/expression.hpp>
#include <weir/format.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "expression_tree.hpp"

namespace weir::expression {
namespace {

constexpr std::size_t deepest = 200;
constexpr std::size_t longest = 1u << 16;

struct Binary {
  std::string_view text;
  Op op;
  int precedence;
};
constexpr int comparison = 4, any_value = 0, not_operand = 3, sum = 5, factor = 7;
constexpr auto binaries = std::to_array<Binary>({
    {"or", Op::any_of, 1},
    {"and", Op::all_of, 2},
    {"=", Op::equal, 4},
    {"==", Op::equal, 4},
    {"<>", Op::unequal, 4},
    {"!=", Op::unequal, 4},
    {"<=", Op::at_most, 4},
    {">=", Op::at_least, 4},
    {"<", Op::less, 4},
    {">", Op::greater, 4},
    {"+", Op::add, 5},
    {"-", Op::subtract, 5},
    {"*", Op::multiply, 6},
    {"/", Op::divide, 6},
    {"%", Op::modulo, 6},
});

struct Function {
  std::string_view name;
  Op op;
  std::size_t least, most;  ///< arguments
  OfNumbers of_numbers = nullptr;
  OfTexts of_texts = nullptr;
};
constexpr std::size_t many = 100;
const auto functions = std::to_array<Function>({
    {"abs", Op::absolute, 1, 1},
    {"min", Op::least, 1, many},
    {"max", Op::greatest, 1, many},
    {"coalesce", Op::coalesce, 1, many},
    {"if", Op::choose, 3, 3},
    {"floor", Op::of_numbers, 1, 1, [](double x, double) { return std::floor(x); }},
    {"ceil", Op::of_numbers, 1, 1, [](double x, double) { return std::ceil(x); }},
    {"round", Op::of_numbers, 1, 1, [](double x, double) { return std::round(x); }},
    {"sqrt", Op::of_numbers, 1, 1, [](double x, double) { return std::sqrt(x); }},
    {"exp", Op::of_numbers, 1, 1, [](double x, double) { return std::exp(x); }},
    {"ln", Op::of_numbers, 1, 1, [](double x, double) { return std::log(x); }},
    {"sin", Op::of_numbers, 1, 1, [](double x, double) { return std::sin(x); }},
    {"cos", Op::of_numbers, 1, 1, [](double x, double) { return std::cos(x); }},
    {"hypot", Op::of_numbers, 2, 2, [](double x, double y) { return std::hypot(x, y); }},
    {"power", Op::of_numbers, 2, 2, [](double x, double y) { return std::pow(x, y); }},
    {"length", Op::length, 1, 1},
    {"lower", Op::lower, 1, 1},
    {"upper", Op::upper, 1, 1},
    {"starts_with", Op::of_texts, 2, 2, nullptr,
     [](std::string_view a, std::string_view b) { return a.starts_with(b); }},
    {"ends_with", Op::of_texts, 2, 2, nullptr, [](std::string_view a, std::string_view b) { return a.ends_with(b); }},
    {"contains", Op::of_texts, 2, 2, nullptr, [](std::string_view a, std::string_view b) { return a.contains(b); }},
});

constexpr std::array reserved = {"and", "or", "not", "in", "between", "is", "null", "true", "false"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool same(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

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
  bool is(std::string_view text) const {
    return (token_.kind == Kind::word || token_.kind == Kind::symbol) && same(token_.raw, text);
  }
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
    while (at_ < text_.size() && std::string_view{" \t\r\n"}.contains(text_[at_])) ++at_;
    const std::size_t begin = at_;
    Kind kind = Kind::symbol;
    std::string content;
    if (at_ == text_.size()) {
      kind = Kind::end;
    } else if (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) {
      kind = Kind::number;
      const auto more = [&] {
        const bool exponent = (peek() == '-' || peek() == '+') && lower(text_[at_ - 1]) == 'e' && is_digit(peek(1));
        return is_digit(peek()) || is_letter(peek()) || peek() == '.' || exponent;
      };
      while (more()) ++at_;
    } else if (is_letter(peek())) {
      kind = Kind::word;
      while (is_letter(peek()) || is_digit(peek()) || peek() == '.') ++at_;
    } else if (peek() == '\'' || peek() == '"') {
      kind = peek() == '"' ? Kind::name : Kind::text;
      if (!read_quoted(content))
        return blame(begin, kind == Kind::text ? "text without its closing '" : "name without its closing \"");
    } else {
      constexpr std::array<std::string_view, 5> pairs{"<=", ">=", "<>", "!=", "=="};
      at_ += std::ranges::contains(pairs, text_.substr(at_, 2)) ? 2 : 1;
    }
    token_ = {kind, begin, text_.substr(begin, at_ - begin), std::move(content)};
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

  Node node(Op op, std::size_t offset, std::string_view text, std::vector<Node> args) {
    Node out{.op = op, .offset = offset, .text = std::string{text}, .args = std::move(args)};
    for (const Node& arg : out.args) out.depth = std::max(out.depth, arg.depth + 1);
    if (out.depth > deepest) blame(offset, "nested more than 200 deep");
    return out;
  }

  Node value(int least) {
    if (++nested_ > deepest) blame(token_.offset, "nested more than 200 deep");
    Node left = operand();
    while (token_.kind == Kind::word || token_.kind == Kind::symbol) {
      const Token token = token_;
      const auto* binary = std::ranges::find_if(binaries, [&](const Binary& b) { return is(b.text); });
      if (binary != binaries.end()) {
        if (binary->precedence < least) break;
        next();
        Node right = value(binary->precedence + 1);
        const bool joins = left.op == binary->op && (left.op == Op::all_of || left.op == Op::any_of);
        std::vector<Node> args = joins ? std::move(left.args) : std::vector<Node>{};
        if (!joins) args.push_back(std::move(left));
        args.push_back(std::move(right));
        left = node(binary->op, token.offset, token.raw, std::move(args));
      } else if (least > comparison || !(is("is") || is("in") || is("between") || is("not"))) {
        break;
      } else {
        left = predicate(std::move(left));
      }
    }
    --nested_;
    return left;
  }

  /// `is [not] null`, `[not] in (…)`, `[not] between … and …` after their first operand.
  Node predicate(Node left) {
    const std::size_t offset = token_.offset;
    bool inverted = take("not");
    std::vector<Node> args;
    args.push_back(std::move(left));
    Node out;
    if (!inverted && take("is")) {
      inverted = take("not");
      expect("null", "after \"is\"");
      out = node(Op::is_null, offset, "is null", std::move(args));
    } else if (take("in")) {
      expect("(", "after \"in\"");
      arguments(args);
      if (args.size() == 1) blame(offset, "\"in\" needs at least one value");
      out = node(Op::in, offset, "in", std::move(args));
    } else {
      expect("between", "after \"not\", or \"in\"");
      args.push_back(value(sum));
      expect("and", "between the two bounds");
      args.push_back(value(sum));
      out = node(Op::between, offset, "between", std::move(args));
    }
    if (!inverted) return out;
    std::vector<Node> operand_of_not;
    operand_of_not.push_back(std::move(out));
    return node(Op::negation, offset, "not", std::move(operand_of_not));
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
        return {.op = Op::column, .offset = token.offset, .text = token.content};
      case Kind::text:
        return {
            .offset = token.offset, .text = token.content, .type = Type::string, .ids = std::make_shared<KnownIds>()};
      case Kind::word:
        return word(token);
      default:
        break;
    }
    std::vector<Node> args;
    if (token.raw == "(") {
      Node inner = value(any_value);
      expect(")", weir::format("for the \"(\" at byte {}", token.offset));
      return inner;
    }
    if (token.raw == "-") {
      args.push_back(value(factor));
      Node& of = args.front();
      if (of.op != Op::literal || of.null || (of.type != Type::int64 && of.type != Type::float64)) {
        args.insert(args.begin(), Node{.offset = token.offset, .text = "0", .type = Type::int64});
        return node(Op::subtract, token.offset, "-", std::move(args));
      }
      of.number = -of.number;
      of.integer = -of.integer;
      of.text.insert(0, "-");
      return of;
    }
    blame(token.offset,
          weir::format("expected a value, found {}", token.kind == Kind::end ? "the end" : quoted(token.raw)));
    return {};
  }

  Node word(const Token& token) {
    std::vector<Node> args;
    if (same(token.raw, "not")) {
      args.push_back(value(not_operand));
      return node(Op::negation, token.offset, "not", std::move(args));
    }
    if (same(token.raw, "null")) return {.offset = token.offset, .text = "null", .null = true};
    const bool truth = same(token.raw, "true");
    if (truth || same(token.raw, "false")) return {.offset = token.offset, .type = Type::boolean, .integer = truth};
    if (std::ranges::any_of(reserved, [&](const char* word) { return same(token.raw, word); })) {
      blame(token.offset, weir::format("expected a value, found \"{}\"", token.raw));
    }
    if (!is("(")) return {.op = Op::column, .offset = token.offset, .text = std::string{token.raw}};
    next();
    const auto* function = std::ranges::find_if(functions, [&](const Function& f) { return same(token.raw, f.name); });
    if (function == functions.end()) {
      std::vector<std::string> names;
      for (const Function& each : functions) names.emplace_back(each.name);
      const std::string hint = did_you_mean(token.raw, names);
      blame(token.offset, weir::format("unknown function {}{}{}", quoted(token.raw), hint.empty() ? "" : "; ", hint));
      return {};
    }
    arguments(args);
    if (args.size() < function->least || args.size() > function->most) {
      const std::string wanted = function->most == many ? "at least 1" : std::to_string(function->least);
      blame(token.offset, weir::format("{}() takes {} value{}, not {}", function->name, wanted,
                                       wanted.ends_with('1') ? "" : "s", args.size()));
    }
    Node out = node(function->op, token.offset, function->name, std::move(args));
    out.of_numbers = function->of_numbers;
    out.of_texts = function->of_texts;
    return out;
  }

  Node number(const Token& token) {
    Node out{.offset = token.offset, .text = std::string{token.raw}};
    const char* const end = token.raw.data() + token.raw.size();
    const auto whole = std::from_chars(token.raw.data(), end, out.integer);
    out.type = Type::int64;
    if (whole.ptr == end && whole.ec == std::errc{}) return out;
    const auto real = std::from_chars(token.raw.data(), end, out.number);
    out.type = Type::float64;
    if (real.ptr == end) {
      if (real.ec != std::errc{}) blame(token.offset, weir::format("{} is out of range", quoted(token.raw)));
      return out;
    }
    const auto length = parse_duration(token.raw);  // nanoseconds
    out.type = Type::int64;
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

}  // namespace

Result<Node> parse(std::string_view text) { return Parser{text}.run(); }

}  // namespace weir::expression

namespace weir {

struct Expression::Program {
  std::string text;
  expression::Node root;
};

Expression::Expression(std::shared_ptr<const Program> program) : program_{std::move(program)} {}
Expression::Expression(const Expression&) = default;
Expression& Expression::operator=(const Expression&) = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

Result<Expression> Expression::compile(std::string_view text) {
  return expression::parse(text).transform([&](expression::Node&& root) {
    return Expression{std::make_shared<const Program>(Program{std::string{text}, std::move(root)})};
  });
}

Result<Expression> Expression::bind(const Schema& schema) const {
  Program bound = *program_;
  return expression::bind(bound.root, schema).transform([&] {
    return Expression{std::make_shared<const Program>(std::move(bound))};
  });
}

const std::string& Expression::text() const { return program_->text; }
Type Expression::type() const { return program_->root.type; }
Column Expression::evaluate(const Batch& batch) const { return expression::evaluate(program_->root, batch); }
std::vector<std::uint8_t> Expression::test(const Batch& batch) const { return expression::test(program_->root, batch); }

}  // namespace weir
