#include <weir/shapes.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

std::vector<std::string> names_of(const Schema& schema) {
  std::vector<std::string> out;
  for (const ColumnType& column : schema.columns) out.push_back(column.name);
  return out;
}

TEST(Samples, ColumnNumbersAreTheSchemas) {
  const SchemaPtr schema = samples::schema();
  EXPECT_EQ(schema, samples::schema());
  EXPECT_EQ(schema->shape, Shape::samples);
  EXPECT_EQ(schema->find("key"), samples::key);
  EXPECT_EQ(schema->find("time"), samples::time);
  EXPECT_EQ(schema->find("z"), samples::z);
  EXPECT_EQ(schema->find("text"), samples::text);
  EXPECT_EQ(schema->columns[samples::field].type, Type::dictionary);
  EXPECT_FALSE(schema->find("nothing"));
}

TEST(Brackets, LayoutSchemaAndDemandAgree) {
  const std::vector<ProjectedField> fields{
      {"speed", FieldKind::number}, {"position", FieldKind::point}, {"a.b", FieldKind::text}};
  const SchemaPtr schema = brackets::schema(fields);
  const auto layout = brackets::layout(fields);
  ASSERT_EQ(layout.size(), 3U);
  EXPECT_EQ(schema->find("key"), brackets::key);
  EXPECT_EQ(schema->find("tick"), brackets::tick);
  EXPECT_EQ(schema->find("speed.before_time"), layout[0].before_time);
  EXPECT_EQ(schema->find("position.before"), layout[1].before);
  EXPECT_EQ(schema->find("position.before_y"), layout[1].before_y);
  EXPECT_EQ(schema->find("position.before_z"), layout[1].before_z);
  EXPECT_EQ(schema->find("position.after_y"), layout[1].after_y);
  EXPECT_EQ(schema->find("position.after_z"), layout[1].after_z);
  EXPECT_EQ(schema->find("a.b.after_time"), layout[2].after_time);
  EXPECT_EQ(schema->find("a.b.after"), layout[2].after);
  EXPECT_EQ(schema->columns[layout[2].after].type, Type::string);
  EXPECT_EQ(schema->columns.size(), layout[2].after + 1);
  EXPECT_EQ(brackets::fields(*schema), fields);
}

TEST(Rows, ColumnsAreNamedAfterTheirFields) {
  const SchemaPtr schema = rows::schema({{.field = "position", .kind = FieldKind::point, .quality = true},
                                         {.field = "speed"},
                                         {.field = "driver", .kind = FieldKind::text}});
  EXPECT_EQ(names_of(*schema), (std::vector<std::string>{"key", "tick", "position_lat", "position_lon", "position_alt",
                                                         "position_quality", "speed", "driver"}));
  EXPECT_EQ(schema->shape, Shape::rows);
  EXPECT_EQ(schema->columns[5].type, Type::int64);
  EXPECT_EQ(schema->columns[6].type, Type::float64);
  EXPECT_EQ(schema->columns[7].type, Type::string);
}

}  // namespace
}  // namespace weir
