#include "fakes/codecs.hpp"

#include <gmock/gmock.h>

namespace weir {
Operator weir_operator_codecs_text();

namespace {
using testing::ElementsAre;

const auto text_codec = fakes::make_codec(weir_operator_codecs_text());

std::vector<std::string> decoded_text(std::string_view payload) { return fakes::decoded(*text_codec, payload); }

TEST(TextCodec, ReadsOneDecimal) {
  EXPECT_THAT(decoded_text("21.5"), ElementsAre("k f - 21.5"));
  EXPECT_THAT(decoded_text(" \t-1e3\r\n"), ElementsAre("k f - -1000"));
  EXPECT_THAT(decoded_text("+5"), ElementsAre("k f - 5"));
  EXPECT_THAT(decoded_text("0.1000000000000000055511151231257827"), ElementsAre("k f - 0.1"));
  EXPECT_THAT(decoded_text("1.7976931348623157e308"), ElementsAre("k f - 1.7976931348623157e+308"));
}

TEST(TextCodec, RefusesEverythingElse) {
  for (const char* payload : {"abc", "1,5", "1 2", "0x10", "+-1", "1e", "--1", "1.5 km/h"}) {
    EXPECT_THAT(decoded_text(payload), ElementsAre("refused: not_a_number")) << payload;
  }
  EXPECT_THAT(decoded_text("1e400"), ElementsAre("refused: number_out_of_range"));
  EXPECT_THAT(decoded_text("nan"), ElementsAre("refused: not_finite"));
  EXPECT_THAT(decoded_text("-inf"), ElementsAre("refused: not_finite"));
  EXPECT_THAT(decoded_text(""), ElementsAre("refused: empty_payload"));
  EXPECT_THAT(decoded_text(" \n"), ElementsAre("refused: empty_payload"));
  EXPECT_THAT(decoded_text(std::string(1u << 20, ' ')), ElementsAre("refused: empty_payload"));
  EXPECT_THAT(decoded_text(std::string_view{"1\0", 2}), ElementsAre("refused: not_a_number"));
}

TEST(TextCodec, WritesTheShortestTextThatReadsBack) {
  for (const double value : {0.1, 1.0 / 3, 5.0, -0.0, 1e300, 5e-324}) {
    const Sample sample{.key = "k", .field = "f", .x = value};
    const auto payload = text_codec->encode({&sample, 1}, true, true);
    ASSERT_TRUE(payload);
    EXPECT_THAT(decoded_text(*payload), ElementsAre("k f - " + fakes::text_of(value)));
  }
}

TEST(TextCodec, HoldsOneNumberOnly) {
  const Sample number{.key = "k", .field = "f", .x = 1};
  const Sample two[] = {number, number};
  const Sample point{.key = "k", .field = "f", .kind = Sample::Kind::point};
  const Sample infinite{.key = "k", .field = "f", .x = 1 / 0.0};
  EXPECT_FALSE(text_codec->encode(two, true, true));
  EXPECT_FALSE(text_codec->encode({&point, 1}, true, true));
  EXPECT_FALSE(text_codec->encode({&infinite, 1}, true, true));
  EXPECT_FALSE(text_codec->encode({&number, 1}, true, false));
}

}  // namespace
}  // namespace weir
