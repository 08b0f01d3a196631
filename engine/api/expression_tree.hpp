/// How an expression is held between its three passes: parse, bind, evaluate. Not for operators.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>

namespace weir::expression {

class Block;
struct Node;
struct Values;

/// What arguments must be: of one kind, or whatever they are, all alike.
enum class Kind : std::uint8_t { number, text, truth, instant, alike };

/// An operator or a function: all that the three passes know of it.
struct Form {
  std::string_view name;       ///< in lower case
  int precedence;              ///< of what stands after its first operand; 0: a function
  std::size_t least, most;     ///< how many arguments
  Kind takes;                  ///< "if" takes a condition before
  std::optional<Type> result;  ///< nothing: the common type of the arguments
  Values (*evaluate)(Block& block, const Node& node);
};

inline constexpr std::size_t many = 100;  ///< as `most`: no bound
std::span<const Form> forms();

/// The id of a text in the dictionaries that it was looked for in. Dictionaries only grow, so what was found stays, and
/// only what was added since needs looking at. (Dictionary::find may not be called here: another thread interns.)
class KnownIds {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;
  std::uint32_t find(std::string_view text, const std::shared_ptr<const Dictionary>& table);

 private:
  struct Entry {
    std::weak_ptr<const Dictionary> table;
    std::uint32_t seen = 0;
    std::uint32_t id = none;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

struct Node {
  const Form* form = nullptr;  ///< nullptr: a literal or a name
  std::size_t offset = 0;      ///< in the expression's text
  std::size_t depth = 1;
  Type type = Type::float64;
  bool is_name = false;
  bool null = false;      ///< the literal NULL: fits every type
  std::string text = {};  ///< of a text literal or a name
  double number = 0;
  std::int64_t integer = 0;            ///< int64, timestamp and boolean literals
  std::size_t column = 0;              ///< of a name
  std::shared_ptr<KnownIds> ids = {};  ///< of a text literal
  std::vector<Node> args = {};

  bool is_literal() const { return form == nullptr && !is_name; }
};

/// Column number of the name `arrival` where the schema has no such column.
inline constexpr std::size_t arrival_column = static_cast<std::size_t>(-1);

Result<Node> parse(std::string_view text);
/// Looks up names, decides every node's type, and turns literals into the type of what they meet.
Result<void> bind(Node& root, const Schema& schema);
Column evaluate(const Node& root, const Batch& batch);
std::vector<std::uint8_t> test(const Node& root, const Batch& batch);

}  // namespace weir::expression
