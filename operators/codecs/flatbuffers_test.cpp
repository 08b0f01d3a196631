#include <cstring>

#include <flatbuffers/flatbuffers.h>
#include <gmock/gmock.h>

#include "fakes/codecs.hpp"
#include "telemetry_generated.h"

namespace weir {
Operator weir_operator_codecs_flatbuffers();

namespace {
using testing::ElementsAre;
using testing::StartsWith;

const auto frame_codec = fakes::make_codec(weir_operator_codecs_flatbuffers());

std::vector<std::string> decoded_frame(std::string_view payload) { return fakes::decoded(*frame_codec, payload); }

std::string encoded(std::span<const Sample> samples, bool key_outside = true, bool field_outside = false) {
  auto payload = frame_codec->encode(samples, key_outside, field_outside);
  EXPECT_TRUE(payload) << payload.error();
  return payload.value_or("");
}

const double nan = std::nan("");

TEST(FlatBuffersCodec, OneNumberTakesFewBytes) {
  const Sample sample{.key = "145", .field = "speed", .time = 5, .x = 52.5};
  const auto payload = encoded({&sample, 1}, true, true);
  EXPECT_LE(payload.size(), 72u);
  EXPECT_THAT(decoded_frame(payload), ElementsAre("k f 5 52.5"));
}

TEST(FlatBuffersCodec, SinglesOfOneLayoutHoldTheirOwnValues) {
  for (const double x : {0.0, 52.5, -0.0, 1e300}) {
    const Sample number{.key = "k", .field = "f", .time = 5, .x = x};
    const Sample point{.key = "k", .field = "f", .x = x, .y = 2, .z = nan, .kind = Sample::Kind::point};
    for (const Sample& sample : {number, point}) {
      // With a name the frame is built in full, which says what the samples are.
      EXPECT_EQ(decoded_frame(encoded({&sample, 1}, true, true)), decoded_frame(encoded({&sample, 1}, true, false)));
    }
  }
}

TEST(FlatBuffersCodec, GroupsSamplesByFieldInOrder) {
  const Sample samples[] = {
      {.key = "v", .field = "speed", .time = 1, .x = 10},
      {.key = "v", .field = "position", .time = 1, .x = 1, .y = 2, .z = 3, .kind = Sample::Kind::point},
      {.key = "v", .field = "speed", .time = 3, .x = 11},
      {.key = "v", .field = "gear", .time = 2, .text = "D", .kind = Sample::Kind::text},
      {.key = "v", .field = "position", .x = 4, .y = 5, .z = nan, .kind = Sample::Kind::point},
      {.key = "v", .field = "speed", .time = 2, .x = 12}};
  EXPECT_THAT(decoded_frame(encoded(samples, false)),
              ElementsAre("v speed 1 10", "v speed 3 11", "v speed 2 12", "v position 1 1,2,3", "v position - 4,5",
                          "v gear 2 \"D\""));
}

TEST(FlatBuffersCodec, ReadsAtAnyAddress) {
  const Sample sample{.field = "speed", .time = 5, .x = 52.5};
  for (const std::size_t text : {1u, 5000u}) {
    const std::string filler(text, 'x');
    const Sample samples[] = {sample, {.field = "note", .text = filler, .kind = Sample::Kind::text}};
    const auto payload = encoded(samples);
    for (std::size_t shift = 0; shift < 8; ++shift) {
      const std::string moved = std::string(shift, ' ') + payload;
      EXPECT_THAT(decoded_frame(std::string_view{moved}.substr(shift)),
                  ElementsAre("k speed 5 52.5", "k note - \"" + filler + '"'));
    }
  }
}

TEST(FlatBuffersCodec, RefusesOtherBytes) {
  EXPECT_THAT(decoded_frame(""), ElementsAre("refused: empty_payload"));
  EXPECT_THAT(decoded_frame("1234"), ElementsAre("refused: not_a_flatbuffer: 4 bytes"));
  const std::string json = R"(; it looks like JSON: write "encoding": "json")";
  EXPECT_THAT(decoded_frame("{\"speed\": 1}"),
              ElementsAre("refused: not_a_weir_frame: the FlatBuffer's identifier is not WEIR" + json));
  EXPECT_THAT(decoded_frame("[1]"), ElementsAre("refused: not_a_flatbuffer: 3 bytes" + json));
  EXPECT_THAT(decoded_frame(std::string("\xFF\xFF\xFF\x7FWEIR") + std::string(100, '\xFF')),
              ElementsAre(StartsWith("refused: not_a_flatbuffer: ")));
}

TEST(FlatBuffersCodec, SurvivesEveryChangedByteAndEveryCut) {
  const Sample samples[] = {{.key = "v", .field = "speed", .time = 1, .x = 10},
                            {.key = "v", .field = "gear", .time = 2, .text = "D", .kind = Sample::Kind::text},
                            {.key = "v", .field = "position", .x = 4, .y = 5, .z = nan, .kind = Sample::Kind::point}};
  const auto payload = encoded(samples, false);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const auto cut = decoded_frame(payload.substr(0, i));
    if (i + alignof(std::uint32_t) < payload.size()) {
      EXPECT_THAT(cut, ElementsAre(StartsWith("refused: "))) << i;
    }
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = payload;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      decoded_frame(changed);
    }
  }
}

