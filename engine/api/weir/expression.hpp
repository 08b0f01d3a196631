/// Typed expressions over the columns of a batch: filter, map, alarms.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/types.hpp>

namespace weir {

class StateReader;
class StateWriter;

/// What an operator's expressions remember of each key's row before, of samples of each key and field: state of it.
/// Expressions that look back are bound and evaluated with one; it begins each batch before they are evaluated.
///
/// Threads   one at a time.
/// Bound     the keys of the lane; what has had no row for `forget` of arrival time is forgotten.
class History {
 public:
  /// For the Spec of such an operator.
  static constexpr const char* state_doc =
      "64 B per vehicle, of samples per vehicle and field, for up to four values of the row before; beside texts";

  explicit History(Duration forget);
  ~History();

  bool empty() const;  ///< no expression that was bound with it looks back
  void begin(const Batch& batch);

  void save(StateWriter& state) const;  ///< nothing if it is empty()
  /// After all expressions were bound; false if save() can't have written it. Keys are below `keys`. What other
  /// expressions than these remembered is left out.
  bool load(StateReader& state, std::uint32_t keys);
  std::size_t keys() const;
  std::size_t bytes() const;

 private:
  friend class Expression;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

/// `field = 'speed' and x > 130`: numbers, texts, booleans, instants, points; SQL's operators and functions, and some
/// for vehicles. NULL behaves as in SQL. Typed when bound, evaluated column by column.
///
/// Threads   a bound expression may be evaluated from several threads at once, each with a History of its own.
/// Errors    compile() and bind() return Error::Kind::invalid with `offset` = the byte in the text where it went wrong.
class Expression {
 public:
  /// Parses. Names are not looked up yet.
  static Result<Expression> compile(std::string_view text);
  /// Every function: its name, arguments and what it does, a line each.
  static std::string functions();

  Expression(const Expression&);
  Expression& operator=(const Expression&);
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;
  ~Expression();

  const std::string& text() const;
  /// Whether it goes by the row before, so that it is evaluated with a History.
  bool looks_back() const;

  /// Looks up names in the schema and decides types; answers a bound copy and its result type. One that looks back is
  /// bound with the History that it will be evaluated with.
  Result<Expression> bind(const Schema& schema, History* history = nullptr) const;
  Type type() const;  ///< of a bound expression

  /// The counter of an operator for Evaluation::undefined.
  static constexpr const char* undefined_doc =
      "results that are NULL because they are undefined: 1 / 0, an overflow, sqrt(-1)";

  /// What evaluating leaves beside the values.
  struct Evaluation {
    History* history = nullptr;   ///< the one that bind() saw, with the batch begun
    std::uint64_t undefined = 0;  ///< grows by the results that are NULL because they are undefined: 1 / 0, sqrt(-1)
  };

  /// The value per row. The batch must have the schema that bind() saw.
  Column evaluate(const Batch& batch, Evaluation& evaluation) const;
  Column evaluate(const Batch& batch) const;
  /// For a boolean expression: 1 where it is true, 0 where it is false or NULL.
  std::vector<std::uint8_t> test(const Batch& batch, Evaluation& evaluation) const;
  std::vector<std::uint8_t> test(const Batch& batch) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
  explicit Expression(std::shared_ptr<const Program> program);
};

}  // namespace weir
