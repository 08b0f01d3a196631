/// How an expression is held between its three passes: parse, bind, evaluate. Not for operators.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/expression.hpp>
#include <weir/format.hpp>

namespace weir::expression {

struct Block;
struct Node;
struct Values;

/// What an argument must be. Neighbours that take the same are of one type.
enum class Takes : std::uint8_t {
  number,
  text,
  truth,
  instant,
  point,
  whole,     ///< a whole number
  constant,  ///< a text that is written there
  any,       ///< whatever it is, but no point
  alike,     ///< whatever they are, all of one kind, but no points
  same,      ///< whatever they are, all of one kind
};

/// An operator or a function: all that the three passes and `weir describe` know of it.
struct Form {
  std::string_view name;       ///< in lower case
  int precedence;              ///< of what stands after its first operand; 0: a function
  std::size_t least, most;     ///< how many arguments
  std::array<Takes, 3> takes;  ///< by argument; the third is also what follows takes
  std::optional<Type> result;  ///< nothing: the common type of the last neighbours
  Values (*evaluate)(Block& block, const Node& node);
  std::string_view arguments = {};  ///< of a function, as people write them
  std::string_view doc = {};        ///< of a function: one sentence, no full stop
  /// Looks at the arguments that are constant; nothing, or what is wrong with args[0] or the one that it names.
  std::optional<std::pair<std::size_t, std::string>> (*prepare)(Node& node) = nullptr;
  bool makes_point = false;
  bool looks_back = false;  ///< it goes by the row before
};

inline constexpr std::size_t many = SIZE_MAX;  ///< as `most`: no bound
inline constexpr int function = 0;             ///< as `precedence`

constexpr std::array<Takes, 3> all(Takes takes) { return {takes, takes, takes}; }
inline constexpr auto numbers = all(Takes::number), texts = all(Takes::text), truths = all(Takes::truth),
                      points = all(Takes::point), alike = all(Takes::alike), same_kind = all(Takes::same);

// The tables of the files of this folder.
std::span<const Form> logic_forms();
std::span<const Form> number_forms();
std::span<const Form> text_forms();
std::span<const Form> time_forms();
std::span<const Form> point_forms();
std::span<const Form> history_forms();

/// All of them.
std::span<const Form> forms();
/// The form of this name, written in any case; null if there is none.
const Form* find_form(std::string_view name);
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
  bool null = false;                          ///< the literal NULL: fits every type
  bool is_point = false;                      ///< latitude and longitude, two float64; no column is of this type
  std::string text = {};                      ///< of a text literal or a name
  double number = 0;                          ///< float64 literals
  std::int64_t integer = 0;                   ///< int64, timestamp and boolean literals; what prepare() found
  std::size_t column = 0;                     ///< of a name; of a point's latitude
  std::size_t longitude = 0;                  ///< column of a point's longitude
  std::size_t slot = 0;                       ///< of a form that looks back: where its value is remembered
  std::shared_ptr<KnownId> id = {};           ///< of a text literal
  std::shared_ptr<const void> prepared = {};  ///< what prepare() made
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

/// A pass over an expression: keeps the first mistake.
class Pass {
 protected:
  template <typename... Args>
  void blame(std::size_t offset, FormatText<Args...> message, Args&&... args) {
    if (!error_) error_ = Error{Error::Kind::invalid, weir::format(message, std::forward<Args>(args)...), {}, offset};
  }

  std::optional<Error> error_;
};

/// Text to tree; names are not looked up yet.
Result<Node> parse(std::string_view text);

/// What a History remembers of a row: a value of this type, and what it is, by which a restart finds it again though
/// the expressions around it have changed.
struct Slot {
  Type type;
  std::string meaning;
  bool operator==(const Slot&) const = default;
};
inline constexpr std::size_t most_slots = 64;  ///< a bit each in a word

/// Looks up names, decides every node's type, and turns literals into the type of what they meet. What nodes that look
/// back remember is appended to `slots`; where that is null, they are a mistake.
Result<void> bind(Node& root, const Schema& schema, std::vector<Slot>* slots);

}  // namespace weir::expression

struct weir::Expression::Program {
  std::string text;
  expression::Node root;
};
