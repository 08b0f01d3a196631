#include "fakes/codecs.hpp"

#include <gmock/gmock.h>

#include "fakes/settings.hpp"

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

TEST(JsonCodec, ReadsScalars) {
  EXPECT_THAT(decoded("21.5"), ElementsAre("k f - 21.5"));
  EXPECT_THAT(decoded("\"park\\u0065d\""), ElementsAre("k f - \"parked\""));
  EXPECT_THAT(decoded("true"), ElementsAre("k f - 1"));
  EXPECT_THAT(decoded(R"({"lat": 52.5, "lon": 13.4})"), ElementsAre("k f - 52.5,13.4"));
  EXPECT_THAT(decoded(R"({"lat": 52.5, "lon": 13.4, "alt": 34})"), ElementsAre("k f - 52.5,13.4,34"));
  EXPECT_THAT(decoded("null"), IsEmpty());
}

TEST(JsonCodec, ReadsAnObjectWithAValue) {
  EXPECT_THAT(decoded(R"({"time": 5, "value": 1})"), ElementsAre("k f 5 1"));
  EXPECT_THAT(decoded(R"({"time": 5, "value": {"lat": 1, "lon": 2}})"), ElementsAre("k f 5 1,2"));
  EXPECT_THAT(decoded(R"({"key": "v", "field": "speed", "value": "fast"})"), ElementsAre("v speed - \"fast\""));
  EXPECT_THAT(decoded(R"({"key": 145, "value": 1})"), ElementsAre("145 f - 1"));
  EXPECT_THAT(decoded(R"({"value": null})"), IsEmpty());
}

TEST(JsonCodec, ReadsMembersAsFieldsWhenNobodyNamesOne) {
  EXPECT_THAT(decoded(R"({"time": 5, "key": "v", "speed": 50, "position": {"lat": 1, "lon": 2}, "gear": null})", ""),
              ElementsAre("v speed 5 50", "v position 5 1,2"));
  EXPECT_THAT(decoded(R"({"at": {"lat": "1", "lon": 2}})", ""),
              ElementsAre("refused: not_a_point: \"at\" has a non-numeric latitude"));
}

