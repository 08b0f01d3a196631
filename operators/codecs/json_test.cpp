#include "fakes/codecs.hpp"

#include <gmock/gmock.h>

#include <weir/format.hpp>

#include "core/plan/pipeline.hpp"
#include "fakes/registry.hpp"
#include "fakes/settings.hpp"
#include "text_tests/text_tests.hpp"

namespace weir {
Operator weir_operator_codecs_json();

namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Changes = std::map<std::string, Setting>;

std::unique_ptr<Codec> codec(const Changes& changes = {}) {
  const Operator op = weir_operator_codecs_json();
  return fakes::make_codec(op, fakes::settings_of(op, changes));
}

Setting fields(const std::vector<std::pair<std::string, std::string>>& paths) {
  auto map = std::make_shared<Settings>();
  for (const auto& [name, path] : paths) map->set(name, path);
  return std::shared_ptr<const Settings>{std::move(map)};
}

std::vector<std::string> decoded(std::string_view payload, std::string_view field = "f", const Changes& changes = {}) {
  return fakes::decoded(*codec(changes), payload, field);
}

/// It comes into logs, terminals and tables: no line of its own, no escape sequence, no end of what it may cost.
TEST(JsonCodec, QuotesWhatItRefuses) {
  const std::string forged = R"(a\n2026-01-01T00:00:00Z error \u001b[2J)";  // escaped in JSON as in a quotation
  const std::string rocket = "\U0001F680";
  std::string long_name, shown;
  for (int i = 0; i < 1000; ++i) (i < 60 ? shown : long_name) += rocket;
  for (const auto& [name, quotation] : {std::pair{forged, '"' + forged}, {shown + long_name, '"' + shown + "…\""}}) {
    const std::string text = '"' + name + '"';
    for (const std::string& payload :
         {"{" + text + ": [1]}", "{" + text + R"(: {"fw": 1}})", R"({"value": 1, "time": )" + text + "}"}) {
      const auto said = decoded(payload, payload.contains("time") ? "f" : "");
      ASSERT_EQ(said.size(), 1) << payload;
      EXPECT_THAT(said.front(), AllOf(StartsWith("refused: "), HasSubstr(": " + quotation)));
      EXPECT_EQ(said.front().find_first_of("\n\x1b"), std::string::npos) << said.front();
      EXPECT_LT(said.front().size(), 1000u);
    }
  }
}

TEST(JsonCodec, TellsItsPathsFromOtherNotations) {
  Settings settings{"json"};
  settings.set("time", std::string{"/ts"});
  settings.set("fields", fields({{"speed", "$.obd.speed"}, {"gear", "obd.gear"}}));
  std::vector<std::string> blamed;
  for (const Error& problem : weir_operator_codecs_json().spec.problems_of(settings)) {
    EXPECT_THAT(problem.message, HasSubstr("names with dots between"));
    blamed.push_back(problem.setting);
  }
  EXPECT_THAT(blamed, ElementsAre("time", "fields.speed"));
}

TEST(JsonCodec, KeepsFullPrecisionAndRefusesWhatDoesNotFit) {
  EXPECT_THAT(decoded("0.30000000000000004"), ElementsAre("k f - 0.30000000000000004"));
  EXPECT_THAT(decoded("1.7976931348623157e308"), ElementsAre("k f - 1.7976931348623157e+308"));
  EXPECT_THAT(decoded("1e-400"), ElementsAre("k f - 0"));
  EXPECT_THAT(decoded("-1e-5000"), ElementsAre("k f - 0"));
  EXPECT_THAT(decoded("0." + std::string(5000, '0') + "1"), ElementsAre("k f - 0"));
  EXPECT_THAT(decoded("1" + std::string(5000, '0') + "e-1"), ElementsAre(StartsWith("refused: number_out_of_range")));
  EXPECT_THAT(decoded("0." + std::string(6000, '0') + "1e3"), ElementsAre("k f - 0"));
  EXPECT_THAT(decoded("0.001e5000"), ElementsAre(StartsWith("refused: number_out_of_range")));
  EXPECT_THAT(decoded("1e-99999999999999999999"), ElementsAre("k f - 0"));
  EXPECT_THAT(decoded("-1E+99999999999999999999"), ElementsAre(StartsWith("refused: number_out_of_range")));
  EXPECT_THAT(decoded("1e400"), ElementsAre("refused: number_out_of_range: at byte 0"));
  for (const char* payload :
       {"NaN", "Infinity", "-Infinity", "nul", "{", "[1,]", "{\"a\":1,}", "1 2", "01", "'a'", "\"\xFF\""}) {
    EXPECT_THAT(decoded(payload), ElementsAre(StartsWith("refused: not_json: "))) << payload;
  }
  EXPECT_THAT(decoded(""), ElementsAre("refused: empty_payload"));
  EXPECT_THAT(decoded("  "), ElementsAre(StartsWith("refused: not_json")));
  EXPECT_THAT(decoded(std::string_view{"1\0 2", 4}), ElementsAre("refused: not_json: a NUL byte"));
}

TEST(JsonCodec, DeepNestingIsRefusedNotFollowed) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string payload;
    while (payload.size() < 2u << 20) payload += open;
    EXPECT_THAT(decoded(payload), ElementsAre("refused: not_json: nested deeper than 64 levels"));
  }
}

