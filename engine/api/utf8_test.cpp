#include <weir/utf8.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Utf8, KnowsTheLengthOfACodePoint) {
  const std::pair<std::string_view, std::size_t> cases[] = {
      {"a", 1},
      {"ä", 2},
      {"€", 3},
      {"🚗", 4},
      {"", 0},
      {"\x80", 0},
      {"\xc0\x80", 0},
      {"\xc1\xbf", 0},
      {"\xc2", 0},
      {"\xc2\x41", 0},
      {"\xe0\x9f\xbf", 0},
      {"\xe0\xa0\x80", 3},
      {"\xed\x9f\xbf", 3},
      {"\xed\xa0\x80", 0},
      {"\xe2\x82", 0},
      {"\xf0\x8f\xbf\xbf", 0},
      {"\xf0\x90\x80\x80", 4},
      {"\xf4\x8f\xbf\xbf", 4},
      {"\xf4\x90\x80\x80", 0},
      {"\xf5\x80\x80\x80", 0},
      {"\xff", 0},
      {"\xf0\x9f\x9a", 0},
      {"abc", 1},
  };
  for (const auto& [text, length] : cases) EXPECT_EQ(utf8_length(text), length) << testing::PrintToString(text);
}

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

TEST(Utf8, IsMadeValid) {
  EXPECT_EQ(valid_utf8("a\xff\xfe"
                       "ä\xe2\x82"),
            "a\xef\xbf\xbd\xef\xbf\xbdä\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8("ä"), "ä");
}

TEST(Utf8, IsMadeStorable) {
  using namespace std::string_view_literals;
  EXPECT_EQ(storable_utf8("a\0\xff\xc3\xa9"sv), "a\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9");
  EXPECT_EQ(storable_utf8("\0\0"sv), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(storable_utf8(""), "");
}

TEST(Utf8, IsStorableIfWholeAndWithoutNul) {
  using namespace std::string_view_literals;
  for (const std::string_view good :
       {""sv, "abc"sv, "\x7f"sv, "a\xc3\xa9z"sv, "€🚗"sv, "\xed\x9f\xbf\xf4\x8f\xbf\xbf"sv}) {
    EXPECT_TRUE(is_storable_utf8(good)) << testing::PrintToString(good);
    EXPECT_EQ(storable_utf8(good), good);
  }
  for (const std::string_view bad : {"\0"sv, "abc\0"sv, "a\xff"sv, "ab\xc3"sv, "\xc0\x80"sv, "\xe0\x9f\xbfz"sv,
                                     "\xed\xa0\x80"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv, "\xf0\x9f\x9a"sv}) {
    EXPECT_FALSE(is_storable_utf8(bad)) << testing::PrintToString(bad);
    EXPECT_NE(storable_utf8(bad), bad);
  }
}

}  // namespace
}  // namespace weir
