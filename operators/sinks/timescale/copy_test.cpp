#include "sinks/timescale/copy.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "fakes/columns.hpp"

namespace {
using namespace weir;
using fakes::batch;
using fakes::texts;

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

TEST(Copy, writes_every_type_byte_for_byte) {
  auto keys = std::make_shared<Dictionary>();
  const auto id = *keys->intern("v7");
  const Batch one = batch({{"i", Type::int64},
                           {"f", Type::float64},
                           {"b", Type::boolean},
                           {"t", Type::timestamp},
                           {"s", Type::string},
                           {"k", Type::dictionary}},
                          1,
                          {Column::int64({-2}), Column::float64({1.0}), Column::boolean({1}),
                           Column::timestamp({946'684'800 * second + 1'001'999}), Column::string(texts({"a\xC3\xA9"})),
                           Column::dictionary({{id}, keys})});
  EXPECT_EQ(copy::encode(one), bytes({0, 6,                                                        //
                                      0, 0, 0, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE,  //
                                      0, 0, 0, 8, 0x3F, 0xF0, 0,    0,    0,    0,    0,    0,     //
                                      0, 0, 0, 1, 1,                                               //
                                      0, 0, 0, 8, 0,    0,    0,    0,    0,    0,    0x03, 0xE9,  //
                                      0, 0, 0, 3, 'a',  0xC3, 0xA9,                                //
                                      0, 0, 0, 2, 'v',  '7'}));
}

TEST(Copy, writes_null_for_flags_and_absent_columns) {
  Validity second_only;
  second_only.push(false, 0);
  second_only.push(true, 1);
  const Batch two = batch({{"f", Type::float64}, {"a", Type::string}, {"s", Type::string}}, 2,
                          {Column::float64({9, 0.0}, second_only), Column{}, Column::string(texts({"", "x"}))});
  EXPECT_EQ(copy::encode(two), bytes({0,    3,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0,  //
                                      0,    3,    0,    0,    0,    8,    0,    0,    0,    0,    0, 0, 0, 0,
                                      0xFF, 0xFF, 0xFF, 0xFF, 0,    0,    0,    1,    'x'}));
}

TEST(Copy, cuts_times_to_microseconds_towards_the_past) {
  const auto micro = [](Timestamp t) {
    const std::string tuple = copy::encode(batch({{"t", Type::timestamp}}, 1, {Column::timestamp({t})}));
    std::int64_t value = 0;
    for (const char c : tuple.substr(6))
      value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 8 | static_cast<unsigned char>(c));
    return value + 946'684'800'000'000;
  };
  EXPECT_EQ(micro(1'999), 1);
  EXPECT_EQ(micro(-1), -1);
  EXPECT_EQ(micro(-1'000), -1);
  EXPECT_EQ(micro(-1'001), -2);
  EXPECT_EQ(micro(end_of_time), end_of_time / 1000);
  EXPECT_EQ(micro(no_time), no_time / 1000 - 1);
}

TEST(Copy, finds_where_tuples_end) {
  const Batch three =
      batch({{"s", Type::string}, {"a", Type::int64}}, 3, {Column::string(texts({"", "abc", "x"})), Column{}});
  const std::string tuples = copy::encode(three);
  EXPECT_EQ(copy::ends(tuples), (std::vector<std::size_t>{10, 23, 34}));
  EXPECT_EQ(tuples.size(), 34u);
  EXPECT_TRUE(copy::ends("").empty());
}

TEST(Copy, frames_with_the_signature_and_the_trailer) {
  EXPECT_EQ(copy::header(), bytes({'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xFF, '\r', '\n', 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(copy::trailer(), bytes({0xFF, 0xFF}));
}

TEST(Copy, writes_single_values) {
  copy::Tuples tuples;
  tuples.begin(4).int32(1).timestamp(no_time).text("x").timestamp(946'684'800 * second);
  EXPECT_EQ(tuples.bytes(), bytes({0, 4, 0,   0, 0, 4, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0,
                                   0, 1, 'x', 0, 0, 0, 8, 0, 0, 0, 0,    0,    0,    0,    0}));
}

}  // namespace
