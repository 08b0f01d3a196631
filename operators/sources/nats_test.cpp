/// What `weir nats mapping` prints; that the server does what it says is shown in tests/integration.
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "core/plan/pipeline.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string text_of(const std::string& file) {
  std::ifstream in{std::string{WEIR_SOURCE_DIR} + "/" + file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// Of the first node that has one, with these settings changed.
Result<std::string> mapping(const std::string& text, std::vector<std::pair<std::string, std::string>> changes = {}) {
  CheckOptions options;
  options.overrides = std::move(changes);
  const Checked checked = check_pipeline(text, "test", fakes::registry(), options);
  if (!checked.pipeline) throw std::runtime_error{render(checked.findings, Format::text)};
  for (const Node& node : checked.pipeline->nodes) {
    for (const SetupSpec& setup : node.op->spec.setups) {
      if (setup.name == "mapping") return setup.text(node.settings);
    }
  }
  throw std::runtime_error{"no node has a mapping"};
}

std::string reading(const std::string& settings) {
  return R"({ "name": "test", "nodes": [ { "id": "signals", "source": "nats", )" + settings +
         R"( }, { "id": "out", "sink": "drop", "from": "signals" } ] })";
}

TEST(NatsMapping, IsTheOneOfTheExampleConfiguration) {
  const std::string fleet = mapping(text_of("pipelines/fleet.json"), {{"signals.partitions", "16"}}).value();
  const auto entry = fleet.find("  \"vehicle");
  ASSERT_NE(entry, std::string::npos) << fleet;
  const std::string line = fleet.substr(entry + 2, fleet.find('\n', entry) - entry - 2);
  EXPECT_EQ(line, R"("vehicle.*.>": "p.{{partition(16,1)}}.vehicle.{{wildcard(1)}}.>")");
  EXPECT_THAT(text_of("deploy/nats/accounts.conf"), HasSubstr("mappings: {\n      " + line + "\n    }\n"));
}

/// weir's workers are in the devices' account: what they pull goes to subjects below _INBOX.
TEST(NatsAccounts, LetNoDeviceReadWhatWorkersPull) {
  const std::string accounts = text_of("deploy/nats/accounts.conf");
  const auto device = accounts.find("{ user: \"device\"");
  const auto rights = accounts.find("subscribe: { allow: [", device);
  ASSERT_NE(rights, std::string::npos) << "a user without rights of its own may read everything";
  const std::string allowed = accounts.substr(rights, accounts.find(']', rights) - rights);
  EXPECT_THAT(allowed, HasSubstr("\"_INBOX_device.>\""));
  for (const char* everybodys : {"\"_INBOX.", "\">", "\"*"}) EXPECT_THAT(allowed, Not(HasSubstr(everybodys)));
}

TEST(NatsMapping, NamesTheStreamsThatItFeeds) {
  EXPECT_EQ(mapping(reading(R"("stream": "T", "subject": "eu.{key}", "partitions": 4)")).value(),
            R"(# signals: a vehicle's messages always reach the same of the 4 streams T-0 to T-3.
# T-0 takes p.0.eu.* and the markers p.0.clock.T,
# T-3 takes p.3.eu.* and p.3.clock.T; "create": true makes them.
# For the account of the devices, or the top level if there are no accounts; one that has mappings already gets
# the entry alone. eu.* is then found under p.*.eu.* by all who subscribe to it.
mappings: {
  "eu.*": "p.{{partition(4,1)}}.eu.{{wildcard(1)}}"
}
)");
}

TEST(NatsMapping, EscapesWhatTheConfigurationQuotes) {
  EXPECT_THAT(mapping(reading(R"("stream": "T", "subject": "a\"b\\c.{key}", "partitions": 4)")).value(),
              HasSubstr(R"("a\"b\\c.*": "p.{{partition(4,1)}}.a\"b\\c.{{wildcard(1)}}")"));
}

TEST(NatsMapping, SaysThatNoneIsNeeded) {
  for (const auto& [settings, sentence] : std::vector<std::pair<std::string, std::string>>{
           {R"("stream": "T", "subject": "vehicle.{key}")",
            "# No mapping is needed: signals reads one stream, T, which takes vehicle.* as it is published.\n"},
           {R"("stream": "T", "subject": "{key}.>")",
            "# No mapping is needed: signals reads one stream, T, which takes *.> as it is published.\n"},
           {R"("stream": "T", "mode": "shared", "durable": "d")",
            "# No mapping is needed: signals reads one stream, T, which takes vehicle.*.* as it is published.\n"},
           {R"("subject": "vehicle.{key}.speed")",
            "# No mapping is needed: signals receives vehicle.*.speed as it is published.\n"}})
    EXPECT_EQ(mapping(reading(settings)).value(), sentence) << settings;
}

TEST(NatsMapping, SaysWhatTheServerCanNotDo) {
  const auto none = mapping(reading(R"("stream": "T", "subject": "vehicle.>", "partitions": 4)"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().setting, "subject");
  EXPECT_THAT(none.error().message, HasSubstr("has no {key}"));
}

}  // namespace
}  // namespace weir
