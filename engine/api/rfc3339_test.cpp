#include <weir/rfc3339.hpp>

#include <gtest/gtest.h>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

TEST(Rfc3339, ReadsWhatItWrites) {
  for (const Timestamp time :
       {Timestamp{0}, Timestamp{-1}, 1'767'225'600 * second + 5, INT64_MAX, INT64_MIN + 24 * 60 * minute}) {
    EXPECT_EQ(parse_rfc3339(format_rfc3339(time)), time);
  }
}

std::string read_time(const text_tests::Input& in) {
  const auto time = parse_rfc3339(in.text());
  return time ? std::to_string(*time) : "no time";
}

const bool rfc3339_tests = text_tests::add(
    "engine/api/rfc3339_test.txt",
    {{"read", read_time}, {"write", [](const auto& in) { return format_rfc3339(std::stoll(in.text())); }}});

}  // namespace
}  // namespace weir
