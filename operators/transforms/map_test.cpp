#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_map();

namespace {

using fakes::FakeContext;
using fakes::FakeOutput;
using fakes::SampleBatch;
using Set = std::vector<std::pair<std::string, Setting>>;

std::string operator""_s(const char* text, std::size_t size) { return {text, size}; }

Settings map_settings(const Set& set, std::string_view where = {}) {
  auto columns = std::make_shared<Settings>();
  for (const auto& [column, value] : set) columns->set(column, value);
  Settings settings{"map"};
  settings.set("set", std::shared_ptr<const Settings>{columns});
  if (!where.empty()) settings.set("where", std::make_shared<const Expression>(Expression::compile(where).value()));
  return settings;
}

/// Settings with these too: `rename` is of old names and new ones, `drop` and `keep` lists.
Settings with(Settings settings, const Set& rename, const std::vector<std::string>& drop = {},
              const std::vector<std::string>& keep = {}) {
  auto names = std::make_shared<Settings>();
  for (const auto& [old, name] : rename) names->set(old, name);
  if (!rename.empty()) settings.set("rename", std::shared_ptr<const Settings>{names});
  if (!drop.empty()) settings.set("drop", drop);
  if (!keep.empty()) settings.set("keep", keep);
  return settings;
}

std::string columns_of(const Schema& schema) {
  std::string out{to_string(schema.shape)};
  for (const ColumnType& column : schema.columns) out += weir::format(", {} {}", column.name, to_string(column.type));
  return out;
}

struct MapTest : testing::Test {
  std::unique_ptr<Transform> make(const Set& set, std::string_view where = {}) {
    return op.make_transform(map_settings(set, where), context);
  }

  BatchPtr mapped(Transform& map, const BatchPtr& in) {
    EXPECT_TRUE(map.process(0, in, out));
    return out.emitted.empty() ? nullptr : out.emitted.back().second;
  }

  std::string mistake(const Set& set, std::string_view where = {}, const SchemaPtr& schema = samples::schema()) {
    const Error error = make(set, where)->bind_schema({schema}).error_or(Error{});
    return error.setting + ":" + std::to_string(error.offset) + ": " + error.message;
  }

  std::string schema_of(const Settings& settings, const SchemaPtr& in) {
    const auto bound = op.make_transform(settings, context)->bind_schema({in});
    if (bound) return columns_of(*bound->at(0));
    return bound.error().setting + ": " + bound.error().message;
  }

  BatchPtr rows_of(const SchemaPtr& schema, std::vector<std::uint32_t> keys, std::vector<double> speeds) {
    for (const char* key : {"a", "b"}) context.keys()->intern(key);
    auto in = std::make_shared<Batch>();
    in->schema = schema;
    in->rows = keys.size();
    std::vector<Timestamp> ticks;
    for (std::size_t row = 0; row < in->rows; ++row) ticks.push_back(static_cast<Timestamp>(row) * second);
    in->arrival = ticks;
    in->columns = {Column::dictionary({std::move(keys), context.keys()}), Column::timestamp(ticks),
                   Column::float64(std::move(speeds))};
    return in;
  }

  BatchPtr two_samples() {
    return SampleBatch{context}.number("a", "speed", 10, 100, 50).number("a", "soc", 20, 80, 51).take(99);
  }