TEST(JsonCodec, SaysWhatToDoAboutMembersThatAreNoValues) {
  const std::string ways = R"(; name what you want in "fields", or "each": "meta" if these are samples)";
  EXPECT_THAT(decoded(R"({"time": 5, "temp": 20.5, "meta": {"fw": "1"}})", ""),
              ElementsAre("k temp 5 20.5", R"(refused: value_is_object: "meta" has no lat and lon)" + ways));
  EXPECT_THAT(decoded(R"({"meta": [1]})", ""), ElementsAre(R"(refused: value_is_array: "meta")" + ways));
  EXPECT_THAT(decoded(R"({"list": [{"speed": [1]}]})", "", {{"each", std::string{"list"}}}),
              ElementsAre(R"(refused: value_is_array: "speed"; name what you want in "fields")"));
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

TEST(JsonCodec, SaysWhereKeyAndFieldWereLookedFor) {
  EXPECT_THAT(decoded(R"({"n": "speed", "value": 1})", "", {{"field", std::string{"name"}}}),
              ElementsAre(R"(refused: no_field: nothing at "name": the payload has "n", "value"; )"
                          R"(and the subject has no {field})"));
  EXPECT_THAT(decoded(R"({"list": [{"n": "speed", "v": 1}]})", "",
                      {{"each", std::string{"list"}}, {"field", std::string{"name"}}, {"value", std::string{"v"}}}),
              ElementsAre(R"(refused: no_field: nothing at "name": the entry has "n", "v"; )"
                          R"(and the subject has no {field})"));
  EXPECT_THAT(decoded("[1]", ""), ElementsAre(R"(refused: no_field: nothing at "field": the payload is an array; )"
                                              R"(and the subject has no {field})"));
  EXPECT_THAT(decoded("1", "", {{"field", std::string{}}}),
              ElementsAre(R"(refused: no_field: "field" is ""; and the subject has no {field})"));
  EXPECT_THAT(decoded("null", ""), IsEmpty());
  fakes::Samples samples;
  const auto keyless = codec()->decode({.payload = R"({"vin": 7, "value": 1})", .field = "f"}, samples);
  EXPECT_EQ(keyless.error().text(),
            R"(no_key: nothing at "key": the payload has "vin", "value"; and the subject has no {key})");
  EXPECT_THAT(samples.lines, IsEmpty());
}

TEST(JsonCodec, ReadsArraysOfAllThese) {
  EXPECT_THAT(decoded(R"([1, {"time": 2, "value": 3}, {"value": 4}])"), ElementsAre("k f - 1", "k f 2 3", "k f - 4"));
  EXPECT_THAT(decoded("[]"), IsEmpty());
  EXPECT_THAT(decoded("[[1]]"), ElementsAre(R"(refused: value_is_array: "f")"));
}

TEST(JsonCodec, FollowsPaths) {
  const Changes changes{{"time", "meta.at"}, {"value", "readings.1"}, {"time_unit", "ms"}};
  EXPECT_THAT(decoded(R"({"meta": {"at": 1500}, "readings": [1, 2]})", "f", changes), ElementsAre("k f 1500000000 2"));
  EXPECT_THAT(decoded(R"({"meta": {"at": 1500}, "readings": []})", "f", changes),
              ElementsAre(R"(refused: no_value: nothing at "readings.1": "readings" is an array)"));
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

TEST(JsonCodec, ReadsNamedFields) {
  const Changes changes{
      {"fields", fields({{"position", "gps.lat, gps.lng, gps.height"}, {"speed", "can.v"}, {"fuel", "x"}})}};
  EXPECT_THAT(
      decoded(R"({"time": 9, "gps": {"lat": 1, "lng": 2, "height": 3}, "can": {"v": 50}, "rest": [[]]})", "", changes),
      ElementsAre("k position 9 1,2,3", "k speed 9 50"));
  EXPECT_THAT(decoded(R"({"gps": {"lat": null, "lng": 2}, "can": {"v": 50}})", "", changes),
              ElementsAre("k speed - 50"))
      << "a receiver without a fix";
  EXPECT_THAT(decoded(R"({"gps": {"lat": 1, "lng": []}, "can": {"v": 50}})", "", changes),
              ElementsAre("refused: not_a_point: \"position\" has a non-numeric longitude", "k speed - 50"));
  EXPECT_THAT(decoded(R"({"gps": {"lat": 1}})", "", changes),
              ElementsAre("refused: not_a_point: \"position\" has no longitude"));
}

TEST(JsonCodec, ReadsSamplesInsideAnObjectThatSaysWhatTheyShare) {
  const Changes changes{{"each", std::string{"data.readings"}}};
  EXPECT_THAT(decoded(R"({"key": "v", "time": 5, "data": {"readings": [
                          {"field": "speed", "value": 50}, {"field": "gear", "value": 3, "time": 6}]}})",
                      "", changes),
              ElementsAre("v speed 5 50", "v gear 6 3"));
  EXPECT_THAT(decoded(R"({"time": 5, "data": {"readings": [1, null, {"value": 2}]}})", "f", changes),
              ElementsAre("k f 5 1", "k f 5 2"));
  EXPECT_THAT(decoded(R"({"time": 5, "data": {"readings": {"speed": 1, "charge": 2}}})", "", changes),
              ElementsAre("k speed 5 1", "k charge 5 2"));
  EXPECT_THAT(decoded(R"([{"time": 5, "data": {"readings": [1]}}, {"data": {"readings": [2]}}])", "f", changes),
              ElementsAre("k f 5 1", "k f - 2"))
      << "what one object says does not hold for the next";
  for (const char* none : {R"({"data": {"readings": []}})", R"({"data": {"readings": null}})", R"({"data": 1})", "5"})
    EXPECT_THAT(decoded(none, "f", changes), IsEmpty()) << none;
  EXPECT_THAT(decoded(R"({"data": {"readings": [[1]]}})", "f", changes),
              ElementsAre(R"(refused: value_is_array: "f")"));
  const Sample number{.x = 1};
  EXPECT_FALSE(codec(changes)->encode({&number, 1}, true, true));
}

TEST(JsonCodec, TakesTextsForNumbersWhereItIsToldTo) {
  const Changes changes{{"text_numbers", true}};
  EXPECT_THAT(decoded(R"({"value": "12.50"})"), ElementsAre("k f - \"12.50\""));
  EXPECT_THAT(decoded(R"({"value": "12.50"})", "f", changes), ElementsAre("k f - 12.5"));
  EXPECT_THAT(decoded(R"(["-1e3", ".5", 7])", "f", changes), ElementsAre("k f - -1000", "k f - 0.5", "k f - 7"));
  EXPECT_THAT(decoded(R"({"lat": "52.5", "lon": "13.4"})", "f", changes), ElementsAre("k f - 52.5,13.4"));
  for (const std::string text : {"", " 1", "1 km", "inf", "nan", "0x10", "1-2", "e"})
    EXPECT_THAT(decoded('"' + text + '"', "f", changes), ElementsAre("k f - \"" + text + "\"")) << text;
  EXPECT_THAT(decoded("\"1e999\"", "f", changes), ElementsAre("refused: number_out_of_range: 1e999"));
}

