#include <gtest/gtest.h>

#include <algorithm>

#include "core/testing/cases.hpp"
#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

class Silent final : public Source {
 public:
  explicit Silent(const Settings&) {}
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
};

class Discarding final : public Sink {
 public:
  explicit Discarding(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

/// A source that gives everything again, or only what was not acknowledged, or nothing.
Registry with_sources() {
  Registry out;
  register_all(out);
  const auto source = [](Claims claims) {
    return make_operator<Silent>(
        Spec::source("gives what it claims to").claims([=](const Settings&) { return claims; }));
  };
  out.add("sources", "replays", source({.replayable = true, .ordered = true}));
  out.add("sources", "redelivers", source({.acknowledges = true}));
  out.add("sources", "forgets", source({}));
  out.add("sources", "reminds", source({.reminds = true}));
  out.add("sources", "spoken",
          make_operator<Silent>(Spec::source("hears \"field of key\"").subjects([](const Settings&, Message& message) {
            const auto of = message.subject.find(" of ");
            message.field = message.subject.substr(0, of);
            message.key = message.subject.substr(of + 4);
          })));
  const auto sink = [](Claims claims) {
    return make_operator<Discarding>(Spec::sink("keeps").claims([=](const Settings&) { return claims; }));
  };
  out.add("sinks", "table", sink({.transactional = true}));
  out.add("sinks", "ids", sink({.idempotent = true}));
  out.add("sinks", "ids for 10s", sink({.idempotent = true, .window = 10 * second}));
  out.add("sinks", "list", sink({}));
  return out;
}

TEST(CaseScript, ARecordedMessageHasTheKeyThatItsSourceGaveIt) {
  const Registry operators = with_sources();
  const std::string text =
      R"({ "pipeline": { "nodes": [ { "id": "in", "source": "replays", "encoding": "text" }, { "id": "out", "sink": "table", "from": "in" } ] },
           "tests": [ { "name": "t", "script": [ { "replay": "day.weir" } ], "expect": [ { "node": "out", "rows": ["key field value", "a b 7"] } ] } ] })";
  CaseSurroundings around;
  around.messages = [](const std::string&, Timestamp, Timestamp) -> Result<std::vector<CaseMessage>> {
    return std::vector<CaseMessage>{{.subject = "s", .payload = "7", .at = second, .key = "a", .field = "b"}};
  };
  const ReadCases read = read_cases(text, "t.test.json", operators, around);
  ASSERT_TRUE(read.file) << render(read.findings, Format::text);
  EXPECT_EQ(render(run_case(read.file->cases.at(0), operators), "t"), "");
}

/// Reads the only test of a case file, "t.test.json" or as the argument says, and shows what came of running it.
template <typename Show>
std::string after_running(const text_tests::Input& in, Show show) {
  const Registry operators = with_sources();
  CaseSurroundings around;
  around.text = [](const std::string&) { return std::optional{std::string{"value"}}; };
  around.messages = [](const std::string& path, Timestamp from, Timestamp) -> Result<std::vector<CaseMessage>> {
    if (path != "folder/day.weir") return fail(Error::Kind::refused, path + ": no such file");
    return std::vector<CaseMessage>{{.subject = "b of a", .payload = "7", .at = from},
                                    {.subject = "", .payload = "", .at = 9 * second, .marker = true}};
  };
  const ReadCases read = read_cases(in.text(), in.argument.empty() ? "t.test.json" : in.argument, operators, around);
  return read.file ? show(run_case(read.file->cases.at(0), operators)) : render(read.findings, Format::text);
}

/// The rows that `weir test --update` would write, on one line.
std::string rows_of(const CaseResult& result) {
  std::string out = result.updates.empty() ? render(result, "t") : result.updates.at(0).text;
  if (!result.updates.empty()) std::ranges::replace(out, '\n', ' ');
  return out.substr(0, out.find_last_not_of(' ') + 1);
}

const bool case_script_tests = text_tests::add(
    "engine/core/testing/case_script_test.txt",
    {{"rows", [](const auto& in) { return after_running(in, rows_of); }},
     {"failures",
      [](const auto& in) { return after_running(in, [](const CaseResult& result) { return render(result, "t"); }); }}});

}  // namespace
}  // namespace weir
