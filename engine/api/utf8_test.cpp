#include <weir/utf8.hpp>

#include <gtest/gtest.h>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

TEST(Utf8, IsWritten) {
  std::string text;
  for (const char32_t point : {U'a', U'\x7f', U'\x80', U'ä', U'\x7ff', U'\x800', U'€', U'\xffff', U'🚗', U'\x10ffff'}) {
    text.clear();
    append_utf8(text, point);
    EXPECT_EQ(utf8_length(text), text.size());
  }
  text.clear();
  append_utf8(text, U'ä');
  append_utf8(text, U'€');
  append_utf8(text, U'🚗');
  append_utf8(text, 0xd800);
  append_utf8(text, 0x110000);
  EXPECT_EQ(text, "ä€🚗\xef\xbf\xbd\xef\xbf\xbd");
}

std::string storable(const text_tests::Input& in) {
  const std::string text = text_tests::with_bytes(in.text());
  EXPECT_EQ(is_storable_utf8(text), storable_utf8(text) == text);
  return storable_utf8(text);
}

const bool utf8_tests = text_tests::add(
    "engine/api/utf8_test.txt",
    {{"length", [](const auto& in) { return std::to_string(utf8_length(text_tests::with_bytes(in.text()))); }},
     {"valid", [](const auto& in) { return valid_utf8(text_tests::with_bytes(in.text())); }},
     {"storable", storable},
     {"is_storable",
      [](const auto& in) { return storable(in) == text_tests::with_bytes(in.text()) ? "as it is" : "not as it is"; }}});

}  // namespace
}  // namespace weir
