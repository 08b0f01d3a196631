/// Payloads that can't be decoded, or hold nothing: refused whole with a reason, kept with their bytes, counted.
#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>

#include <weir/format.hpp>

#include "conformance/lane.hpp"
#include "core/plan/node_context.hpp"

namespace weir::conformance {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const Codec& codec(const std::string& name) {
  static const auto pipeline = checked(
      R"({ "name": "c", "nodes": [ { "id": "s", "source": "nats" }, { "id": "d", "sink": "drop", "from": "s" } ] })");
  static Counters counters;
  static NodeContext context{
      {*pipeline, fakes::registry(), counters, system_clock()}, pipeline->nodes[0], 0, nullptr, nullptr};
  return *context.codec(name);
}

std::string encoded(const std::string& with, const std::vector<Sample>& samples) {
  const auto payload = codec(with).encode(samples, false, false);
  EXPECT_TRUE(payload) << payload.error();
  return payload.value_or("");
}

/// Each payload between two good ones: the good ones pass, the bad one is a dead letter with its bytes.
void expect_refused(Lane& lane, const std::string& good, const std::string& bad, const std::string& reason) {
  SCOPED_TRACE(bad.substr(0, 80));
  ASSERT_NE(reason, "") << "every reason has that in it";
  const auto out = lane.feed({good, bad, good});
  EXPECT_EQ(rows_of(out), 2u);
  ASSERT_EQ(out.dead_letters.size(), 1u);
  EXPECT_THAT(out.dead_letters[0].reason.text(), HasSubstr(reason));
  EXPECT_EQ(out.dead_letters[0].payload, bad);
  EXPECT_EQ(out.dead_letters[0].subject, "vehicle.v.f");
  EXPECT_EQ(out.dead_letters[0].position, out.place.position - 1);
  EXPECT_EQ(out.dead_letters[0].node, "signals");
}

TEST(BadPayload, a_json_payload_is_refused_whole_with_a_reason) {
  Lane lane{"json"};
  const std::string good = R"({"time":1800000000000000000,"value":1})";
  const std::string long_key(10'000, 'k'), megabyte(1 << 20, 'x');
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "empty_payload"},
      {megabyte, "not_json"},
      {std::string(1 << 20, '['), "not_json"},
      {R"({"value":NaN})", "not_json"},
      {R"({"value":1e999})", "number_out_of_range"},
      {R"({"value":-1e999})", "number_out_of_range"},
      {R"({"time":1e300,"value":1})", "not_a_time"},
      {R"({"time":"yesterday","value":1})", "not_a_time"},
      {R"({"key":")" + long_key + R"(","value":1})", "key_too_long"},
      {R"({"key":"w","value":1})", "key_differs_from_subject: \"w\" in the payload"},
      {R"({"field":")" + long_key + R"(","value":1})", "field_too_long"},
      {"{\"key\":\"\xff\",\"value\":1}", "not_json: mistake at byte 8"},
      {R"([{"value":[]}])", "value_is_array"},
      {R"({"value":{"lat":91,"lon":181}})", "not_on_earth: \"f\" 91/181"},
  };
  for (const auto& [payload, reason] : bad) expect_refused(lane, good, payload, reason);
  EXPECT_EQ(lane.counters.value("signals", "invalid"), bad.size());
  EXPECT_EQ(lane.counters.value("signals", "messages"), 3 * bad.size());
}

TEST(BadPayload, what_else_a_json_message_says_is_taken) {
  Lane lane{"json"};
  const auto out = lane.feed({R"([{"value":1},{"value":[]},{"value":[]},{"time":"noon","value":2},{"value":3}])",
                              R"([{"field":"position","value":{"lat":null,"lon":null}},{"value":4}])"});
  EXPECT_EQ(rows_of(out), 3u) << "a receiver without a fix says nothing";
  ASSERT_EQ(out.dead_letters.size(), 2u) << "one for each reason";
  EXPECT_EQ(out.dead_letters[0].reason.text(),
            "value_is_array: \"f\"; 2 samples of its message; the others of its message are taken");
  EXPECT_THAT(out.dead_letters[1].reason.text(), HasSubstr("not_a_time"));
  EXPECT_EQ(lane.counters.value("signals", "invalid"), 2u);
}

