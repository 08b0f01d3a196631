/// The three standard shapes: samples, brackets, rows.
#pragma once

#include <string>
#include <vector>

#include <weir/batch.hpp>

namespace weir {

/// Samples: one measured value of one field of one key at one instant.
/// A number is in x; a point has latitude in x, longitude in y (degrees), altitude in z (metres, NULL if unknown);
/// a text is in text. Columns y, z and text are absent in batches that need none.
namespace samples {
enum : std::size_t { key, field, time, x, y, z, text };
/// Of different fields that a lane's table holds.
inline constexpr std::uint32_t most_fields = 4096;
SchemaPtr schema();
}  // namespace samples

/// What values a field holds.
enum class FieldKind : std::uint8_t { number, point, text };

/// A field that somebody downstream wants, and as what.
struct ProjectedField {
  std::string name;
  FieldKind kind = FieldKind::number;
  bool operator==(const ProjectedField&) const = default;
};

/// Brackets: for one key and one tick, each field's newest sample at or before it and the first one after it.
/// Columns: key, tick, then per field, in the order of the projection, the columns of Bracket below.
namespace brackets {
enum : std::size_t { key, tick, first_field };

/// Column numbers of one field. A NULL time means that there is no such sample. Names: `<field>.before_time`,
/// `.before`, `.after_time`, `.after`; a point adds `.before_y`, `.before_z`, `.after_y`, `.after_z`.
struct Bracket {
  std::size_t before_time, before, after_time, after;
  std::size_t before_y, before_z, after_y, after_z;  ///< points only
};

SchemaPtr schema(const std::vector<ProjectedField>& fields);
std::vector<Bracket> layout(const std::vector<ProjectedField>& fields);
/// The projection that a brackets schema was made from.
std::vector<ProjectedField> fields(const Schema& schema);
}  // namespace brackets

/// How a row's cell is made from a bracket.
enum class Fill : std::uint8_t { linear, angle, geo, step };

/// Where a cell's value came from; the quality code that is written when a column asks for it.
enum class Quality : std::uint8_t { null = 0, measured = 1, interpolated = 2, carried = 3 };

/// One entry of `columns`, of a sink or of a transform that makes rows.
struct RowColumn {
  std::string field;  ///< name of the field; the column (or `<name>_lat`, `_lon`, `_alt`) is named after it
  Fill fill = Fill::linear;
  FieldKind kind = FieldKind::number;
  Duration max_gap = 5 * second;  ///< widest distance between before and after that is interpolated over
  Duration max_age = 5 * second;  ///< oldest before that is carried
  double period = 360.0;          ///< of an angle, in its unit
  bool quality = false;           ///< adds `<name>_quality`, a Quality as int64
  std::string unit = {};          ///< documentation: becomes ColumnType::unit
};

namespace rows {
enum : std::size_t { key, tick, first_column };
SchemaPtr schema(const std::vector<RowColumn>& columns);
}  // namespace rows

}  // namespace weir
