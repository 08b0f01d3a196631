#include <weir/rfc3339.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Rfc3339, WritesNoMoreDecimalsThanNeeded) {
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_rfc3339(250 * millisecond), "1970-01-01T00:00:00.25Z");
  EXPECT_EQ(format_rfc3339(1), "1970-01-01T00:00:00.000000001Z");
  EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(format_rfc3339(INT64_MIN), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(format_rfc3339(INT64_MAX), "2262-04-11T23:47:16.854775807Z");
}

TEST(Rfc3339, ReadsWhatItWrites) {
  for (const Timestamp time :
       {Timestamp{0}, Timestamp{-1}, 1'767'225'600 * second + 5, INT64_MAX, INT64_MIN + 24 * 60 * minute}) {
    EXPECT_EQ(parse_rfc3339(format_rfc3339(time)), time);
  }
}

TEST(Rfc3339, ReadsOffsetsAndDecimals) {
  EXPECT_EQ(parse_rfc3339("2026-01-01T00:00:00Z"), 1'767'225'600 * second);
  EXPECT_EQ(parse_rfc3339("2026-01-01T01:30:00.5+01:30"), 1'767'225'600 * second + 500 * millisecond);
  EXPECT_EQ(parse_rfc3339("2025-12-31 23:00:00-01:00"), 1'767'225'600 * second);
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* text :
       {"", "2026", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+24:00", "9999-01-01T00:00:00Z",
        "1600-01-01T00:00:00Z", "x026-01-01T00:00:00Z"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace weir
