#include "core/testing/cases.hpp"

#include <gtest/gtest.h>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

/// Passes samples on; how it may go wrong is a setting.
class Pass final : public Transform {
 public:
  Pass(const Settings& settings, Context& context)
      : settings_{settings}, fault_{settings.text("fault")}, passed_{context.counter("passed")} {
    if (fault_ == "is made in vain") (void)settings.number("bye");
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    return fault_ == "binds nothing" ? Schemas{} : Schemas{inputs[0]};
  }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    ++batches_;
    samples_ += in->rows;
    out.count(passed_, in->rows);
    if (fault_ == "refuses" && in->rows != 0) out.refuse(*in, 0, {"too_hot", "99"});
    if (fault_ == "asks in vain") (void)settings_.number("bye");
    if (fault_ == "throws") throw std::runtime_error{"stoi"};
    if (fault_ == "emits elsewhere") out.emit(in, 1);
    if (fault_ == "counts nothing") out.count(99'999'999, 1);
    if (fault_ == "refuses nobody") out.refuse(*in, in->rows, "late");
    if (fault_ == "emits nothing") out.emit(nullptr);
    if (fault_ == "emits too little") {
      auto batch = std::make_shared<Batch>();
      batch->schema = in->schema;
      out.emit(std::move(batch));
    }
    if (fault_ == "stops") return fail(Error::Kind::internal, "nothing works");
    if (fault_ == "counts batches" && batches_ == 2) return {};
    if (fault_ == "forgets" && samples_ == 4) return {};
    out.emit(in);
    return {};
  }
  Result<void> load(StateReader&) override {
    if (fault_ == "can't load") throw std::runtime_error{"no room"};
    loaded_ = true;
    return {};
  }
  Size size() const override { return {.keys = fault_ == "keeps more" && loaded_ ? 1u : 0u}; }
  std::optional<Timestamp> due() const override {
    if (fault_ == "is late") return 0;
    if (fault_ == "waits") return 12 * second;
    if (fault_ == "waits long") return 100 * second;
    return {};
  }

 private:
  Settings settings_;
  std::string fault_;
  std::size_t passed_;
  std::size_t batches_ = 0, samples_ = 0;
  bool loaded_ = false;
};

class Nothing final : public Source {
 public:
  explicit Nothing(const Settings&) {}
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
};

class Away final : public Sink {
 public:
  explicit Away(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

Registry few_operators() {
  Registry out;
  register_all(out);
  out.add("sources", "nothing", make_operator<Nothing>(Spec::source("gives nothing")));
  out.add("sources", "spoken",
          make_operator<Nothing>(Spec::source("hears \"field of key\"").subjects([](const Settings&, Message& message) {
            const auto of = message.subject.find(" of ");
            message.field = message.subject.substr(0, of);
            message.key = message.subject.substr(of + 4);
          })));
  out.add("sinks", "away", make_operator<Away>(Spec::sink("keeps nothing")));
  out.add("transforms", "pass",
          make_operator<Pass>(Spec::transform("passes on")
                                  .field("fault", kind::text(), "what goes wrong", "")
                                  .counter("passed", "samples")));
  return out;
}

TEST(Cases, APipelineMayBeAFileBesideTheCases) {
  const Registry operators = few_operators();
  const std::string pipeline =
      R"({ "name": "p", "limits": { "keys": 1 }, "nodes": [ { "id": "in", "source": "nothing", "encoding": "text" }, { "id": "out", "sink": "away", "from": "in" } ] })";
  const std::string text =
      R"({ "pipeline": "p.json", "tests": [ { "name": "one", "script": [ { "at": "1s", "samples": ["key field value", "a b 1"] } ], "expect": [ { "node": "out", "rows": ["key time", "a 1s"] } ] } ] })";
  const ReadCases read = read_cases(text, "folder/p.test.json", operators, {.text = [&](const std::string& path) {
                                      return path == "folder/p.json" ? std::optional{pipeline} : std::nullopt;
                                    }});
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_TRUE(run_case(read.file->cases[0], operators).failures.empty());
  EXPECT_FALSE(read_cases(text, "p.test.json", operators).file);
}

TEST(Cases, ThePipelineSeesTheEnvironment) {
  const Registry operators = few_operators();
  const std::string text =
      R"({ "pipeline": { "limits": { "keys": "${KEYS}" }, "nodes": [ { "id": "in", "source": "nothing", "encoding": "text" }, { "id": "out", "sink": "away", "from": "in" } ] }, "tests": [ { "name": "one", "script": [ { "at": "1s" } ], "expect": [ { "dead_letters": [] } ] } ] })";
  const auto three = [](std::string_view name) {
    return name == "KEYS" ? std::optional<std::string>{"3"} : std::nullopt;
  };
  const ReadCases read = read_cases(text, "p.test.json", operators, {.environment = three});
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_EQ(read.file->cases[0].pipeline->key_limit, 3u);
  EXPECT_FALSE(read_cases(text, "p.test.json", operators).file);
}

/// What `weir test` says of the only test of a file.
std::string run(const text_tests::Input& in) {
  const Registry operators = few_operators();
  const ReadCases read = read_cases(in.text(), "some.test.json", operators);
  if (!read.file) return render(read.findings, Format::text);
  return render(run_case(read.file->cases.at(0), operators), "some.test.json");
}

const bool cases_tests = text_tests::add("engine/core/testing/cases_test.txt", {{"run", run}});

}  // namespace
}  // namespace weir
