#include "clients/refusal.hpp"

#include <gtest/gtest.h>

#include "fakes/columns.hpp"

namespace {
using namespace weir;
using fakes::batch;
using fakes::texts;

TEST(Refusal, objects_to_texts_that_no_database_takes) {
  const auto objection = [](std::string_view text) {
    return refusal::objection(batch({{"name", Type::string}}, 1, {Column::string(texts({text}))}), 0).text();
  };
  using namespace std::string_view_literals;
  for (const std::string_view good :
       {""sv, "a"sv, "\xC3\xA9"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x9A\x97"sv, "\xF4\x8F\xBF\xBF"sv, "\xED\x9F\xBF"sv}) {
    EXPECT_EQ(objection(good), "") << good;
  }
  EXPECT_EQ(objection("a\0b"sv), "text_has_nul: in name");
  for (const std::string_view bad :
       {"\x80"sv, "\xC3"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x80\x80"sv, "\xED\xA0\x80"sv, "\xF0\x80\x80\x80"sv,
        "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xE2\x82"sv, "ok\xFF"sv}) {
    EXPECT_EQ(objection(bad), "text_not_utf8: in name") << bad;
  }
}

}  // namespace
