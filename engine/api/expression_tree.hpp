/// How an expression is held between its three passes: parse, bind, evaluate. Not for operators.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weir/expression.hpp>

namespace weir::expression {

struct Block;
struct Node;
struct Values;

/// What arguments must be: of one kind, or whatever they are, all alike.
enum class Takes : std::uint8_t { number, text, truth, instant, alike };

/// An operator or a function: all that the three passes know of it.
struct Form {
  std::string_view name;       ///< in lower case
  int precedence;              ///< of what stands after its first operand; 0: a function
  std::size_t least, most;     ///< how many arguments
  Takes takes;                 ///< "if" takes a condition before
  std::optional<Type> result;  ///< nothing: the common type of the arguments
  Values (*evaluate)(Block& block, const Node& node);
};

inline constexpr std::size_t many = SIZE_MAX;  ///< as `most`: no bound
std::span<const Form> forms();
/// `did you mean "sqrt"?`, or all functions, or operators, that there are.
std::string name_hint(std::string_view name, bool is_function);

/// The id of a text in the dictionary of a column. Dictionaries only grow, so what was found stays, and only what was
/// added since needs looking at. (Dictionary::find may not be called here: another thread interns.)
class KnownId {
 public:
  /// An id that no row has yet if the text is not there.
  std::uint32_t find(std::string_view text, const std::shared_ptr<const Dictionary>& table) {
    const std::lock_guard lock{mutex_};
    if (table_.lock() != table) next_ = 0;
    table_ = table;
    for (const std::uint32_t size = table->size(); next_ < size && table->at(next_) != text;) ++next_;
    return next_;
  }

 private:
  std::mutex mutex_;
  std::weak_ptr<const Dictionary> table_;  ///< looked in last
  std::uint32_t next_ = 0;                 ///< the first that is or may be the text
};

struct Node {
  const Form* form = nullptr;  ///< nullptr: a literal or a name
  std::size_t offset = 0;      ///< in the expression's text
  std::size_t depth = 1;
  Type type = Type::float64;
  bool is_name = false;
  bool null = false;                 ///< the literal NULL: fits every type
  std::string text = {};             ///< of a text literal or a name
  double number = 0;                 ///< float64 literals
  std::int64_t integer = 0;          ///< int64, timestamp and boolean literals
  std::size_t column = 0;            ///< of a name
  std::shared_ptr<KnownId> id = {};  ///< of a text literal
  std::vector<Node> args = {};

  bool is_literal() const { return form == nullptr && !is_name; }
  template <typename T>
  T value() const {  ///< of a literal
    if constexpr (std::is_same_v<T, std::string_view>)
      return text;
    else
      return type == Type::float64 ? static_cast<T>(number) : static_cast<T>(integer);
  }
};

/// Column number of the name `arrival` where the schema has no such column.
inline constexpr std::size_t arrival_column = static_cast<std::size_t>(-1);

}  // namespace weir::expression

struct weir::Expression::Program {
  std::string text;
  expression::Node root;
};
