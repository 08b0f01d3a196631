#include <weir/completion.hpp>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "reference/completion.hpp"

namespace weir {
namespace {

constexpr double big = std::numeric_limits<double>::max();

struct Reading {
  Timestamp time;
  double value, y = 0, z = std::numeric_limits<double>::quiet_NaN();
};
using Side = std::optional<Reading>;

/// Brackets of one field of numbers or points at tick 100, a row per pair of sides.
BatchPtr brackets_at_100(const std::vector<std::pair<Side, Side>>& rows, FieldKind kind = FieldKind::number) {
  auto out = std::make_shared<Batch>();
  const std::vector<ProjectedField> fields{{"f", kind}};
  out->schema = brackets::schema(fields);
  out->columns.resize(out->schema->columns.size());
  out->rows = rows.size();
  out->reached = 7;
  out->arrival.assign(rows.size(), 7);
  for (std::uint32_t row = 0; row < rows.size(); ++row) out->message_of_row.push_back(row);
  auto dictionary = std::make_shared<Dictionary>();
  dictionary->intern("k");
  out->columns[brackets::key] = Column::dictionary({std::vector<std::uint32_t>(rows.size()), dictionary});
  out->columns[brackets::tick] = Column::timestamp(std::vector<Timestamp>(rows.size(), 100));
  const auto at = brackets::layout(fields)[0];
  for (const bool before : {true, false}) {
    std::vector<Timestamp> times;
    std::vector<double> value, y, z;
    Validity there, high;
    for (const auto& row : rows) {
      const Side& side = before ? row.first : row.second;
      there.push(side.has_value(), times.size());
      high.push(side && !std::isnan(side->z), times.size());
      times.push_back(side ? side->time : 0);
      value.push_back(side ? side->value : 0);
      y.push_back(side ? side->y : 0);
      z.push_back(side ? side->z : 0);
    }
    out->columns[before ? at.before_time : at.after_time] = Column::timestamp(std::move(times), there);
    out->columns[before ? at.before : at.after] = Column::float64(std::move(value), there);
    if (kind != FieldKind::point) continue;
    out->columns[before ? at.before_y : at.after_y] = Column::float64(std::move(y), there);
    out->columns[before ? at.before_z : at.after_z] = Column::float64(std::move(z), high);
  }
  return out;
}

RowColumn column(Fill fill, FieldKind kind = FieldKind::number) {
  return {.field = "f", .fill = fill, .kind = kind, .max_gap = 50, .max_age = 20, .quality = true};
}

/// The value, or nothing for NULL, and the quality, of the only column.
struct Cell {
  std::optional<double> value;
  Quality quality;
  bool operator==(const Cell&) const = default;
};

Cell complete(const RowColumn& as, Side before, Side after) {
  Completion completion{{as}, true};
  const auto in = brackets_at_100({{before, after}});
  EXPECT_TRUE(completion.bind_schema(*in->schema));
  const auto out = completion.complete(in);
  const auto& value = out->columns.at(rows::first_column);
  return {value.valid(0) ? std::optional{value.float64s()[0]} : std::nullopt,
          static_cast<Quality>(out->columns.at(rows::first_column + 1).int64s()[0])};
}

TEST(Completion, ChoosesByDistanceAndAge) {
  using enum Quality;
  const auto as = column(Fill::linear);
  EXPECT_EQ(complete(as, Reading{100, 5}, Reading{110, 9}), (Cell{5, measured}));
  EXPECT_EQ(complete(as, Reading{100, 5}, {}), (Cell{5, measured}));
  EXPECT_EQ(complete(as, Reading{90, 5}, Reading{110, 9}), (Cell{7, interpolated}));
  EXPECT_EQ(complete(as, Reading{75, 0}, Reading{125, 8}), (Cell{4, interpolated}));  // 50 apart
  EXPECT_EQ(complete(as, Reading{75, 0}, Reading{126, 8}), (Cell{{}, null}));         // 51 apart, 25 old
  EXPECT_EQ(complete(as, Reading{80, 3}, Reading{131, 8}), (Cell{3, carried}));       // 20 old
  EXPECT_EQ(complete(as, Reading{79, 3}, Reading{131, 8}), (Cell{{}, null}));
  EXPECT_EQ(complete(as, Reading{80, 3}, {}), (Cell{3, carried}));
  EXPECT_EQ(complete(as, {}, Reading{101, 8}), (Cell{{}, null}));
  EXPECT_EQ(complete(as, {}, {}), (Cell{{}, null}));
}

TEST(Completion, StepIsBefore) {
  using enum Quality;
  const auto as = column(Fill::step);
  EXPECT_EQ(complete(as, Reading{75, 1}, Reading{125, 8}), (Cell{1, interpolated}));
  EXPECT_EQ(complete(as, Reading{75, 1}, Reading{126, 8}), (Cell{{}, null}));
  EXPECT_EQ(complete(as, Reading{85, 1}, Reading{900, 8}), (Cell{1, carried}));
}

TEST(Completion, LinesDoNotOverflow) {
  EXPECT_EQ(along_line(2, 4, 0.25), 2.5);
  EXPECT_EQ(along_line(-big, big, 0.5), 0);
  EXPECT_TRUE(std::isnan(along_line(std::nan(""), 1, 0.5)));
}

TEST(Completion, AnglesTakeTheShortestArc) {
  EXPECT_DOUBLE_EQ(along_arc(350, 10, 0.25, 360), 355);
  EXPECT_DOUBLE_EQ(along_arc(350, 10, 0.5, 360), 0);
  EXPECT_DOUBLE_EQ(along_arc(10, 350, 0.75, 360), 355);
  EXPECT_DOUBLE_EQ(along_arc(90, 270, 0.5, 360), 180);  // opposite: upwards
  EXPECT_DOUBLE_EQ(along_arc(270, 90, 0.5, 360), 0);    // upwards too, through 360
  EXPECT_DOUBLE_EQ(along_arc(-170, 170, 0.5, 360), 180);
  EXPECT_DOUBLE_EQ(along_arc(720 + 350, -350, 0.5, 360), 0);
  EXPECT_NEAR(along_arc(6.2, 0.1, 0.5, 2 * M_PI), std::fmod(6.2 + (0.1 - 6.2 + 2 * M_PI) / 2, 2 * M_PI), 1e-12);
  EXPECT_TRUE(std::isfinite(along_arc(big, -big, 0.5, 360)));
  for (double from = -400; from < 400; from += 7.3) {
    for (double to = -400; to < 400; to += 11.9) {
      const double angle = along_arc(from, to, 0.3, 360);
      ASSERT_GE(angle, 0) << from << " " << to;
      ASSERT_LT(angle, 360) << from << " " << to;
      ASSERT_FALSE(std::signbit(angle)) << from << " " << to;
    }
  }
}

/// Great-circle distance in degrees by the haversine formula, an independent one.
double distance(Coordinates a, Coordinates b) {
  const double r = M_PI / 180;
  const double h = std::pow(std::sin((b.lat - a.lat) * r / 2), 2) +
                   std::cos(a.lat * r) * std::cos(b.lat * r) * std::pow(std::sin((b.lon - a.lon) * r / 2), 2);
  return 2 * std::asin(std::min(1.0, std::sqrt(h))) / r;
}

void expect_near(Coordinates a, Coordinates b) {
  EXPECT_LT(distance(a, b), 1e-6) << a.lat << "," << a.lon << " not " << b.lat << "," << b.lon;
}

TEST(Completion, PlacesLieOnTheGreatCircle) {
  expect_near(along_great_circle({0, 0}, {0, 90}, 0.5), {0, 45});
  expect_near(along_great_circle({0, 170}, {0, -170}, 0.5), {0, 180});  // across the date line
  expect_near(along_great_circle({80, 0}, {80, 180}, 0.5), {90, 0});    // over the pole
  const Coordinates munich{48.137, 11.575}, tokyo{35.68, 139.77};
  for (const double share : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    const Coordinates at = along_great_circle(munich, tokyo, share);
    EXPECT_NEAR(distance(munich, at), share * distance(munich, tokyo), 1e-9);
    EXPECT_NEAR(distance(at, tokyo), (1 - share) * distance(munich, tokyo), 1e-9);
  }
}

TEST(Completion, SamePlacesStayAndNearOnesDoNotJump) {
  const Coordinates parked = along_great_circle({48.137, 11.575}, {48.137, 11.575}, 0.3);
  EXPECT_EQ(parked.lat, 48.137);
  EXPECT_EQ(parked.lon, 11.575);
  const Coordinates near = along_great_circle({48.137, 11.575}, {48.137, 11.575000000000001}, 0.5);
  EXPECT_NEAR(near.lat, 48.137, 1e-12);
  EXPECT_NEAR(near.lon, 11.575, 1e-12);
  const Coordinates metre = along_great_circle({48.137, 11.575}, {48.13701, 11.575}, 0.5);
  EXPECT_NEAR(metre.lat, 48.137005, 1e-12);
}

TEST(Completion, OppositePlacesGoOverTheNorthPole) {
  expect_near(along_great_circle({0, 0}, {0, 180}, 0.5), {90, 0});
  expect_near(along_great_circle({-30, 20}, {30, -160}, 0.25), {15, 20});
  expect_near(along_great_circle({90, 0}, {-90, 0}, 0.5), {0, 0});
  expect_near(along_great_circle({-90, 0}, {90, 0}, 0.5), {0, 0});
}

TEST(Completion, PointsKeepTheirAltitudeIfKnown) {
  Completion completion{{column(Fill::geo, FieldKind::point)}, false};
  const auto in = brackets_at_100({{Reading{90, 0, 0, 100}, Reading{110, 0, 90, 200}},
                                   {Reading{90, 0, 0, 100}, Reading{110, 0, 90}},
                                   {Reading{90, 0, 0, 100}, {}},
                                   {Reading{100, 7, 8}, {}},
                                   {{}, Reading{110, 0, 90, 1}}},
                                  FieldKind::point);
  ASSERT_TRUE(completion.bind_schema(*in->schema));
  const auto out = completion.complete(in);
  ASSERT_EQ(out->rows, 4u);
  const auto &lat = out->column("f_lat"), &lon = out->column("f_lon"), &alt = out->column("f_alt");
  EXPECT_NEAR(lon.float64s()[0], 45, 1e-9);
  EXPECT_EQ(alt.float64s()[0], 150);
  EXPECT_FALSE(alt.valid(1));
  EXPECT_EQ(alt.float64s()[2], 100);
  EXPECT_EQ(lat.float64s()[3], 7);
  EXPECT_FALSE(alt.valid(3));
  EXPECT_EQ(out->column("f_quality").int64s()[1], 2);
}

std::array<double, 3> direction(double latitude, double longitude) {
  constexpr double degree = std::numbers::pi / 180;
  const double lat = latitude * degree, lon = longitude * degree;
  return {std::cos(lat) * std::cos(lon), std::cos(lat) * std::sin(lon), std::sin(lat)};
}

RC_GTEST_PROP(Completion, APlaceBetweenTwoIsWhereTheReferencePutsIt, ()) {
  const auto within = [](double least, double most) {
    const auto anywhere = rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 1'000'001));
    return *rc::gen::map(anywhere, [=](int n) { return least + (most - least) * n / 1e6; });
  };
  const double from_lat = within(-90, 90), from_lon = within(-180, 180);
  const double to_lat = within(-90, 90), to_lon = within(-180, 180);
  const auto a = direction(from_lat, from_lon), b = direction(to_lat, to_lon);
  RC_PRE(a[0] * b[0] + a[1] * b[1] + a[2] * b[2] > -0.999);  // there are many ways to the other side of the globe
  const auto before = *rc::gen::inRange<Timestamp>(70, 100), after = *rc::gen::inRange<Timestamp>(101, 120);
  const RowColumn place = column(Fill::geo, FieldKind::point);
  Completion completion{{place}, false};
  const auto in =
      brackets_at_100({{Reading{before, from_lat, from_lon}, Reading{after, to_lat, to_lon}}}, FieldKind::point);
  RC_ASSERT(completion.bind_schema(*in->schema).has_value());
  const auto out = completion.complete(in);
  const auto want = reference::complete({reference::Reading{before, {.x = from_lat, .y = from_lon}},
                                         reference::Reading{after, {.x = to_lat, .y = to_lon}}},
                                        100, place);
  const auto is = direction(out->column("f_lat").float64s()[0], out->column("f_lon").float64s()[0]);
  const auto should = direction(want.value.x, want.value.y.value());
  RC_ASSERT(std::hypot(is[0] - should[0], is[1] - should[1], is[2] - should[2]) < 1e-11);
}

