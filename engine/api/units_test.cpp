#include <weir/units.hpp>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace weir {
namespace {

struct Wrong {
  std::string_view text;
  std::string_view error;
};

template <typename Parse>
void expect_errors(Parse parse, std::initializer_list<Wrong> cases) {
  for (const auto& [text, error] : cases) {
    const auto parsed = parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error(), error);
  }
}

TEST(Units, DurationsAreWrittenWithTheirUnits) {
  const std::pair<std::string_view, Duration> cases[] = {
      {"10ms", 10 * millisecond},
      {"1.5s", 1500 * millisecond},
      {"1m30s", 90 * second},
      {"1h", 60 * minute},
      {"1d12h", 36 * 60 * minute},
      {"500us", 500 * microsecond},
      {"100ns", 100},
      {"0s", 0},
      {"0.000000001s", 1},
      {"9007199254740993ns", 9007199254740993},
      {"9223372036854775807ns", INT64_MAX},
      {"106751d23h47m16.854775807s", INT64_MAX},
  };
  for (const auto& [text, duration] : cases) EXPECT_EQ(parse_duration(text), duration) << text;
}

TEST(Units, AWrongDurationSaysWhatToWrite) {
  expect_errors(parse_duration,
                {
                    {"10 s", R"("10 s": no space between number and unit; write "10s")"},
                    {"10 parsecs", R"("10parsecs": unknown unit "parsecs"; units are d, h, m, s, ms, us, ns)"},
                    {"10 seconds", R"("10seconds": unknown unit "seconds"; write "10s")"},
                    {"1m 30s", R"("1m 30s": no space between number and unit; write "1m30s")"},
                    {"1", R"("1" has no unit; write "1s" or "1ms")"},
                    {"1m30", R"("1m30" has no unit; write "1m30s" or "1m30ms")"},
                    {"10sec", R"("10sec": unknown unit "sec"; write "10s")"},
                    {"2Minutes30s", R"("2Minutes30s": unknown unit "Minutes"; write "2m30s")"},
                    {"10µs", R"("10µs": unknown unit "µs"; write "10us")"},
                    {"5S", R"("5S": unknown unit "S"; write "5s")"},
                    {"5weeks", R"("5weeks": unknown unit "weeks"; units are d, h, m, s, ms, us, ns)"},
                    {"1s1m", R"("1s1m": units must descend, each once; write them as in "1m30s")"},
                    {"1s1s", R"("1s1s": units must descend, each once; write them as in "1m30s")"},
                    {"", R"("" is not a duration; write for example "1s", "250ms" or "1m30s")"},
                    {"-1s", R"("-1s" is not a duration; write for example "1s", "250ms" or "1m30s")"},
                    {"nans", R"("nans" is not a duration; write for example "1s", "250ms" or "1m30s")"},
                    {"0.5ns", R"("0.5ns": durations go in steps of 1ns up to 292 years)"},
                    {"106752d", R"("106752d": durations go in steps of 1ns up to 292 years)"},
                    {"106751d24h", R"("106751d24h": durations go in steps of 1ns up to 292 years)"},
                });
  for (const char* text : {"s", "1e5s", "inf", ".5s", "1.s", "1.5.5s", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Units, SizesKnowBothPowers) {
  const std::pair<std::string_view, std::uint64_t> cases[] = {
      {"512B", 512},
      {"512kB", 512'000},
      {"64MB", 64'000'000},
      {"1.5GB", 1'500'000'000},
      {"1TB", 1'000'000'000'000},
      {"64KiB", 64ULL << 10},
      {"1MiB", 1ULL << 20},
      {"1GiB", 1ULL << 30},
      {"0.5TiB", 1ULL << 39},
  };
  for (const auto& [text, bytes] : cases) EXPECT_EQ(parse_size(text), bytes) << text;
}

TEST(Units, AWrongSizeSaysWhatToWrite) {
  expect_errors(parse_size, {
                                {"64 MB", R"("64 MB": no space between number and unit; write "64MB")"},
                                {"512", R"("512" has no unit; write "512MB" or "512kB")"},
                                {"512KB", R"("512KB": unknown unit "KB"; write "512kB")"},
                                {"1gb", R"("1gb": unknown unit "gb"; write "1GB")"},
                                {"64M", R"("64M": unknown unit "M"; write "64MB")"},
                                {"64mib", R"("64mib": unknown unit "mib"; write "64MiB")"},
                                {"5ms", R"("5ms": unknown unit "ms"; units are TiB, GiB, MiB, KiB, TB, GB, MB, kB, B)"},
                                {"big", R"("big" is not a size; write for example "64MB" or "1GiB")"},
                                {"0.5B", R"("0.5B": sizes are whole bytes below 8 EiB)"},
                                {"9000000TiB", R"("9000000TiB": sizes are whole bytes below 8 EiB)"},
                            });
  for (const char* text : {"nan", "inf", "-1kB", "1e3", ""}) EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Units, RatesArePerSecond) {
  const std::pair<std::string_view, double> cases[] = {
      {"5/s", 5.0},   {"60/m", 1.0},       {"100k/s", 100'000.0}, {"1.5M/s", 1.5e6},
      {"0.1/s", 0.1}, {"10/ms", 10'000.0}, {"0/s", 0.0},
  };
  for (const auto& [text, rate] : cases) EXPECT_DOUBLE_EQ(parse_rate(text).value_or(-1), rate) << text;
}

TEST(Units, AWrongRateSaysWhatToWrite) {
  expect_errors(parse_rate, {
                                {"5", R"("5" has no unit; write "5/s")"},
                                {"100k", R"("100k" has no unit; write "100k/s")"},
                                {"5 /s", R"("5 /s": no space between number and unit; write "5/s")"},
                                {"5/sec", R"("5/sec": unknown unit "sec"; write "5/s")"},
                                {"5Hz", R"("5Hz": unknown unit "Hz"; write "5/s")"},
                                {"5kHz", R"("5kHz": unknown unit "Hz"; write "5k/s")"},
                                {"5/x", R"("5/x": unknown unit "x"; units are d, h, m, s, ms, us, ns)"},
                                {"fast", R"("fast" is not a rate; write for example "5/s", "60/m" or "100k/s")"},
                            });
  for (const char* text : {"nan/s", "inf/s", "-5/s", "/s", "", "5/"}) EXPECT_FALSE(parse_rate(text)) << text;
  EXPECT_FALSE(parse_rate(std::string(400, '9') + "/s"));
}

TEST(Units, DurationsAreShownInTheirShortestForm) {
  const std::pair<Duration, std::string_view> cases[] = {
      {90 * second, "1m30s"},
      {0, "0s"},
      {1500 * millisecond, "1.5s"},
      {90'500 * millisecond, "1m30.5s"},
      {250 * millisecond, "250ms"},
      {1'500'000, "1.5ms"},
      {1, "1ns"},
      {36 * 60 * minute, "1d12h"},
      {60 * minute + 1, "1h1ns"},
      {-90 * second, "-1m30s"},
      {INT64_MAX, "106751d23h47m16.854775807s"},
      {INT64_MIN, "-106751d23h47m16.854775808s"},
  };
  for (const auto& [duration, text] : cases) EXPECT_EQ(format_duration(duration), text);
}

RC_GTEST_PROP(Units, WhatIsShownReadsBack, (std::uint64_t bits)) {
  const auto duration = static_cast<Duration>(bits >> 1 >> *rc::gen::inRange(0, 63));
  RC_ASSERT(parse_duration(format_duration(duration)) == duration);
}

}  // namespace
}  // namespace weir
