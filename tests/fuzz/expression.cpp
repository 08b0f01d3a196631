// Any text: it compiles, binds and evaluates, or it is refused with a place inside it.
#include <weir/expression.hpp>
#include <weir/shapes.hpp>

#include <cstdint>
#include <cstdlib>
#include <limits>

namespace {
using namespace weir;

/// Samples with ordinary and extreme values, NULLs and absent columns.
BatchPtr make_batch() {
  const auto names = std::make_shared<Dictionary>();
  for (const auto* name : {"speed", "charge", ""}) names->intern(name);
  constexpr double huge = std::numeric_limits<double>::max();
  Validity valid;
  Texts texts;
  for (std::size_t row = 0; row < 4; ++row) {
    valid.push(row != 2, row);
    texts.push(row == 1 ? "" : "Zürich");
  }
  auto batch = std::make_shared<Batch>();
  batch->schema = samples::schema();
  batch->rows = 4;
  batch->columns = {Column::dictionary({{0, 1, 2, 0}, names}),
                    Column::dictionary({{0, 1, 77, 2}, names}, valid),
                    Column::timestamp({0, INT64_MAX, INT64_MIN, 1}),
                    Column::float64({130.5, -huge, 0, std::numeric_limits<double>::quiet_NaN()}, valid),
                    Column{},
                    Column::float64({0, 0, 0, 0}, Validity::none(4)),
                    Column::string(texts, valid)};
  batch->arrival = {0, 1, 2, 3};
  return batch;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const BatchPtr batch = make_batch();
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  History history{minute};
  const auto expression =
      Expression::compile(text).and_then([&](const Expression& e) { return e.bind(*batch->schema, &history); });
  if (!expression) {
    require(!expression.error().message.empty() && expression.error().offset <= size);
    return 0;
  }
  history.begin(*batch);
  Expression::Evaluation evaluation{&history};
  const Column column = expression->evaluate(*batch, evaluation);
  require(column.absent() || column.type() == expression->type());
  if (expression->type() == Type::boolean) {
    if (!history.empty()) return 0;  // a second look finds what the first one remembered
    const auto flags = expression->test(*batch);
    for (std::size_t row = 0; row < batch->rows; ++row) {
      require((flags[row] != 0) == (column.valid(row) && column.booleans()[row] != 0));
    }
  }
  return 0;
}