TEST(Completion, LeavesRowsOfNullsOutAndCounts) {
  const auto in =
      brackets_at_100({{Reading{100, 1}, {}}, {{}, {}}, {Reading{90, 1}, Reading{110, 3}}, {Reading{90, 1}, {}}});
  Completion terse{{column(Fill::linear)}, false};
  ASSERT_TRUE(terse.bind_schema(*in->schema));
  const auto out = terse.complete(in);
  EXPECT_EQ(out->rows, 3u);
  EXPECT_EQ(out->arrival.size(), 3u);
  EXPECT_EQ(out->message_of_row, (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(out->reached, 7);
  EXPECT_EQ(terse.counts().cells, (std::array<std::uint64_t, 4>{0, 1, 1, 1}));
  EXPECT_EQ(terse.counts().empty_rows, 1u);

  Completion full{{column(Fill::linear)}, true};
  ASSERT_TRUE(full.bind_schema(*in->schema));
  const auto all = full.complete(in);
  EXPECT_EQ(all->rows, 4u);
  EXPECT_FALSE(all->column("f").valid(1));
  EXPECT_EQ(all->column("f_quality").int64s()[1], 0);
  EXPECT_EQ(full.counts().cells, (std::array<std::uint64_t, 4>{1, 1, 1, 1}));
  EXPECT_EQ(full.counts().empty_rows, 0u);
}

TEST(Completion, CarriesTexts) {
  const std::vector<ProjectedField> fields{{"state", FieldKind::text}};
  auto in = std::make_shared<Batch>();
  in->schema = brackets::schema(fields);
  in->columns.resize(in->schema->columns.size());
  in->rows = 2;
  in->arrival = {1, 1};
  auto dictionary = std::make_shared<Dictionary>();
  dictionary->intern("k");
  in->columns[brackets::key] = Column::dictionary({{0, 0}, dictionary});
  in->columns[brackets::tick] = Column::timestamp({100, 130});
  const auto at = brackets::layout(fields)[0];
  in->columns[at.before_time] = Column::timestamp({95, 95});
  Texts texts;
  texts.push("open");
  texts.push("shut");
  in->columns[at.before] = Column::string(std::move(texts));
  Completion completion{{{.field = "state", .fill = Fill::step, .kind = FieldKind::text, .max_age = 20}}, true};
  ASSERT_TRUE(completion.bind_schema(*in->schema));
  const auto out = completion.complete(in);
  EXPECT_EQ(out->column("state").text(0), "open");
  EXPECT_FALSE(out->column("state").valid(1));
  EXPECT_FALSE(out->schema->find("state_quality"));
}

TEST(Completion, NamesTheColumnThatDoesNotFit) {
  const auto schema = brackets::schema({{"speed", FieldKind::number}, {"position", FieldKind::point}});
  const auto blame = [&](const RowColumn& as, const Schema& input) {
    Completion completion{{as}, false};
    const auto bound = completion.bind_schema(input);
    return bound ? "" : bound.error().setting;
  };
  EXPECT_EQ(blame({.field = "speed"}, *schema), "");
  EXPECT_EQ(blame({.field = "sped"}, *schema), "columns.sped");
  EXPECT_EQ(blame({.field = "position"}, *schema), "columns.position");
  EXPECT_EQ(blame({.field = "speed", .fill = Fill::geo}, *schema), "columns.speed");
  EXPECT_EQ(blame({.field = "position", .fill = Fill::linear, .kind = FieldKind::point}, *schema), "columns.position");
  EXPECT_EQ(blame({.field = "speed"}, *samples::schema()), "from");
}

TEST(Completion, TakesAnEmptyBatch) {
  Completion completion{{column(Fill::linear)}, false};
  auto in = std::make_shared<Batch>();
  in->schema = brackets::schema({{"f", FieldKind::number}});
  in->columns.resize(in->schema->columns.size());
  in->reached = 9;
  ASSERT_TRUE(completion.bind_schema(*in->schema));
  const auto out = completion.complete(in);
  EXPECT_EQ(out->rows, 0u);
  EXPECT_EQ(out->reached, 9);
  EXPECT_EQ(out->columns.size(), out->schema->columns.size());
}

}  // namespace
}  // namespace weir
