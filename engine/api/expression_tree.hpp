/// How an expression is held between its three passes: parse, bind, evaluate. Not for operators.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>

namespace weir::expression {

// clang-format off
/// Bind and evaluate count on the order.
enum class Op : std::uint8_t {
  literal, column, in, between, all_of, any_of, negation, is_null,
  add, subtract, multiply, divide, modulo,
  equal, unequal, less, at_most, greater, at_least,
  least, greatest, coalesce, choose,
  absolute, of_numbers, length, lower, upper, of_texts
};
// clang-format on

using OfNumbers = double (*)(double, double);
using OfTexts = bool (*)(std::string_view, std::string_view);

/// The id of a text in the dictionaries that it was looked for in. Dictionaries only grow, so what was found stays, and
/// only what was added since needs looking at. (Dictionary::find may not be called here: another thread interns.)
class KnownIds {
 public:
  std::optional<std::uint32_t> find(std::string_view text, const std::shared_ptr<const Dictionary>& table);

 private:
  struct Entry {
    std::weak_ptr<const Dictionary> table;
    std::uint32_t seen = 0;
    std::optional<std::uint32_t> id = {};
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

struct Node {
  Op op = Op::literal;
  std::size_t offset = 0;  ///< in the expression's text
  std::size_t depth = 1;
  std::string text = {};  ///< of a text literal; else as written: a name, an operator, a function
  Type type = Type::float64;
  bool null = false;  ///< the literal NULL: fits every type
  double number = 0;
  std::int64_t integer = 0;  ///< int64, timestamp and boolean literals
  std::size_t column = 0;
  std::shared_ptr<KnownIds> ids = {};  ///< of a text literal
  OfNumbers of_numbers = nullptr;      ///< functions of one number ignore the second
  OfTexts of_texts = nullptr;
  std::vector<Node> args = {};

  bool within(Op first, Op last) const { return op >= first && op <= last; }
};

/// Column number of the name `arrival` where the schema has no such column.
inline constexpr std::size_t arrival_column = static_cast<std::size_t>(-1);

Result<Node> parse(std::string_view text);
/// Looks up names, decides every node's type, and turns literals into the type of what they meet.
Result<void> bind(Node& root, const Schema& schema);
Column evaluate(const Node& root, const Batch& batch);
std::vector<std::uint8_t> test(const Node& root, const Batch& batch);

}  // namespace weir::expression
