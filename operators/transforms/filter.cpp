#include <weir/format.hpp>
#include <weir/operator.hpp>

namespace {
using namespace weir;

class Filter final : public Transform {
 public:
  Filter(const Settings& settings, Context& context)
      : context_{context}, where_{settings.expression("where")}, filtered_{context.counter("filtered")} {}

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    auto bound = where_.bind(*inputs.at(0));
    if (!bound) return fail(Error::Kind::invalid, bound.error().message, "where", bound.error().offset);
    if (bound->type() != Type::boolean) {
      return fail(Error::Kind::invalid, "\"where\" must be true or false, and this is not: compare it with something",
                  "where");
    }
    where_ = *std::move(bound);
    return inputs;
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    BatchPtr kept = select(in, where_.test(*in));
    if (kept->rows != in->rows) out.count(filtered_, in->rows - kept->rows);
    if (kept->rows != 0) warns_at_ = 0;
    all_ += in->rows;
    if (warns_at_ != 0 && all_ >= warns_at_) {
      context_.warn(weir::format("none of the first {} rows passed; is \"where\" what was meant?", all_));
      warns_at_ = 0;
    }
    out.emit(std::move(kept));
    return {};
  }

 private:
  Context& context_;
  Expression where_;
  std::size_t filtered_;
  std::uint64_t all_ = 0, warns_at_ = 1000;  // 0: never more
};

Spec spec() {
  return Spec::transform("keeps the rows for which an expression is true")
      .field("where", kind::expression(),
             "what must be true of a row for it to pass; the names are the input's columns")
      .counter("filtered", "rows for which the expression was false or NULL")
      .details(
          "Samples have the columns key, field, time, x, y, z and text: a number is in x, a point has latitude, "
          "longitude and altitude in x, y and z. `arrival` is the arrival time. Put filter before window-join: behind "
          "it there are brackets (key, tick, <field>.before, <field>.after, …), which become rows in the sink only.")
      .details(
          "Expressions know numbers, 'texts', true, false and null, lengths of time (5s, 1m30s), + - * / %, = <> < "
          "<= > >=, and, or, not, in (…), between … and …, is [not] null, and the functions abs, floor, ceil, "
          "round, sqrt, exp, ln, sin, cos, hypot, power, min, max, coalesce, if(condition, then, else), length, "
          "lower, upper, starts_with, ends_with and contains. A name with other characters than letters, digits, _ "
          "and . stands in double quotes; a text that meets a time is read as one: time > '2026-01-01T00:00:00Z'. "
          "The difference of two times is in nanoseconds, as is a length of time.")
      .details(
          "NULL behaves as in SQL: a comparison with NULL is NULL, and a row whose expression is NULL does not "
          "pass. What SQL refuses is NULL: division by zero, a whole number beyond 64 bits, sqrt(-1). / divides as "
          "real numbers do; NaN equals itself and is greater than every number, as in PostgreSQL; lower and upper "
          "change A to Z only.")
      .example(R"({ "id": "fast", "transform": "filter", "from": "signals", "where": "field = 'speed' and x > 130" })")
      .example(
          R"json({ "id": "known", "transform": "filter", "from": "signals", "where": "field in ('speed', 'charge')" })json");
}

}  // namespace

WEIR_OPERATOR(transforms, filter, Filter, spec())