TEST(FlatBuffersCodec, RefusesNaNAndInfinity) {
  for (const double bad : {nan, 1 / 0.0}) {
    flatbuffers::FlatBufferBuilder buffer;
    const telemetry::Number number{1, bad};
    const auto numbers = buffer.CreateVectorOfStructs(&number, 1);
    const std::vector series{telemetry::CreateSeries(buffer, 0, numbers)};
    const auto list = buffer.CreateVector(series);
    telemetry::FinishFrameBuffer(buffer, telemetry::CreateFrame(buffer, 0, list));
    EXPECT_THAT(decoded_frame({reinterpret_cast<const char*>(buffer.GetBufferPointer()), buffer.GetSize()}),
                ElementsAre("refused: not_finite"));
    const Sample sample{.x = bad};
    EXPECT_FALSE(frame_codec->encode({&sample, 1}, true, true));
  }
}

TEST(FlatBuffersCodec, ASmallFrameCannotBecomeManySamples) {
  flatbuffers::FlatBufferBuilder buffer;
  const auto numbers = buffer.CreateVectorOfStructs(std::vector<telemetry::Number>(1000, {1, 1.0}));
  const std::vector series(1000, telemetry::CreateSeries(buffer, 0, numbers));
  const auto list = buffer.CreateVector(series);
  telemetry::FinishFrameBuffer(buffer, telemetry::CreateFrame(buffer, 0, list));
  EXPECT_THAT(decoded_frame({reinterpret_cast<const char*>(buffer.GetBufferPointer()), buffer.GetSize()}),
              ElementsAre("refused: overlapping_parts"));
}

TEST(FlatBuffersCodec, AFrameHasOneKey) {
  const Sample samples[] = {{.key = "1", .field = "speed"}, {.key = "2", .field = "speed"}};
  EXPECT_FALSE(frame_codec->encode(samples, false, false));
}

TEST(FlatBuffersCodec, ReplacesItsKeyAndNothingElse) {
  const Sample samples[] = {{.key = "V145", .field = "speed", .time = 1, .x = 10},
                            {.key = "V145", .field = "note", .text = "V145", .kind = Sample::Kind::text}};
  for (const std::string mask : {"m", "a mask that is longer than the key"}) {
    const auto rename = [&](std::string_view key) { return key == "V145" ? mask : "another"; };
    const auto renamed = frame_codec->renamed({.payload = encoded(samples, false)}, rename);
    ASSERT_TRUE(renamed.has_value()) << renamed.error();
    EXPECT_THAT(decoded_frame(*renamed), ElementsAre(mask + " speed 1 10", mask + " note - \"V145\""));
    EXPECT_EQ(renamed->find("V145"), renamed->rfind("V145")) << "the key's bytes are still there, beside the text's";
    const std::string outside = encoded(samples, true);
    EXPECT_EQ(frame_codec->renamed({.payload = outside}, rename).value_or(""), outside);
  }
  EXPECT_FALSE(frame_codec->renamed({.payload = "no frame at all"}, [](std::string_view) { return "m"; }).has_value());
}

TEST(FlatBuffersCodec, AKeyWhoseBytesAreAnotherTextsTooIsNotReplaced) {
  flatbuffers::FlatBufferBuilder buffer;
  const auto name = buffer.CreateString("V145");
  const std::vector series{telemetry::CreateSeries(buffer, name)};
  const auto list = buffer.CreateVector(series);
  telemetry::FinishFrameBuffer(buffer, telemetry::CreateFrame(buffer, name, list));
  const std::string_view payload{reinterpret_cast<const char*>(buffer.GetBufferPointer()), buffer.GetSize()};
  EXPECT_FALSE(frame_codec->renamed({.payload = payload}, [](std::string_view) { return "m"; }).has_value());
}

TEST(FlatBuffersCodec, AKeyWhoseBytesAreNumbersTooIsNotReplaced) {
  const auto rename = [](std::string_view) { return "m"; };
  flatbuffers::FlatBufferBuilder buffer;
  const auto name = buffer.CreateString("V145");
  const std::vector numbers{telemetry::Number{8, 2.5}};
  const auto values = buffer.CreateVectorOfStructs(numbers);
  const std::vector series{telemetry::CreateSeries(buffer, 0, values)};
  telemetry::FinishFrameBuffer(buffer, telemetry::CreateFrame(buffer, name, buffer.CreateVector(series)));
  std::string payload{reinterpret_cast<const char*>(buffer.GetBufferPointer()), buffer.GetSize()};
  ASSERT_TRUE(frame_codec->renamed({.payload = payload}, rename).has_value());
  // The key's place is that of the time 8: a text of seven bytes, which end in the number.
  const auto* base = reinterpret_cast<const std::uint8_t*>(payload.data());
  const telemetry::Frame& frame = *telemetry::GetFrame(base);
  const auto time = reinterpret_cast<const std::uint8_t*>(frame.series()->Get(0)->numbers()->Data()) - base;
  const auto field = flatbuffers::GetRoot<flatbuffers::Table>(base)->GetAddressOf(telemetry::Frame::VT_KEY) - base;
  flatbuffers::WriteScalar(payload.data() + time, std::int64_t{7});
  flatbuffers::WriteScalar(payload.data() + time + 8, std::uint64_t{0x00ff});
  flatbuffers::WriteScalar(payload.data() + field, static_cast<flatbuffers::uoffset_t>(time - field));
  const auto out = frame_codec->renamed({.payload = payload}, rename);
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error(), "parts of the FlatBuffer overlap");
}

}  // namespace
}  // namespace weir
