#include "transforms/window-join/bracket_rows.hpp"

#include <array>
#include <cmath>
#include <utility>

namespace weir::window_join {

BracketRows::BracketRows(std::vector<ProjectedField> fields, const HeldSamples& samples)
    : fields_{std::move(fields)}, samples_{samples} {
  clear();
}

void BracketRows::put_any(Side& side, FieldKind kind, const Word* entry) {
  static constexpr std::array<Word, 4> nothing{};
  const std::size_t row = keys_.size() - 1;
  if (entry == nullptr || !side.there.all()) side.there.push(entry != nullptr, row);
  const Word* from = entry == nullptr ? nothing.data() : entry;
  side.times[row] = std::bit_cast<Timestamp>(from[0]);
  if (kind == FieldKind::text) return side.texts.push(entry == nullptr ? std::string_view{} : samples_.text(entry));
  side.x[row] = std::bit_cast<double>(from[1]);
  if (kind != FieldKind::point) return;
  side.y[row] = std::bit_cast<double>(from[2]);
  side.z[row] = std::bit_cast<double>(from[3]);
  side.high.push(entry != nullptr && !std::isnan(side.z[row]), row);
}

BatchPtr BracketRows::take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached) {
  auto out = std::make_shared<Batch>();
  out->schema = schema;
  out->rows = keys_.size();
  out->reached = reached;
  out->arrival = std::move(arrivals_);
  out->message_of_row = std::move(messages_);
  out->columns.resize(schema->columns.size());
  out->columns[brackets::key] = Column::dictionary({std::move(keys_), keys});
  out->columns[brackets::tick] = Column::timestamp(std::move(ticks_));
  const auto layout = brackets::layout(fields_);
  for (std::size_t field = 0; field < fields_.size(); ++field) {
    const auto& at = layout[field];
    finish(sides_[2 * field], fields_[field].kind, *out, {at.before_time, at.before, at.before_y, at.before_z});
    finish(sides_[2 * field + 1], fields_[field].kind, *out, {at.after_time, at.after, at.after_y, at.after_z});
  }
  expected_ = out->rows + out->rows / 8;
  clear();
  return out;
}

void BracketRows::finish(Side& side, FieldKind kind, Batch& out, const std::array<std::size_t, 4>& at) const {
  const auto column = [&](std::vector<double>& values, Validity valid) {
    values.resize(out.rows);
    return Column::float64(std::move(values), std::move(valid));
  };
  side.times.resize(out.rows);
  out.columns[at[0]] = Column::timestamp(std::move(side.times), side.there);
  if (kind == FieldKind::point) {
    out.columns[at[2]] = column(side.y, side.there);
    out.columns[at[3]] = column(side.z, std::move(side.high));
  }
  out.columns[at[1]] = kind == FieldKind::text ? Column::string(std::move(side.texts), std::move(side.there))
                                               : column(side.x, std::move(side.there));
}

void BracketRows::widen() {
  room_ = std::max({room_ * 2, expected_, std::size_t{16}});
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const FieldKind kind = fields_[i / 2].kind;
    sides_[i].times.resize(room_);
    if (kind != FieldKind::text) sides_[i].x.resize(room_);
    if (kind == FieldKind::point) sides_[i].y.resize(room_), sides_[i].z.resize(room_);
  }
}

void BracketRows::clear() {
  keys_.clear(), ticks_.clear(), arrivals_.clear(), messages_.clear();
  keys_.reserve(expected_), ticks_.reserve(expected_), arrivals_.reserve(expected_), messages_.reserve(expected_);
  sides_.assign(2 * fields_.size(), {});
  room_ = 0;
}

SchemaPtr EventRows::schema() {
  return std::make_shared<const Schema>(Schema{
      Shape::events,
      {{"key", Type::dictionary}, {"event", Type::string}, {"reason", Type::string}, {"time", Type::timestamp}}});
}

void EventRows::add(const Event& event) {
  keys_.push_back(event.key);
  events_.push(event.name);
  reasons_.push(event.reason);
  times_.push_back(event.time);
  arrivals_.push_back(event.arrival);
  messages_.push_back(event.message);
}

BatchPtr EventRows::take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached) {
  auto out = std::make_shared<Batch>();
  out->schema = schema;
  out->rows = keys_.size();
  out->reached = reached;
  out->columns.push_back(Column::dictionary({std::move(keys_), keys}));
  out->columns.push_back(Column::string(std::move(events_)));
  out->columns.push_back(Column::string(std::move(reasons_)));
  out->columns.push_back(Column::timestamp(std::move(times_)));
  out->arrival = std::move(arrivals_);
  out->message_of_row = std::move(messages_);
  *this = EventRows{};
  return out;
}

}  // namespace weir::window_join
