/// Typed expressions over the columns of a batch: filter, map, alarms.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <weir/batch.hpp>
#include <weir/types.hpp>

namespace weir {

/// `field = 'speed' and x > 130`: numbers, strings, booleans; comparison, arithmetic, and/or/not, in, between,
/// is [not] null, a dozen functions. NULL behaves as in SQL. Typed when bound, evaluated column by column.
///
/// Threads   a bound expression may be evaluated from several threads at once.
/// Errors    compile() and bind() return Error::Kind::invalid with `offset` = the byte in the text where it went wrong.
class Expression {
 public:
  /// Parses. Names are not looked up yet.
  static Result<Expression> compile(std::string_view text);

  Expression(const Expression&);
  Expression& operator=(const Expression&);
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;
  ~Expression();

  const std::string& text() const;

  /// Looks up names in the schema and decides types; answers a bound copy and its result type.
  Result<Expression> bind(const Schema& schema) const;
  Type type() const;  ///< of a bound expression

  /// The value per row. The batch must have the schema that bind() saw.
  Column evaluate(const Batch& batch) const;
  /// For a boolean expression: 1 where it is true, 0 where it is false or NULL.
  std::vector<std::uint8_t> test(const Batch& batch) const;

 private:
  struct Node;
  struct Program;
  std::shared_ptr<const Program> program_;
  explicit Expression(std::shared_ptr<const Program> program);
};

}  // namespace weir