TEST(JsonCodec, SaysWhatStandsWhereATimeWasLookedFor) {
  const auto why = [](const char* payload, const Changes& changes = {}) {
    return codec(changes)->explain({.payload = payload, .key = "k", .field = "f"}, Lack::time);
  };
  EXPECT_EQ(why(R"({"timestamp": 5, "value": 1})", {{"time", std::string{"ts"}}}),
            R"(nothing at "ts": the payload has "timestamp", "value")");
  EXPECT_EQ(why(R"({"gps": {"at": 5}, "value": 1})", {{"time", std::string{"gps.time"}}}),
            R"(nothing at "gps.time": "gps" has "at")");
  EXPECT_EQ(why(R"({"time": null, "value": 1})"), R"(nothing at "time": "time" is null)");
  EXPECT_EQ(why("{}"), R"(nothing at "time": the payload is an empty object)");
  EXPECT_EQ(why("21.5"), R"(nothing at "time": the payload is a number)");
  EXPECT_EQ(why(R"([{"time": 5, "value": 1}, {"at": 6, "value": 1}])"),
            R"(nothing at "time": the payload has "at", "value")")
      << "the first that lacks it";
  EXPECT_EQ(why(R"({"at": 5, "list": [{"time": 1, "value": 1}, {"v": 1}]})", {{"each", std::string{"list"}}}),
            R"(nothing at "time": the payload has "at", "list"; nothing at "time": an entry of list has "v")");
  EXPECT_EQ(why(R"({"time": 5, "value": 1})"), "");
  EXPECT_EQ(why("21.5", {{"time", std::string{}}}), "") << "no payload has one, and that is said";
  EXPECT_EQ(why(R"({"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1})"),
            R"(nothing at "time": the payload has "a", "b", "c", "d", "e", "f", "g", "h", …)");
}

TEST(JsonCodec, SaysWhatStandsWhereASampleWasLookedFor) {
  const auto why = [](const char* payload, const Changes& changes = {}) {
    return codec(changes)->explain({.payload = payload, .key = "k", .field = "f"}, Lack::samples);
  };
  const Changes paths{{"fields", fields({{"speed", "obd.speed"}, {"gear", "obd.gear"}})}};
  EXPECT_EQ(why(R"({"obd2": {"speed": 5}})", paths), R"(nothing at "obd.speed": the payload has "obd2")");
  EXPECT_EQ(why(R"({"obd": {"v": 5}})", paths), R"(nothing at "obd.speed": "obd" has "v")");
  EXPECT_EQ(why(R"({"reading": []})", {{"each", std::string{"readings"}}}),
            R"(nothing at "readings": the payload has "reading")");
  for (const char* fine : {"null", "[]", "{}", R"({"time": 5})"}) EXPECT_EQ(why(fine), "") << fine;
  EXPECT_EQ(why(R"({"readings": []})", {{"each", std::string{"readings"}}}), "");
}

