#include <weir/completion.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numbers>

namespace weir {
namespace {

using Vector = std::array<double, 3>;

constexpr double radians = std::numbers::pi / 180;

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
Vector mix(const Vector& a, double share_a, const Vector& b, double share_b) {
  return {a[0] * share_a + b[0] * share_b, a[1] * share_a + b[1] * share_b, a[2] * share_a + b[2] * share_b};
}

Vector unit(Coordinates place) {
  const double lat = place.lat * radians;
  const double lon = place.lon * radians;
  return {std::cos(lat) * std::cos(lon), std::cos(lat) * std::sin(lon), std::sin(lat)};
}

Coordinates place_of(const Vector& v) {
  return {std::atan2(v[2], std::hypot(v[0], v[1])) / radians, std::atan2(v[1], v[0]) / radians};
}

/// The unit vector a quarter of a circle north of `a`; from a pole, towards the meridian of Greenwich.
Vector northwards(const Vector& a) {
  const Vector north{0, 0, 1};
  const Vector flat = mix(north, 1, a, -dot(a, north));
  const double length = std::sqrt(dot(flat, flat));
  return length < 1e-9 ? Vector{1, 0, 0} : mix(flat, 1 / length, flat, 0);
}

/// What one side of a bracket says, read by row.
struct Side {
  const Column *time, *value, *y, *z;
};

/// A column of the brackets that a column of the rows is made from.
struct Input {
  Side before, after;

  Input(const Batch& in, const brackets::Bracket& at, FieldKind kind) {
    const auto column = [&](std::size_t number) { return kind == FieldKind::point ? &in.columns[number] : nullptr; };
    before = {&in.columns[at.before_time], &in.columns[at.before], column(at.before_y), column(at.before_z)};
    after = {&in.columns[at.after_time], &in.columns[at.after], column(at.after_y), column(at.after_z)};
  }

  Quality quality(std::size_t row, Timestamp tick, const RowColumn& column) const {
    if (!before.time->valid(row)) return Quality::null;
    const Timestamp from = before.time->int64s()[row];
    if (from == tick) return Quality::measured;
    if (after.time->valid(row) && after.time->int64s()[row] - from <= column.max_gap) return Quality::interpolated;
    return tick - from <= column.max_age ? Quality::carried : Quality::null;
  }

  double share(std::size_t row, Timestamp tick) const {
    const Timestamp from = before.time->int64s()[row];
    return static_cast<double>(tick - from) / static_cast<double>(after.time->int64s()[row] - from);
  }
};

/// A column of doubles that grows cell by cell.
struct Numbers {
  std::vector<double> values;
  Validity valid;

