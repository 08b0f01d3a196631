#include <weir/operator.hpp>

namespace {
using namespace weir;

class Drop final : public Sink {
 public:
  Drop(const Settings&, Context& context) : context_{context}, rows_{context.counter("rows")} {}

  Result<void> settle(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded& rows) override {
    context_.count(rows_, rows.rows);
    return {};
  }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }

 private:
  Context& context_;
  std::size_t rows_;
};

const Spec spec = Spec::sink("counts rows and keeps nothing")
                      .details("For trying a pipeline, and for measuring one without the cost of a database.")
                      .optional("columns", kind::columns(),
                                "columns of the rows, and how each is completed, as a sink that keeps rows has them")
                      .counter("rows", "rows that were thrown away")
                      .claims([](const Settings&) {
                        return Claims{.idempotent = true, .discards = true, .because = "it keeps nothing"};
                      })
                      .example(R"({ "id": "nowhere", "sink": "drop", "from": "signals" })");
}  // namespace

WEIR_OPERATOR(sinks, drop, Drop, spec)