TEST(BadPayload, a_text_payload_is_refused_whole_with_a_reason) {
  Lane lane{"text"};
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "empty_payload"},
      {" \n", "empty_payload"},
      {"nan", "not_finite"},
      {"-inf", "not_finite"},
      {"1e999", "number_out_of_range"},
      {"0x1p3", "not_a_number"},
      {"12 13", "not_a_number"},
      {std::string(1 << 20, '9'), "number_out_of_range"},
  };
  for (const auto& [payload, reason] : bad) expect_refused(lane, "21.5", payload, reason);
  EXPECT_EQ(lane.counters.value("signals", "invalid"), bad.size());
}

TEST(BadPayload, a_flatbuffer_is_refused_whole_with_a_reason) {
  Lane lane{"flatbuffers"};
  const std::string good = encoded("flatbuffers", {{.key = "v", .field = "f", .time = now, .x = 1.25}});
  const auto bits = std::bit_cast<std::array<char, 8>>(1.25);
  const auto at = good.find(std::string_view{bits.data(), bits.size()});
  ASSERT_NE(at, std::string::npos);
  const auto with = [&](double value) {
    std::string out = good;
    std::memcpy(out.data() + at, &value, sizeof value);
    return out;
  };
  const std::string long_key(10'000, 'k');
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "empty_payload"},
      {"abc", "not_a_flatbuffer: 3 bytes"},
      {std::string(1 << 20, 'x'), "not_a_weir_frame"},
      {with(std::nan("")), "not_finite"},
      {with(HUGE_VAL), "not_finite"},
      {encoded("flatbuffers", {{.key = long_key, .field = "f", .time = now, .x = 1}}), "key_too_long"},
      {good.substr(0, good.size() - 8), "not_a_flatbuffer: its offsets do not fit"},
  };
  for (const auto& [payload, reason] : bad) expect_refused(lane, good, payload, reason);
  EXPECT_EQ(lane.counters.value("signals", "invalid"), bad.size());
}

TEST(BadPayload, a_corrupt_flatbuffer_becomes_samples_or_a_dead_letter_never_neither) {
  Lane lane{"flatbuffers", R"({ "id": "out", "sink": "drop", "from": "signals" })",
            R"("keys": 1000, "dead_letters_per_key": 100000, "dead_letters_per_reason": 100000)"};
  const std::string whole =
      encoded("flatbuffers", {{.key = "v", .field = "speed", .time = now, .x = 1.25},
                              {.key = "v", .field = "speed", .time = now + 1, .x = 2.5},
                              {.key = "v", .field = "mode", .time = now, .text = "eco", .kind = Sample::Kind::text}});
  std::vector<std::string> corrupt;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    corrupt.push_back(whole.substr(0, i));
    for (const int flip : {0x01, 0x80, 0xff}) {
      corrupt.push_back(whole);
      corrupt.back()[i] = static_cast<char>(corrupt.back()[i] ^ flip);
    }
  }
  std::uint64_t letters = 0;
  for (const auto& payload : corrupt) {
    const std::uint64_t empty = lane.counters.value("signals", "empty_messages");
    const auto out = lane.feed({payload});
    letters += out.dead_letters.size();
    const bool counted = lane.counters.value("signals", "empty_messages") == empty + 1;
    EXPECT_EQ(out.dead_letters.size() + (rows_of(out) > 0 ? 1 : 0) + (counted ? 1 : 0), 1u);
  }
  const auto refused = lane.counters.value("signals", "invalid");
  EXPECT_EQ(letters, refused);
  EXPECT_GT(refused, corrupt.size() / 4);
  EXPECT_EQ(lane.counters.value("signals", "messages"), corrupt.size());
}

TEST(BadPayload, a_message_that_holds_no_sample_is_counted) {
  Lane lane{"json"};
  const auto out = lane.feed({"[]", R"({"value":null})", R"({"value":1})"});
  EXPECT_EQ(rows_of(out), 1u);
  EXPECT_THAT(out.dead_letters, IsEmpty());
  EXPECT_EQ(lane.counters.value("signals", "messages"), 3u);
  EXPECT_EQ(lane.counters.value("signals", "empty_messages"), 2u);
}

TEST(BadPayload, a_large_payload_passes_whole) {
  Lane lane{"json"};
  std::string payload = "[";
  std::size_t samples = 0;
  for (; payload.size() < 1'000'000; ++samples)
    payload += weir::format(R"({}{{"time":{},"value":{}}})", samples == 0 ? "" : ",",
                            now + static_cast<Timestamp>(samples), samples);
  const auto out = lane.feed({payload + "]"});
  EXPECT_EQ(rows_of(out), samples);
  EXPECT_THAT(out.dead_letters, IsEmpty());
}

}  // namespace
}  // namespace weir::conformance
