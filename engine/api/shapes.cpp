#include <weir/shapes.hpp>

namespace weir {
namespace {

constexpr std::string_view before_time = ".before_time";
constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

SchemaPtr shared(Shape shape, std::vector<ColumnType> columns) {
  return std::make_shared<const Schema>(Schema{shape, std::move(columns)});
}

}  // namespace

SchemaPtr samples::schema() {
  static const SchemaPtr schema = shared(Shape::samples, {{"key", Type::dictionary},
                                                          {"field", Type::dictionary},
                                                          {"time", Type::timestamp},
                                                          {"x", Type::float64},
                                                          {"y", Type::float64},
                                                          {"z", Type::float64},
                                                          {"text", Type::string}});
  return schema;
}

SchemaPtr brackets::schema(const std::vector<ProjectedField>& fields) {
  std::vector<ColumnType> columns{{"key", Type::dictionary}, {"tick", Type::timestamp}};
  for (const ProjectedField& field : fields) {
    const Type value = field.kind == FieldKind::text ? Type::string : Type::float64;
    columns.push_back({field.name + ".before_time", Type::timestamp});
    columns.push_back({field.name + ".before", value});
    columns.push_back({field.name + ".after_time", Type::timestamp});
    columns.push_back({field.name + ".after", value});
    if (field.kind != FieldKind::point) continue;
    for (const char* part : {".before_y", ".before_z", ".after_y", ".after_z"}) {
      columns.push_back({field.name + part, Type::float64});
    }
  }
  return shared(Shape::brackets, std::move(columns));
}

std::vector<brackets::Bracket> brackets::layout(const std::vector<ProjectedField>& fields) {
  std::vector<Bracket> out;
  std::size_t at = first_field;
  for (const ProjectedField& field : fields) {
    Bracket bracket{at, at + 1, at + 2, at + 3, nowhere, nowhere, nowhere, nowhere};
    at += 4;
    if (field.kind == FieldKind::point) {
      bracket.before_y = at;
      bracket.before_z = at + 1;
      bracket.after_y = at + 2;
      bracket.after_z = at + 3;
      at += 4;
    }
    out.push_back(bracket);
  }
  return out;
}

std::vector<ProjectedField> brackets::fields(const Schema& schema) {
  std::vector<ProjectedField> out;
  const auto& columns = schema.columns;
  for (std::size_t i = first_field; i + 4 <= columns.size();) {
    const std::string name = columns[i].name.substr(0, columns[i].name.size() - before_time.size());
    FieldKind kind = columns[i + 1].type == Type::string ? FieldKind::text : FieldKind::number;
    i += 4;
    if (i < columns.size() && columns[i].name == name + ".before_y") {
      kind = FieldKind::point;
      i += 4;
    }
    out.push_back({name, kind});
  }
  return out;
}

SchemaPtr rows::schema(const std::vector<RowColumn>& columns) {
  std::vector<ColumnType> out{{"key", Type::dictionary}, {"tick", Type::timestamp}};
  for (const RowColumn& column : columns) {
    switch (column.kind) {
      case FieldKind::number:
        out.push_back({column.field, Type::float64, column.unit});
        break;
      case FieldKind::text:
        out.push_back({column.field, Type::string, column.unit});
        break;
      case FieldKind::point:
        for (const char* part : {"_lat", "_lon"}) out.push_back({column.field + part, Type::float64, "deg"});
        out.push_back({column.field + "_alt", Type::float64, "m"});
        break;
    }
    if (column.quality)
      out.push_back({column.field + "_quality", Type::int64, "0 NULL, 1 measured, 2 interpolated, 3 carried"});
  }
  return shared(Shape::rows, std::move(out));
}

}  // namespace weir
