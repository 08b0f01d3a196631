/// Brackets into rows, so that transforms behind can see them.
#include <array>

#include <weir/completion.hpp>
#include <weir/operator.hpp>

namespace {
using namespace weir;

class FillGaps final : public Transform {
 public:
  FillGaps(const Settings& settings, Context& context)
      : completion_{settings.columns("columns"), settings.boolean("write_empty")},
        empty_rows_{context.counter("empty_rows")} {
    for (std::size_t i = 0; i < cells_.size(); ++i)
      cells_[i] = context.reason_counter("cells", Completion::quality_names[i]);
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    return completion_.bind_schema(*inputs.at(0)).transform([](SchemaPtr rows) { return Schemas{std::move(rows)}; });
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    const Completion::Counts before = completion_.counts();
    BatchPtr rows = completion_.complete(in);
    const Completion::Counts& now = completion_.counts();
    for (std::size_t i = 0; i < cells_.size(); ++i) out.count(cells_[i], now.cells[i] - before.cells[i]);
    out.count(empty_rows_, now.empty_rows - before.empty_rows);
    out.emit(std::move(rows));
    return {};
  }

 private:
  Completion completion_;
  std::array<std::size_t, Completion::quality_names.size()> cells_{};  // numbers of counters
  std::size_t empty_rows_;                                             // the same
};

Spec spec() {
  return Spec::transform("makes rows of brackets: a row per vehicle and tick, with a column per field")
      .field("columns", kind::columns(), "columns of the rows, and how each is completed")
      .accepts({Shape::brackets})
      .counter("cells", Completion::cells_doc, {Completion::quality_names.begin(), Completion::quality_names.end()})
      .counter("empty_rows", Completion::empty_rows_doc)
      .details(
          "These are the rows that a sink with the same \"columns\" makes of the same brackets: key, tick, and the "
          "columns, a point as <field>_lat, <field>_lon and <field>_alt. Sinks complete them by themselves; fill is "
          "for what another transform is to see of them, or for several sinks that get the same rows. A sink behind "
          "it has no \"columns\" of its own: key_column, time_column and the units of columns are as with them.")
      .details(
          "A window-join without \"fields\" joins what the columns of all nodes behind it name, those of fill like "
          "those of sinks. fill keeps no state.")
      .example(
          R"({ "id": "seconds", "transform": "fill", "from": "rows", "columns": { "speed": { "unit": "km/h" }, "position": { "fill": "geo" } } })");
}

}  // namespace

WEIR_OPERATOR(transforms, fill, FillGaps, spec())