TEST(JsonCodec, WritesWhatItReads) {
  const Sample samples[] = {
      {.key = "v", .field = "speed", .time = 5, .x = 0.1},
      {.key = "v", .field = "position", .time = 6, .x = 1, .y = 2, .z = 3, .kind = Sample::Kind::point},
      {.key = "v", .field = "gear", .text = "D\n\"", .kind = Sample::Kind::text}};
  const auto payload = codec()->encode(samples, false, false);
  ASSERT_TRUE(payload);
  EXPECT_EQ(*payload, R"([{"key":"v","field":"speed","time":5,"value":0.1},)"
                      R"({"key":"v","field":"position","time":6,"value":{"lat":1,"lon":2,"alt":3}},)"
                      R"({"key":"v","field":"gear","value":"D\n\""}])");
  EXPECT_THAT(decoded(*payload), ElementsAre("v speed 5 0.1", "v position 6 1,2,3", "v gear - \"D\n\"\""));

  const Sample bare{.key = "v", .field = "speed", .x = 21.5};
  EXPECT_EQ(codec()->encode({&bare, 1}, true, true), "21.5");
}

TEST(JsonCodec, WritesTimesInTheUnit) {
  for (const auto& [unit, text] :
       {std::pair{"s", "-1.5"}, {"ms", "-1500"}, {"us", "-1500000"}, {"rfc3339", "\"1969-12-31T23:59:58.5Z\""}}) {
    const Sample sample{.time = -1'500'000'000, .x = 1};
    const auto written = codec({{"time_unit", std::string{unit}}})->encode({&sample, 1}, true, true);
    EXPECT_EQ(written, "{\"time\":" + std::string{text} + ",\"value\":1}");
  }
}

TEST(JsonCodec, RefusesToWriteWhatJsonCannotHold) {
  const Sample infinite{.x = 1 / 0.0};
  EXPECT_FALSE(codec()->encode({&infinite, 1}, true, true));
  const Sample number{.x = 1};
  EXPECT_FALSE(codec({{"time", "meta.at"}})->encode({&number, 1}, true, true));
}

/// The encoding of the first block, if there are two, as a pipeline with it has it.
std::unique_ptr<Codec> codec_of(const std::string& encoding) {
  const std::string text = weir::format(R"({{ "name": "p", "nodes": [
    {{ "id": "in", "source": "nats", "subject": "v.{{key}}.{{field}}", "mode": "core", "encoding": {} }},
    {{ "id": "out", "sink": "drop", "from": "in" }} ] }})",
                                        encoding);
  const Checked checked = check_pipeline(text, "", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return fakes::make_codec(weir_operator_codecs_json(), checked.pipeline->nodes[0].codec_settings);
}

std::unique_ptr<Codec> codec_of(const text_tests::Input& in) {
  return codec_of(in.blocks.size() > 1 ? in.blocks.front() : R"("json")");
}

const std::string& payload_of(const text_tests::Input& in) {
  return in.blocks.empty() ? in.argument : in.blocks.back();
}

std::string lines_of(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string lack_of(const text_tests::Input& in, Lack lack) {
  return codec_of(in)->explain({.payload = payload_of(in), .key = "k", .field = "f"}, lack);
}

std::string decoded_time(const text_tests::Input& in) {
  const std::size_t space = in.argument.find(' ');
  const auto unit = codec_of(R"({ "codec": "json", "time_unit": ")" + in.argument.substr(0, space) + "\" }");
  return lines_of(fakes::decoded(*unit, R"({"value": 1, "time": )" + in.argument.substr(space + 1) + "}"));
}

std::string decoded_without_key(const text_tests::Input& in) {
  fakes::Samples samples;
  const auto result = codec_of(in)->decode({.payload = payload_of(in), .field = "f"}, samples);
  return lines_of(samples.lines) + (result ? "" : result.error().text());
}

std::string renamed_keys(const text_tests::Input& in) {
  const auto out = codec_of(in)->renamed({.payload = payload_of(in)},
                                         [](std::string_view key) { return "<" + std::string{key} + ">\""; });
  return out.value_or(out ? "" : "no: " + out.error());
}

std::string encoded_number(const text_tests::Input& in) {
  const Sample number{.x = 1};
  return codec_of(in)->encode({&number, 1}, true, true).value_or("can't be encoded");
}

const bool json_tests = text_tests::add(
    "operators/codecs/json_test.txt",
    {{"decoded", [](const auto& in) { return lines_of(fakes::decoded(*codec_of(in), payload_of(in))); }},
     {"without_field", [](const auto& in) { return lines_of(fakes::decoded(*codec_of(in), payload_of(in), "")); }},
     {"without_key", decoded_without_key},
     {"lacks_time", [](const auto& in) { return lack_of(in, Lack::time); }},
     {"lacks_samples", [](const auto& in) { return lack_of(in, Lack::samples); }},
     {"time", decoded_time},
     {"encoded", encoded_number},
     {"renamed", renamed_keys}});

}  // namespace
}  // namespace weir
