#include "reference/completion.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace weir::reference {
namespace {

double linear(double before, double after, double share) {
  const double way = after - before;
  return std::isfinite(way) ? before + share * way : before * (1 - share) + after * share;
}

/// The shortest way round; exactly opposite: upwards. The result is in [0, period).
double angle(double before, double after, double share, double period) {
  double way = std::remainder(after - before, period);
  if (way == -period / 2) way = period / 2;
  double value = std::fmod(before + share * way, period);
  if (value < 0) value += period;
  return value >= period ? 0.0 : value;
}

/// Along the great circle: turn the first place's direction towards the second's by a share of the angle between them.
void great_circle(const Value& before, const Value& after, double share, Value& out) {
  constexpr double degree = std::numbers::pi / 180;
  struct Direction {
    double x, y, z;
  };
  const auto direction = [](const Value& v) {
    const double lat = v.x * degree, lon = v.y.value() * degree;
    return Direction{std::cos(lat) * std::cos(lon), std::cos(lat) * std::sin(lon), std::sin(lat)};
  };
  const Direction a = direction(before), b = direction(after);
  const Direction across{a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
  const double whole = std::atan2(std::hypot(across.x, across.y, across.z), a.x * b.x + a.y * b.y + a.z * b.z);
  if (whole < 1e-12) {
    out.x = before.x;
    out.y = before.y;
    return;
  }
  const double of_a = std::sin((1 - share) * whole) / std::sin(whole), of_b = std::sin(share * whole) / std::sin(whole);
  const Direction there{of_a * a.x + of_b * b.x, of_a * a.y + of_b * b.y, of_a * a.z + of_b * b.z};
  out.x = std::atan2(there.z, std::hypot(there.x, there.y)) / degree;
  out.y = std::atan2(there.y, there.x) / degree;
}

Value between(const Reading& before, const Reading& after, Timestamp tick, const RowColumn& column) {
  const double share = static_cast<double>(tick - before.time) / static_cast<double>(after.time - before.time);
  Value out = before.value;
  if (column.fill == Fill::step || column.kind == FieldKind::text) return out;
  if (column.fill == Fill::linear) out.x = linear(before.value.x, after.value.x, share);
  if (column.fill == Fill::angle) out.x = angle(before.value.x, after.value.x, share, column.period);
  if (column.kind != FieldKind::point) return out;
  if (column.fill == Fill::geo) great_circle(before.value, after.value, share, out);
  if (column.fill == Fill::linear) out.y = linear(before.value.y.value(), after.value.y.value(), share);
  out.z.reset();
  if (before.value.z && after.value.z) out.z = linear(*before.value.z, *after.value.z, share);
  return out;
}

}  // namespace

Cell complete(const Bracket& bracket, Timestamp tick, const RowColumn& column) {
  if (!bracket.before) return {};
  const Reading& before = *bracket.before;
  if (before.time == tick) return {Quality::measured, before.value};
  const bool narrow = bracket.after && bracket.after->time - before.time <= column.max_gap;
  if (narrow) return {Quality::interpolated, between(before, *bracket.after, tick, column)};
  if (tick - before.time <= column.max_age) return {Quality::carried, before.value};
  return {};
}

std::vector<Row> complete(const std::vector<BracketRow>& rows, const std::vector<std::string>& fields,
                          const std::vector<RowColumn>& columns, bool write_empty) {
  std::vector<Row> out;
  for (const BracketRow& in : rows) {
    Row row{in.key, in.tick, in.arrival, {}};
    for (const RowColumn& column : columns) {
      const auto field = static_cast<std::size_t>(std::ranges::find(fields, column.field) - fields.begin());
      row.cells.push_back(complete(in.brackets.at(field), in.tick, column));
    }
    const bool empty = std::ranges::all_of(row.cells, [](const Cell& cell) { return cell.quality == Quality::null; });
    if (!empty || write_empty) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace weir::reference
