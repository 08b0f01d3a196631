#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/sample_rows.hpp>

#include <algorithm>

#include "transforms/keyed-last-value/last_values.hpp"

namespace {
using namespace weir;
using last_value::LastValues;

class KeyedLastValue final : public Transform {
 public:
  KeyedLastValue(const Settings&, Context& context) : context_{context}, repeats_{context.counter("repeats")} {}

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    if (inputs.at(0)->shape != Shape::samples)
      return fail(Error::Kind::invalid, "keyed-last-value takes samples", "from");
    return inputs;
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) {
      out.emit(in);
      return {};
    }
    const SampleRows rows{*in};
    if (rows.keys.dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached keyed-last-value");
    number_fields(rows.fields);
    last_.sweep(in->arrival[0], context_.forget());
    last_.expect(context_.keys()->size());

    std::vector<std::uint8_t> keep;
    const auto leave_out = [&](std::size_t row) {
      if (keep.empty()) keep.assign(in->rows, 1);
      keep[row] = 0;
    };
    std::size_t repeats = 0;
    runs_.find(rows);
    const std::size_t ahead = std::max<std::size_t>(3, runs_.in_rows(32));
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      if (run + 2 * ahead < runs_.size()) {
        last_.prefetch_place(runs_.key(run + 2 * ahead));
        last_.prefetch(runs_.key(run + ahead));
      }
      auto& key = last_.touch(runs_.key(run), in->arrival[runs_.begin(run)], context_.forget());
      for (std::size_t row = runs_.begin(run); row < runs_.end(run); ++row) {
        if (!rows.timed(row)) continue;
        const std::uint16_t field = numbers_[rows.fields.ids[row]];
        if (field == no_number) {
          out.refuse(*in, row, {"too_many_fields", weir::format("the limit is {}", samples::most_fields)});
          leave_out(row);
          continue;
        }
        const bool repeat = rows.is_number(row) ? last_.see(key, field, rows.time(row), rows.x(row))
                                                : last_.see(key, field, rows.time(row), rows.value(row));
        if (!repeat) continue;
        ++repeats;
        leave_out(row);
      }
    }
    out.count(repeats_, repeats);
    out.emit(keep.empty() ? in : in->select(keep));
    return {};
  }

  void save(StateWriter& state) const override {
    state.put(names_.size());
    for (std::uint32_t i = 0; i < names_.size(); ++i) state.put_text(names_.at(i));
    last_.save(state);
  }

  Result<void> load(StateReader& state) override {
    const auto names = state.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < names && state.ok(); ++i) names_.intern(state.get_text());
    if (last_.load(state, context_.keys()->size())) return {};
    return fail(Error::Kind::changed, "the state of keyed-last-value is damaged");
  }

  Size size() const override { return {last_.keys(), last_.bytes()}; }

 private:
  /// Translates the batch's field ids: they need not come from the lane's table, and state must outlive any other.
  void number_fields(const Ids& fields) {
    if (fields.dictionary != numbered_) numbers_.clear();
    numbered_ = fields.dictionary;
    for (auto id = static_cast<std::uint32_t>(numbers_.size()); id < numbered_->size(); ++id) {
      const auto number = names_.intern(numbered_->at(id));
      numbers_.push_back(static_cast<std::uint16_t>(number.value_or(no_number)));
    }
  }

  Context& context_;
  std::size_t repeats_;
  LastValues last_;
  static constexpr std::uint16_t no_number = UINT16_MAX;  ///< of a field beyond the bound
  Dictionary names_{samples::most_fields};
  std::shared_ptr<const Dictionary> numbered_;
  std::vector<std::uint16_t> numbers_;  ///< by id in `numbered_`
  KeyRuns runs_;
};

Spec spec() {
  return Spec::transform("passes every sample on, in order, except exact repeats of the newest of their key and field")
      .counter("repeats", "samples that said again, word for word, what the newest one of their key and field said")
      .accepts({Shape::samples})
      .keyed_state()
      .state([](const Settings&) { return "≤ 32 B per (vehicle, field) that holds a number"; })
      .details(
          "A repeat has the same key, field, time and value as the newest sample; devices and networks send it when "
          "they are not sure. Older samples pass: window-join reorders. A key without a sample for limits.forget is "
          "forgotten.")
      .example(R"({ "id": "last", "transform": "keyed-last-value", "from": "signals" })");
}

}  // namespace

WEIR_OPERATOR(transforms, keyed_last_value, KeyedLastValue, spec())
