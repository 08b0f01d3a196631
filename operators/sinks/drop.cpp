#include <weir/operator.hpp>

namespace {
using namespace weir;

class Drop final : public Sink {
 public:
  explicit Drop(const Settings&) {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

const Spec spec = Spec::sink("keeps nothing; rows are counted as of any sink")
                      .details("For trying a pipeline, and for measuring one without the cost of a database.")
                      .optional("columns", kind::columns(),
                                "columns of the rows, and how each is completed, as a sink that keeps rows has them")
                      .claims([](const Settings&) {
                        return Claims{.idempotent = true, .discards = true, .because = "it keeps nothing"};
                      })
                      .example(R"({ "id": "nowhere", "sink": "drop", "from": "signals" })");
}  // namespace

WEIR_OPERATOR(sinks, drop, Drop, spec)