  void push(double value, bool known = true) {
    valid.push(known, values.size());
    values.push_back(known ? value : 0);
  }
  Column take() { return Column::float64(std::move(values), std::move(valid)); }
};

/// Rows that are kept, with their ticks.
struct Kept {
  std::span<const std::uint32_t> rows;
  std::span<const Timestamp> ticks;  ///< of all rows
};

void add_numbers(const Input& in, const RowColumn& column, std::span<const Quality> quality, const Kept& kept,
                 std::vector<Column>& out) {
  Numbers cells;
  cells.values.reserve(kept.rows.size());
  for (const std::uint32_t row : kept.rows) {
    if (quality[row] == Quality::null) {
      cells.push(0, false);
      continue;
    }
    const double before = in.before.value->float64s()[row];
    if (quality[row] != Quality::interpolated || column.fill == Fill::step) {
      cells.push(before);
      continue;
    }
    const double after = in.after.value->float64s()[row];
    const double share = in.share(row, kept.ticks[row]);
    cells.push(column.fill == Fill::angle ? along_arc(before, after, share, column.period)
                                          : along_line(before, after, share));
  }
  out.push_back(cells.take());
}

void add_points(const Input& in, const RowColumn& column, std::span<const Quality> quality, const Kept& kept,
                std::vector<Column>& out) {
  Numbers lat, lon, alt;
  const auto height = [&](const Side& side, std::size_t row) {
    return side.z->valid(row) ? side.z->float64s()[row] : std::nan("");
  };
  for (const std::uint32_t row : kept.rows) {
    if (quality[row] == Quality::null) {
      lat.push(0, false), lon.push(0, false), alt.push(0, false);
      continue;
    }
    Coordinates place{in.before.value->float64s()[row], in.before.y->float64s()[row]};
    double altitude = height(in.before, row);
    if (quality[row] == Quality::interpolated && column.fill != Fill::step) {
      const double share = in.share(row, kept.ticks[row]);
      place = along_great_circle(place, {in.after.value->float64s()[row], in.after.y->float64s()[row]}, share);
      altitude = along_line(altitude, height(in.after, row), share);
    }
    lat.push(place.lat), lon.push(place.lon), alt.push(altitude, !std::isnan(altitude));
  }
  for (Numbers* part : {&lat, &lon, &alt}) out.push_back(part->take());
}

void add_texts(const Input& in, std::span<const Quality> quality, const Kept& kept, std::vector<Column>& out) {
  Texts texts;
  Validity valid;
  for (const std::uint32_t row : kept.rows) {
    const bool known = quality[row] != Quality::null;
    valid.push(known, texts.size());
    texts.push(known ? in.before.value->text(row) : std::string_view{});
  }
  out.push_back(Column::string(std::move(texts), std::move(valid)));
}

void add_qualities(std::span<const Quality> quality, const Kept& kept, std::vector<Column>& out) {
  std::vector<std::int64_t> codes;
  codes.reserve(kept.rows.size());
  for (const std::uint32_t row : kept.rows) codes.push_back(static_cast<std::int64_t>(quality[row]));
  out.push_back(Column::int64(std::move(codes)));
}

bool suits(Fill fill, FieldKind kind) {
  if (fill == Fill::step) return true;
  return kind == (fill == Fill::geo ? FieldKind::point : FieldKind::number);
}

std::string_view name(FieldKind kind) {
  constexpr std::array<std::string_view, 3> names{"numbers", "points", "texts"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace

double along_line(double from, double to, double share) {
  const double way = to - from;
  return std::isinf(way) ? from * (1 - share) + to * share : from + share * way;
}

double along_arc(double from, double to, double share, double period) {
  const double way = std::isinf(to - from) ? std::fmod(to, period) - std::fmod(from, period) : to - from;
  double turn = std::remainder(way, period);
  if (turn == -period / 2) turn = period / 2;
  double angle = std::fmod(from + share * turn, period);
  if (angle < 0) angle += period;
  return angle >= period ? 0 : angle + 0.0;  // not -0
}

Coordinates along_great_circle(Coordinates from, Coordinates to, double share) {
  if (from.lat == to.lat && from.lon == to.lon) return from;
  const Vector a = unit(from);
  const Vector b = unit(to);
  const Vector normal = cross(a, b);
  const double sine = std::sqrt(dot(normal, normal));
  const double angle = std::atan2(sine, dot(a, b));
  if (sine < 1e-12) {
    if (angle < 1) return place_of(mix(a, 1 - share, b, share));
    const double turn = std::numbers::pi * share;
    return place_of(mix(a, std::cos(turn), northwards(a), std::sin(turn)));
  }
  return place_of(mix(a, std::sin((1 - share) * angle) / sine, b, std::sin(share * angle) / sine));
}

Completion::Completion(std::vector<RowColumn> columns, bool write_empty)
    : columns_{std::move(columns)}, write_empty_{write_empty} {}

Result<SchemaPtr> Completion::bind_schema(const Schema& brackets) {
  const auto invalid = [](const RowColumn& column, const std::string& why) {
    return fail(Error::Kind::invalid, why, "columns." + column.field);
  };
  if (brackets.shape != Shape::brackets) {
    return fail(
        Error::Kind::invalid,
        "columns are made from brackets, but the input is " +
            (brackets.shape == Shape::rows ? std::string{"rows already; leave \"columns\" out"}
                                           : std::string{to_string(brackets.shape)} + "; put a window-join in between"),
        "from");
  }
  const auto fields = brackets::fields(brackets);
  const auto places = brackets::layout(fields);
  layout_.clear();
  for (const RowColumn& column : columns_) {
    const auto field = std::ranges::find(fields, column.field, &ProjectedField::name);
    if (field == fields.end()) {
      return invalid(column, "the input has no field \"" + column.field +
                                 "\"; add it to \"fields\" of the window-join before this node");
    }
    if (field->kind != column.kind) {
      return invalid(column, "another node wants " + column.field + " as " + std::string{name(field->kind)} +
                                 ", this one as " + std::string{name(column.kind)} + "; give both the same fill");
    }
    if (!suits(column.fill, column.kind))
      return invalid(column, "this fill can't be used for " + std::string{name(column.kind)});
    layout_.push_back(places[static_cast<std::size_t>(field - fields.begin())]);
  }
  rows_ = rows::schema(columns_);
  return rows_;
}

BatchPtr Completion::complete(const BatchPtr& in) {
  assert(rows_ && "bind_schema() comes first");
  const std::size_t rows = in->rows;
  const auto ticks = rows == 0 ? std::span<const Timestamp>{} : in->columns[brackets::tick].int64s();
  std::vector<Quality> qualities(columns_.size() * rows, Quality::null);
  std::vector<std::uint8_t> keep(rows, write_empty_ ? 1 : 0);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const Input input{*in, layout_[c], columns_[c].kind};
    for (std::size_t row = 0; row < rows; ++row) {
      const Quality quality = input.quality(row, ticks[row], columns_[c]);
      qualities[c * rows + row] = quality;
      keep[row] = keep[row] != 0 || quality != Quality::null;
    }
  }
  std::vector<std::uint32_t> numbers;
  numbers.reserve(rows);
  for (std::uint32_t row = 0; row < rows; ++row) {
    if (keep[row] != 0) numbers.push_back(row);
  }
  counts_.empty_rows += rows - numbers.size();

  auto out = std::make_shared<Batch>();
  out->schema = rows_;
  out->rows = numbers.size();
  out->reached = in->reached;
  out->origin = in->origin;
  out->arrival.reserve(numbers.size());
  for (const std::uint32_t row : numbers) out->arrival.push_back(in->arrival[row]);
  if (!in->message_of_row.empty()) {
    out->message_of_row.reserve(numbers.size());
    for (const std::uint32_t row : numbers) out->message_of_row.push_back(in->message_of_row[row]);
  }
  for (const std::size_t column : {brackets::key, brackets::tick})
    out->columns.push_back(in->columns[column].take(numbers));
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const Input input{*in, layout_[c], columns_[c].kind};
    const std::span quality = std::span{qualities}.subspan(c * rows, rows);
    const Kept kept{numbers, ticks};
    if (columns_[c].kind == FieldKind::number) add_numbers(input, columns_[c], quality, kept, out->columns);
    if (columns_[c].kind == FieldKind::point) add_points(input, columns_[c], quality, kept, out->columns);
    if (columns_[c].kind == FieldKind::text) add_texts(input, quality, kept, out->columns);
    if (columns_[c].quality) add_qualities(quality, kept, out->columns);
    for (const std::uint32_t row : numbers) ++counts_.cells[static_cast<std::size_t>(quality[row])];
  }
  return out;
}

}  // namespace weir