TEST(JsonCodec, ReadsTimesExactly) {
  const auto time = [](const char* unit, const std::string& text) {
    return decoded("{\"value\": 1, \"time\": " + text + "}", "f", {{"time_unit", std::string{unit}}});
  };
  EXPECT_THAT(time("s", "1767225600.123456789"), ElementsAre("k f 1767225600123456789 1"));
  EXPECT_THAT(time("s", "-0.5"), ElementsAre("k f -500000000 1"));
  EXPECT_THAT(time("ms", "1767225600123"), ElementsAre("k f 1767225600123000000 1"));
  EXPECT_THAT(time("us", "1.0019"), ElementsAre("k f 1001 1"));
  EXPECT_THAT(time("ns", "\"1767225600123456789\""), ElementsAre("k f 1767225600123456789 1"));
  EXPECT_THAT(time("s", "1.5e3"), ElementsAre("k f 1500000000000 1"));
  EXPECT_THAT(time("ns", "\"2026-01-01T00:00:00.5Z\""), ElementsAre("k f 1767225600500000000 1"));
  EXPECT_THAT(time("rfc3339", "\"2026-01-01T00:00:00Z\""), ElementsAre("k f 1767225600000000000 1"));
  EXPECT_THAT(time("rfc3339", "5"), ElementsAre(R"(refused: not_a_time: "5")"));
  EXPECT_THAT(time("s", "9300000000"), ElementsAre(R"(refused: not_a_time: "9300000000")"));
  EXPECT_THAT(time("s", "-9223372036.854775808"), ElementsAre(R"(refused: not_a_time: "-9223372036.854775808")"))
      << "the number that stands for no time";
  EXPECT_THAT(time("s", "1e300"), ElementsAre(R"(refused: not_a_time: "1e300")"));
  EXPECT_THAT(time("s", "1767225600123"),
              ElementsAre(R"(refused: not_a_time: "1767225600123"; with "time_unit": "ms" it )"
                          "would be 2026-01-01T00:00:00.123Z"));
  EXPECT_THAT(time("ms", "1767225600123456"), ElementsAre(EndsWith("; with \"time_unit\": \"us\" it would be "
                                                                   "2026-01-01T00:00:00.123456Z")));
  EXPECT_THAT(time("rfc3339", "1767225600"), ElementsAre(HasSubstr("\"time_unit\": \"s\"")));
  EXPECT_THAT(time("s", "\"soon\""), ElementsAre(R"(refused: not_a_time: "soon")"));
  EXPECT_THAT(time("s", "\"2026-11-21 16:28:21\""),
              ElementsAre(R"(refused: not_a_time: "2026-11-21 16:28:21"; write 2026-11-21T16:28:21Z if it is UTC)"));
  EXPECT_THAT(time("ns", "\"2026-11-21T16:28:21.5\""),
              ElementsAre(EndsWith("; write 2026-11-21T16:28:21.5Z if it is UTC")));
  EXPECT_THAT(time("ns", "\"2026-11-21\""), ElementsAre(EndsWith("; write 2026-11-21T00:00:00Z if it is UTC")));
  EXPECT_THAT(time("s", "[]"), ElementsAre(StartsWith("refused: not_a_time")));
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

TEST(JsonCodec, RefusesHalfASurrogatePairInEitherOrder) {
  for (const char* text : {R"("\udc00")", R"("\ud800")", R"("\ud800a")", R"("\udc00\ud800")", R"({"a\udfff": 1})"}) {
    EXPECT_THAT(decoded(text), ElementsAre(StartsWith("refused: not_json: "))) << text;
  }
  EXPECT_THAT(decoded(R"("\ud83d\ude80 \ud7ff")"), ElementsAre("k f - \"\xF0\x9F\x9A\x80 \xED\x9F\xBF\""));
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

std::string renamed(std::string_view payload, const Changes& changes = {}) {
  const auto out = codec(changes)->renamed({.payload = payload},
                                           [](std::string_view key) { return "<" + std::string{key} + ">\""; });
  return out.value_or(out ? "" : "no: " + out.error());
}

TEST(JsonCodec, ReplacesTheKeysThatItReadsAndNothingElse) {
  EXPECT_EQ(renamed(R"( {"value": 1.50, "key" : "v" } )"), R"( {"value": 1.50, "key" : "<v>\"" } )");
  EXPECT_EQ(renamed(R"({"key":145,"value":145})"), R"({"key":"<145>\"","value":145})");
  EXPECT_EQ(renamed(R"({"key":"a\u0041\"\\","x":"\u0041"})"), R"({"key":"<aA\"\\>\"","x":"\u0041"})");
  EXPECT_EQ(renamed(R"([{"key":"v","value":1},{"value":2},{"key":"w","value":3}])"),
            R"([{"key":"<v>\"","value":1},{"value":2},{"key":"<w>\"","value":3}])");
  EXPECT_EQ(renamed(R"({"of":{"vin":"v"},"key":"k","m":[{"of":{"vin":7}},{"key":"l"}]})",
                    {{"key", std::string{"of.vin"}}, {"each", std::string{"m"}}}),
            R"({"of":{"vin":"<v>\""},"key":"k","m":[{"of":{"vin":"<7>\""}},{"key":"l"}]})");
  EXPECT_EQ(renamed("21.5"), "21.5");
  EXPECT_THAT(renamed("{"), StartsWith("no: not_json"));
}

TEST(JsonCodec, ReplacesNoKeyWhereOneMoreMayStandThatItDoesNotRead) {
  EXPECT_THAT(renamed(R"({"key":"v","value":1,"key":"v"})"), StartsWith("no: "));
  EXPECT_THAT(renamed(R"([{"key":"w"},{"key":"v","k\u0065y":"v"}])"), StartsWith("no: "));
  const Changes deep{{"key", std::string{"of.vin"}}, {"each", std::string{"m"}}};
  EXPECT_THAT(renamed(R"({"of":{"vin":"v"},"of":{"vin":"v"}})", deep), StartsWith("no: "));
  EXPECT_THAT(renamed(R"({"m":[{"of":{"vin":"v","vin":7}}]})", deep), StartsWith("no: "));
  EXPECT_THAT(renamed(R"({"m":[{"of":{"vin":"v"}}],"m":[{"of":{"vin":"v"}}]})", deep), StartsWith("no: "));
  EXPECT_EQ(renamed(R"({"key":"v","value":1,"value":2})"), R"({"key":"<v>\"","value":1,"value":2})");
}

}  // namespace
}  // namespace weir