  Operator op = weir_operator_transforms_map();
  FakeContext context;
  FakeOutput out{context};
};

TEST_F(MapTest, SetsWhatTheExpressionsGiveForTheRowAsItCameIn) {
  const auto map = make({{"x", "x * 2 + y"_s},
                         {"y", "x"_s},
                         {"z", std::int64_t{3}},
                         {"text", "upper(field)"_s},
                         {"time", "time + 5ns"_s}});
  ASSERT_EQ(*map->bind_schema({samples::schema()}).value().at(0), *samples::schema());
  auto in = std::make_shared<Batch>(*two_samples());
  in->columns[samples::y] = Column::float64({1, 2});
  const BatchPtr got = mapped(*map, in);
  ASSERT_EQ(got->rows, 2U);
  EXPECT_EQ(got->columns[samples::x].float64s()[0], 201);
  EXPECT_EQ(got->columns[samples::y].float64s()[1], 80);
  EXPECT_EQ(got->columns[samples::z].float64s()[1], 3);
  EXPECT_EQ(got->columns[samples::text].texts()[0], "SPEED");
  EXPECT_EQ(got->columns[samples::time].int64s()[1], 25);
  EXPECT_EQ(got->columns[samples::key].text(1), "a");
  EXPECT_EQ(got->reached, 99);
  EXPECT_EQ(got->arrival, in->arrival);
}

TEST_F(MapTest, WhereLeavesTheOtherRowsAsTheyAre) {
  const auto map = make({{"x", "x / 0"_s}, {"field", "'charge'"_s}}, "field = 'soc' or y > 0");
  ASSERT_TRUE(map->bind_schema({samples::schema()}));
  const BatchPtr got = mapped(*map, two_samples());
  EXPECT_EQ(got->columns[samples::field].text(0), "speed");
  EXPECT_EQ(got->columns[samples::field].text(1), "charge");
  EXPECT_EQ(got->columns[samples::x].float64s()[0], 100);
  EXPECT_FALSE(got->columns[samples::x].valid(1));
}

TEST_F(MapTest, ASampleWithoutFieldOrTimeIsRefusedOnce) {
  const auto map = make({{"field", "if(x > 90, null, field)"_s}, {"time", "if(x > 90, null, time)"_s}});
  ASSERT_TRUE(map->bind_schema({samples::schema()}));
  const BatchPtr got = mapped(*map, two_samples());
  ASSERT_EQ(got->rows, 1U);
  EXPECT_EQ(got->columns[samples::field].text(0), "soc");
  ASSERT_EQ(out.refused.size(), 1U);
  EXPECT_EQ(out.refused[0], (std::pair<std::size_t, std::string>{0, "null_result: set.field gave NULL"}));
}

TEST_F(MapTest, FieldsAreBoundedAndOutliveARestart) {
  const auto map = make({{"field", "text"_s}});
  ASSERT_TRUE(map->bind_schema({samples::schema()}));
  SampleBatch many{context};
  for (int i = 0; i < 65'537; ++i) {
    const std::string name = "f" + std::to_string(i);
    many.add({.key = "a", .field = "f", .time = 1, .text = name, .kind = Sample::Kind::text}, 1);
  }
  EXPECT_EQ(mapped(*map, many.take())->rows, 65'536U);
  ASSERT_EQ(out.refused.size(), 1U);
  EXPECT_EQ(out.refused[0].second, "too_many_fields: the limit is 65536");

  StateWriter state;
  map->save(state);
  const auto again = make({{"field", "text"_s}});
  ASSERT_TRUE(again->bind_schema({samples::schema()}));
  StateReader reader{state.bytes()};
  ASSERT_TRUE(again->load(reader));
  EXPECT_TRUE(reader.at_end());
  many.add({.key = "a", .field = "f", .time = 1, .text = "f9", .kind = Sample::Kind::text}, 1);
  many.add({.key = "a", .field = "f", .time = 1, .text = "new", .kind = Sample::Kind::text}, 1);
  EXPECT_EQ(mapped(*again, many.take())->rows, 1U);
  StateReader broken{std::string_view{state.bytes()}.substr(0, 100)};
  EXPECT_FALSE(make({{"field", "text"_s}})->load(broken));
}

TEST_F(MapTest, RowsTakeNewColumnsAndReplacedOnes) {
  const SchemaPtr rows = rows::schema({{.field = "speed"}, {.field = "driver", .kind = FieldKind::text}});
  const auto map = make({{"speed", "speed > 100"_s}, {"limit", std::int64_t{130}}, {"name", "lower(driver)"_s}});
  const SchemaPtr bound = map->bind_schema({rows}).value().at(0);
  const std::vector<ColumnType> expected{{"key", Type::dictionary}, {"tick", Type::timestamp}, {"speed", Type::boolean},
                                         {"driver", Type::string},  {"limit", Type::int64},    {"name", Type::string}};
  EXPECT_EQ(bound->columns, expected);
  auto in = std::make_shared<Batch>();
  in->schema = rows;
  in->rows = 1;
  in->arrival = {1};
  context.keys()->intern("a");
  in->columns = {Column::dictionary({{0}, context.keys()}), Column::timestamp({5}), Column::float64({120}), Column{}};
  const BatchPtr got = mapped(*map, in);
  EXPECT_EQ(got->column("speed").booleans()[0], 1);
  EXPECT_EQ(got->column("limit").int64s()[0], 130);
  EXPECT_FALSE(got->column("name").valid(0));

  const auto some = make({{"fast", true}}, "speed > 130");
  ASSERT_TRUE(some->bind_schema({rows}));
  EXPECT_FALSE(mapped(*some, in)->column("fast").valid(0));
}

TEST_F(MapTest, ColumnsAreSetThenRenamedThenChosen) {
  const SchemaPtr rows = rows::schema({{.field = "volts"}, {.field = "amps"}});
  const Set power{{"watts", "volts * amps"_s}};
  EXPECT_EQ(schema_of(with(map_settings(power), {}, {"volts", "amps"}), rows),
            "rows, key dictionary, tick timestamp, watts float64");
  EXPECT_EQ(schema_of(with(map_settings(power), {}, {}, {"watts"}), rows),
            "rows, key dictionary, tick timestamp, watts float64");
  EXPECT_EQ(schema_of(with(map_settings(power), {{"volts", "amps"_s}, {"amps", "volts"_s}}, {"volts"}), rows),
            "rows, key dictionary, tick timestamp, amps float64, watts float64");
  EXPECT_EQ(schema_of(with(map_settings({{"speed", "x * 3.6"_s}}), {}, {}, {"speed"}), samples::schema()),
            "other, key dictionary, time timestamp, speed float64");
  EXPECT_EQ(schema_of(with(Settings{"map"}, {{"x", "speed"_s}}, {"field", "y", "z", "text"}), samples::schema()),
            "other, key dictionary, time timestamp, speed float64");
  EXPECT_EQ(schema_of(map_settings({{"y", "x"_s}}), samples::schema()).substr(0, 8), "samples,");
}

TEST_F(MapTest, WhatComesOutAreTheChosenColumns) {
  const auto map = op.make_transform(
      with(map_settings({{"kmh", "speed * 3.6"_s}}), {{"speed", "metres"_s}}, {}, {"kmh", "metres"}), context);
  const SchemaPtr rows = rows::schema({{.field = "speed"}});
  const SchemaPtr bound = map->bind_schema({rows}).value().at(0);
  const BatchPtr got = mapped(*map, rows_of(rows, {0, 1}, {10, 20}));
  EXPECT_EQ(got->schema, bound);
  EXPECT_EQ(got->column("metres").float64s()[1], 20);
  EXPECT_EQ(got->column("kmh").float64s()[1], 72);
  EXPECT_EQ(got->column("tick").int64s()[1], second);
}

TEST_F(MapTest, TheRowBeforeIsOfTheSameKeyAndOutlivesARestart) {
  const SchemaPtr rows = rows::schema({{.field = "speed"}});
  const Set integral{{"km", "coalesce((speed + previous(speed)) / 2 * elapsed() / 3600, 0)"_s}};
  const auto map = make(integral, "speed >= 0");
  ASSERT_TRUE(map->bind_schema({rows}));
  const BatchPtr got = mapped(*map, rows_of(rows, {0, 1, 0}, {0, 7200, 3600}));
  EXPECT_EQ(got->column("km").float64s()[0], 0);
  EXPECT_EQ(got->column("km").float64s()[1], 0);
  EXPECT_EQ(got->column("km").float64s()[2], 1);
  EXPECT_EQ(map->size().keys, 2U);
  EXPECT_GT(map->size().bytes, 100U);

  StateWriter state;
  map->save(state);
  const auto again = make({{"delta", "speed - previous(speed)"_s}, {"on", "previous(speed > 0)"_s}});
  ASSERT_TRUE(again->bind_schema({rows}));
  StateReader reader{state.bytes()};
  ASSERT_TRUE(again->load(reader));
  const BatchPtr more = mapped(*again, rows_of(rows, {1, 0}, {7201, 3602}));
  EXPECT_EQ(more->column("delta").float64s()[0], 1);
  EXPECT_EQ(more->column("delta").float64s()[1], 2);
  EXPECT_FALSE(more->column("on").valid(0)) << "nobody remembered that";
  StateReader broken{std::string_view{state.bytes()}.substr(0, state.bytes().size() - 3)};
  const auto other = make(integral);
  ASSERT_TRUE(other->bind_schema({rows}));
  EXPECT_FALSE(other->load(broken));
}

TEST_F(MapTest, KeepsStateOnlyWhereExpressionsDo) {
  const auto saved = [&](const Set& set) {
    const auto map = make(set);
    EXPECT_TRUE(map->bind_schema({samples::schema()}));
    StateWriter state;
    map->save(state);
    return state.bytes().size();
  };
  EXPECT_EQ(saved({{"x", "x * 2"_s}}), 0U);
  EXPECT_GT(saved({{"x", "x - previous(x)"_s}}), 0U);
  EXPECT_GT(saved({{"field", "lower(field)"_s}}), 0U);
  EXPECT_FALSE(op.spec.is_bounded_by_keys(map_settings({{"x", "x * 2"_s}})));
  EXPECT_TRUE(op.spec.is_bounded_by_keys(map_settings({{"x", "x - previous(x)"_s}})));
  EXPECT_TRUE(op.spec.sees_whole_keys(map_settings({{"x", "1"_s}}, "elapsed() > 1")));
  EXPECT_EQ(op.spec.state_of(map_settings({{"x", "1"_s}})), "");
}

TEST_F(MapTest, WhatIsUndefinedIsCountedWhereItIsLookedAt) {
  const auto map = make({{"x", "1 / (x - 100)"_s}, {"y", "sqrt(-x)"_s}}, "x > 90 and 1 / (x - 80) > 0");
  ASSERT_TRUE(map->bind_schema({samples::schema()}));
  mapped(*map, two_samples());
  EXPECT_EQ(context.counted("undefined_values"), 2U);
}

TEST_F(MapTest, MarkersPass) {
  const auto map = make({{"field", "lower(field)"_s}});
  ASSERT_TRUE(map->bind_schema({samples::schema()}));
  EXPECT_EQ(mapped(*map, SampleBatch{context}.take(30))->reached, 30);
}

TEST_F(MapTest, MistakesNameTheColumnAndThePlace) {
  EXPECT_EQ(mistake({{"x", "x + spede"_s}}).substr(0, 30), "set.x:4: unknown name \"spede\";");
  EXPECT_EQ(mistake({{"x", "'fast'"_s}}), "set.x:0: \"x\" holds numbers, but this gives texts");
  EXPECT_EQ(mistake({{"field", "3"_s}}), "set.field:0: \"field\" holds texts, but this gives numbers");
  EXPECT_EQ(mistake({{"time", "x"_s}}), "set.time:0: \"time\" holds times, but this gives numbers");
  EXPECT_EQ(mistake({{"feild", "'a'"_s}}), "set.feild:0: samples have no column \"feild\"; did you mean \"field\"?");
  EXPECT_EQ(mistake({{"x", "1"_s}}, "ok").substr(0, 8), "where:0:");
  EXPECT_EQ(mistake({{"x", "1"_s}}, "x"), "where:0: \"where\" must be true or false");
  EXPECT_EQ(mistake({{"speed", "'a'"_s}}, "true", rows::schema({{.field = "speed"}})),
            "set.speed:0: \"speed\" holds numbers, but this gives texts");
}

TEST_F(MapTest, MistakesOfNamesHaveTheirPlaces) {
  const SchemaPtr rows = rows::schema({{.field = "speed"}, {.field = "charge"}});
  const auto of = [&](const Set& rename, const std::vector<std::string>& drop = {},
                      const std::vector<std::string>& keep = {}) {
    return schema_of(with(Settings{"map"}, rename, drop, keep), rows);
  };
  EXPECT_EQ(of({{"sped", "v"_s}}), "rename.sped: there is no column \"sped\"; did you mean \"speed\"?");
  EXPECT_EQ(of({{"speed", "charge"_s}}), "rename.speed: there is a column \"charge\" already");
  EXPECT_EQ(of({}, {"z"}), "drop: there is no column \"z\"; there are \"key\", \"tick\", \"speed\", \"charge\"");
  EXPECT_EQ(of({}, {}, {"chrage"}), "keep: there is no column \"chrage\"; did you mean \"charge\"?");
  EXPECT_EQ(schema_of(with(Settings{"map"}, {{"time", "at"_s}}), samples::schema()),
            "rename.time: \"time\" can't be renamed: it is the time of the row");
  EXPECT_EQ(schema_of(with(Settings{"map"}, {}, {"time"}), samples::schema()),
            "drop: \"time\" can't be dropped: it is the time of the row");
  const auto problems = [&](const Settings& settings) {
    std::string said;
    for (const Error& error : op.spec.problems_of(settings))
      said += error.setting + ": " + error.message.substr(0, 42) + "\n";
    return said;
  };
  EXPECT_EQ(problems(with(Settings{"map"}, {{"key", "car"_s}, {"a", "tick"_s}, {"b", 1.5}}, {"x", "tick"}, {"y"})),
            "rename.key: \"key\" can't be renamed: it decides the lan\n"
            "rename.a: \"tick\" can't be the name of another column\n"
            "rename.b: a column's new name is a text\n"
            "keep: say what to \"drop\" or what to \"keep\", not \n"
            "drop: \"tick\" can't be dropped: it is the instant\n");
  EXPECT_EQ(problems(Settings{"map"}), ": it changes nothing; say what to \"set\", \"re\n");
}

TEST_F(MapTest, TheKeyStaysAndEveryMistakeIsSaidAtOnce) {
  const auto problems =
      op.spec.problems_of(map_settings({{"key", "'a'"_s}, {"x", "1 +"_s}, {"y", "2"_s}, {"tick", "3"_s}}));
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(problems[0].setting, "set.key");
  EXPECT_TRUE(problems[0].message.contains("decides the lane"));
  EXPECT_EQ(problems[1].setting, "set.x");
  EXPECT_EQ(problems[1].offset, 3U);
  EXPECT_EQ(problems[2].setting, "set.tick");
  EXPECT_EQ(op.spec.problems_of(map_settings({})).at(0).setting, "set");
}

}  // namespace
}  // namespace weir
