#include "console/tap_lines.hpp"

#include <gmock/gmock.h>

#include <weir/partition.hpp>
#include <weir/shapes.hpp>

#include "fakes/columns.hpp"

namespace weir {
namespace {

using testing::HasSubstr;

Batch fleet(std::size_t rows) {
  auto keys = std::make_shared<Dictionary>(), fields = std::make_shared<Dictionary>();
  Ids key{{}, keys}, field{{}, fields};
  std::vector<double> x;
  for (std::size_t i = 0; i < rows; ++i) {
    key.ids.push_back(*keys->intern("v" + std::to_string(i % 10)));
    field.ids.push_back(*fields->intern(i % 2 == 0 ? "speed" : "charge"));
    x.push_back(static_cast<double>(i));
  }
  return fakes::batch({{"key", Type::dictionary}, {"field", Type::dictionary}, {"x", Type::float64}}, rows,
                      {Column::dictionary(key), Column::dictionary(field), Column::float64(x)});
}

std::string lines(const TapSelection& selection, const Batch& batch) {
  TapLines of{selection};
  std::string out;
  of.add(batch, 0, out);
  return out;
}

std::size_t count(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

TEST(TapLines, ShowWhatWasAskedFor) {
  EXPECT_EQ(lines({}, fleet(2)),
            "{\"key\":\"v0\",\"field\":\"speed\",\"x\":0}\n{\"key\":\"v1\",\"field\":\"charge\",\"x\":1}\n");
  EXPECT_EQ(lines({.keys = {"v3"}, .fields = {}}, fleet(5)), "{\"key\":\"v3\",\"field\":\"charge\",\"x\":3}\n");
  EXPECT_EQ(lines({.keys = {"v3", "v4"}, .fields = {"speed"}}, fleet(5)),
            "{\"key\":\"v4\",\"field\":\"speed\",\"x\":4}\n");
}

TEST(TapLines, AShareIsTheSameVehiclesAsInARecording) {
  const std::string half = lines({.keys = {}, .fields = {}, .share = 0.5}, fleet(10));
  std::size_t in = 0;
  for (int i = 0; i < 10; ++i) {
    const std::string key = "v" + std::to_string(i);
    in += in_share(key, 0.5) ? 1 : 0;
    EXPECT_EQ(half.contains('"' + key + '"'), in_share(key, 0.5)) << key;
  }
  EXPECT_GT(in, 0u);
  EXPECT_LT(in, 10u);
}

TEST(TapLines, EndAtTheLimit) {
  TapLines three{{.keys = {}, .fields = {}, .share = 1, .limit = 3}};
  std::string out;
  three.add(fleet(2), 0, out);
  EXPECT_FALSE(three.enough());
  three.add(fleet(2), 0, out);
  EXPECT_TRUE(three.enough());
  EXPECT_EQ(count(out), 3u);
}

TEST(TapLines, SoManyASecondAndTheRestIsTold) {
  TapLines all{{}};
  std::string out;
  all.add(fleet(TapLines::most_rows + 34), 0, out);
  EXPECT_EQ(count(out), TapLines::most_rows);
  out.clear();
  all.tell(0, false, out);
  EXPECT_EQ(out, "\"34 rows were not shown; at most 1000 a second are\"\n");
  out.clear();
  all.add(fleet(5), second / 2, out);
  all.tell(second / 2, false, out);
  EXPECT_EQ(out, "") << "told once a second";
  all.missed(2);
  all.add(fleet(1), second, out);
  all.tell(second, false, out);
  EXPECT_EQ(out,
            "{\"key\":\"v0\",\"field\":\"speed\",\"x\":0}\n"
            "\"7 rows were not shown; at most 1000 a second are\"\n");
  out.clear();
  all.missed(1);
  all.tell(second, true, out);
  EXPECT_THAT(out, HasSubstr("1 row was not shown"));
}

TEST(TapSelection, IsReadFromAQuery) {
  const auto selection =
      TapSelection::read({{"key", "145"}, {"key", "146"}, {"field", "speed"}, {"share", "0.1"}, {"limit", "7"}});
  ASSERT_TRUE(selection);
  EXPECT_EQ(selection->keys, (std::set<std::string, std::less<>>{"145", "146"}));
  EXPECT_EQ(selection->share, 0.1);
  EXPECT_EQ(selection->limit, 7u);
  for (const auto& [name, value] : {std::pair{"share", "1.1"},
                                    {"share", "-1"},
                                    {"share", "nan"},
                                    {"share", "0.1x"},
                                    {"limit", "-1"},
                                    {"limit", ""},
                                    {"vehicle", "145"}}) {
    const auto wrong = TapSelection::read({{name, value}});
    ASSERT_FALSE(wrong) << name << value;
    EXPECT_THAT(wrong.error().message, HasSubstr(std::string{name} + "=" + value + ": "));
  }
}

TEST(TapSelection, FitsRowsThatHaveWhatItChoosesBy) {
  const Schema rows = *rows::schema({RowColumn{.field = "speed"}});
  EXPECT_TRUE((TapSelection{.keys = {"145"}, .fields = {}}.fits(rows)));
  const auto unfit = TapSelection{.keys = {}, .fields = {"speed"}}.fits(rows);
  ASSERT_FALSE(unfit);
  EXPECT_THAT(unfit.error().message, HasSubstr("--field")) << "as weir tap calls it";
  EXPECT_TRUE((TapSelection{.keys = {}, .fields = {"speed"}}.fits(*samples::schema())));
  const Schema other{Shape::other, {{"x", Type::float64}}};
  EXPECT_FALSE((TapSelection{.keys = {}, .fields = {}, .share = 0.5}.fits(other)));
  EXPECT_TRUE(TapSelection{}.fits(other));
}

TEST(TapFrom, IsThisMachineUnlessSaidOtherwise) {
  const auto local = [](const Client& client) { return may_tap(TapFrom::loopback, client).has_value(); };
  for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"}) {
    EXPECT_TRUE(local({.address = "127.0.0.1", .host = host})) << host;
    EXPECT_TRUE(local({.address = "::1", .host = host})) << host;
    EXPECT_FALSE(local({.address = "10.0.0.7", .host = host})) << host;
    EXPECT_FALSE(local({.address = "127.0.0.1", .host = host, .passed_on = true})) << "by a proxy of this machine";
  }
  EXPECT_TRUE(local({.address = "::ffff:127.0.0.1", .host = "localhost"}));
  for (const char* host : {"", "fleet:8080", "evil.example", "127.evil.example.", "[", "localhost.evil.example"})
    EXPECT_EQ(local({.address = "127.0.0.1", .host = host}), false) << host;
  const auto refused = may_tap(TapFrom::loopback, {.address = "10.0.0.7", .host = "fleet:8080"});
  EXPECT_THAT(refused.error().message, HasSubstr("weir run --tap all"));
  EXPECT_TRUE(may_tap(TapFrom::all, {.address = "10.0.0.7", .host = "fleet:8080"}));
  EXPECT_FALSE(may_tap(TapFrom::nobody, {.address = "127.0.0.1", .host = "localhost"}));
}

}  // namespace
}  // namespace weir
