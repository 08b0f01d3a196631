#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <memory>

namespace {
using namespace weir;

class Filter final : public Transform {
 public:
  Filter(const Settings& settings, Context& context)
      : context_{context},
        where_{settings.expression("where")},
        filtered_{context.counter("filtered")},
        undefined_{context.counter("undefined_values")},
        history_{std::make_unique<History>(context.forget())} {}

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    history_ = std::make_unique<History>(context_.forget());
    auto bound = where_.bind(*inputs.at(0), history_.get());
    if (!bound) return fail(Error::Kind::invalid, bound.error().message, "where", bound.error().offset);
    if (bound->type() != Type::boolean) {
      return fail(Error::Kind::invalid, "\"where\" must be true or false, and this is not: compare it with something",
                  "where");
    }
    where_ = *std::move(bound);
    return inputs;
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (!history_->empty() && in->rows != 0 && in->column("key").ids().dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached filter");
    history_->begin(*in);
    Expression::Evaluation evaluation{history_.get()};
    BatchPtr kept = select(in, where_.test(*in, evaluation));
    out.count(undefined_, evaluation.undefined);
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

  void save(StateWriter& state) const override { history_->save(state); }

  Result<void> load(StateReader& state) override {
    if (state.at_end() || history_->load(state, context_.keys()->size())) return {};
    return fail(Error::Kind::internal, "the state of filter is cut off");
  }

  Size size() const override { return {history_->keys(), history_->bytes()}; }

 private:
  Context& context_;
  Expression where_;
  std::size_t filtered_, undefined_;
  std::unique_ptr<History> history_;
  std::uint64_t all_ = 0, warns_at_ = 1000;  // 0: never more
};

/// Settings may be wrong yet.
bool looks_back(const Settings& settings) {
  const Setting* const where = settings.find("where");
  const auto* expression = where == nullptr ? nullptr : std::get_if<std::shared_ptr<const Expression>>(where);
  return expression != nullptr && (*expression)->looks_back();
}

Spec spec() {
  return Spec::transform("keeps the rows for which an expression is true")
      .field("where", kind::expression(),
             "what must be true of a row for it to pass; the names are the input's columns")
      .counter("filtered", "rows for which the expression was false or NULL")
      .counter("undefined_values", Expression::undefined_doc)
      .remembers_keys(looks_back)
      .state([](const Settings& settings) { return looks_back(settings) ? History::state_doc : ""; })
      .details(
          "Samples have the columns key, field, time, x, y, z and text: a number is in x, a point has latitude, "
          "longitude and altitude in x, y and z. Rows have key, tick and a column per field, a point <field>_lat, _lon "
          "and _alt. `arrival` is the arrival time. Behind window-join there are brackets (key, tick, "
          "<field>.before, <field>.after, …), which fill or a sink completes to rows.")
      .details(
          "Expressions know numbers, 'texts', true, false and null, lengths of time (5s, 1m30s), + - * / %, = <> < "
          "<= > >=, and, or, not, in (…), between … and …, like 'a%', is [not] null, and the functions below. A name "
          "with other characters than letters, digits, _ and . stands in double quotes; a text that meets a time is "
          "read as one: time > '2026-01-01T00:00:00Z'. The difference of two times is in nanoseconds, as is a length "
          "of time.")
      .details(
          "NULL behaves as in SQL: a comparison with NULL is NULL, and a row whose expression is NULL does not "
          "pass. What SQL refuses is NULL, and counted: division by zero, a number beyond 64 bits, sqrt(-1). / divides "
          "as real numbers do; NaN equals itself and is greater than every number, as in PostgreSQL; lower and upper "
          "change A to Z only.")
      .details("Functions:\n" + Expression::functions())
      .example(R"({ "id": "fast", "transform": "filter", "from": "signals", "where": "field = 'speed' and x > 130" })")
      .example(
          R"json({ "id": "known", "transform": "filter", "from": "signals", "where": "field in ('speed', 'charge')" })json");
}

}  // namespace

WEIR_OPERATOR(transforms, filter, Filter, spec())
