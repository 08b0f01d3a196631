#include <weir/units.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Units, DurationsAreWrittenWithTheirUnits) {
  EXPECT_EQ(parse_duration("10ms"), 10 * millisecond);
  EXPECT_EQ(parse_duration("1.5s"), 1500 * millisecond);
  EXPECT_EQ(parse_duration("1m30s"), 90 * second);
  EXPECT_EQ(parse_duration("1d"), 24 * 60 * minute);
  EXPECT_EQ(parse_duration("100ns"), 100);
}

TEST(Units, AWrongDurationSaysWhatToWrite) {
  EXPECT_EQ(parse_duration("10 s").error(), R"("10 s": no space between number and unit; write "10s")");
  EXPECT_EQ(parse_duration("10").error(), R"("10" has no unit; write "10s" or "10ms")");
  EXPECT_EQ(parse_duration("10sec").error(), R"("10sec": unknown unit "sec"; units are ns, us, ms, s, m, h, d)");
  EXPECT_EQ(parse_duration("1s1m").error(), R"("1s1m": units must descend, each once, as in "1m30s")");
  for (const char* text : {"", "s", "-1s", "1e5s", "inf", "nan", "999999999d"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Units, SizesKnowBothPowers) {
  EXPECT_EQ(parse_size("512"), 512u);
  EXPECT_EQ(parse_size("512kB"), 512'000u);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_FALSE(parse_size("1gb"));
  EXPECT_FALSE(parse_size("64 MB"));
}

TEST(Units, RatesArePerSecond) {
  EXPECT_EQ(parse_rate("5/s"), 5.0);
  EXPECT_EQ(parse_rate("60/m"), 1.0);
  EXPECT_EQ(parse_rate("100k/s"), 100'000.0);
  for (const char* text : {"5", "5/", "/s", "5/x", "5 /s"}) EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(Units, TheShortestFormReadsBack) {
  EXPECT_EQ(format_duration(90 * second), "1m30s");
  EXPECT_EQ(format_duration(0), "0s");
  for (const Duration one : {Duration{1}, 1500 * millisecond, 25 * 60 * minute + 1}) EXPECT_EQ(parse_duration(format_duration(one)), one);
}

}  // namespace
}  // namespace weir
