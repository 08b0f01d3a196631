#include "transforms/window-join/rules.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir::window_join {

Rules::Rules(const Settings& settings, const Context& context)
    : every{settings.duration("every")},
      wait{settings.duration("wait")},
      disorder{settings.duration("disorder")},
      timeout{30 * second},
      max_ahead{settings.duration("max_ahead")},
      max_behind{settings.duration("max_behind")},
      forget{std::max<Duration>(context.forget(), 1)},
      max_pending{static_cast<std::size_t>(settings.integer("max_pending"))},
      on{1},
      off{0},
      usual_gap{0} {
  usual_gap = std::min(timeout, usual_ticks * every);
  if (!settings.has("session")) return;
  const Settings& session = settings.object("session");
  if (session.has("field")) session_field = session.text("field");
  on = session.number("on");
  off = session.number("off");
  timeout = session.duration("timeout");
  usual_gap = std::min(timeout, usual_ticks * every);
}

Slots::Slots(const Settings& settings, const Rules& rules, const Context& context)
    : fields{context.projection()}, session_name_{rules.session_field} {
  if (settings.has("fields")) {
    fields.clear();
    for (const std::string& name : settings.list("fields")) {
      const auto wanted = std::ranges::find(context.projection(), name, &ProjectedField::name);
      fields.push_back(wanted == context.projection().end() ? ProjectedField{name, FieldKind::number} : *wanted);
    }
  }
  for (const ProjectedField& field : fields) kinds.push_back(field.kind);
  if (session_name_.empty()) return;
  const auto it = std::ranges::find(fields, session_name_, &ProjectedField::name);
  session = static_cast<std::uint16_t>(it - fields.begin() + 1);
  if (it == fields.end()) kinds.push_back(FieldKind::number);
}

std::uint16_t Slots::of(std::string_view field) const {
  const auto it = std::ranges::find(fields, field, &ProjectedField::name);
  if (it != fields.end()) return static_cast<std::uint16_t>(it - fields.begin() + 1);
  return !session_name_.empty() && field == session_name_ ? session : none;
}

const char* read_point_or_text(const SampleRows& rows, std::size_t row, FieldKind kind, SampleValue& value) {
  if (kind == FieldKind::text) {
    if (!rows.has_text(row)) return "not_a_text";
    value.text = rows.text(row);
    return nullptr;
  }
  if (!rows.has_x(row)) return "not_a_number";
  value.x = rows.x(row);
  if (!std::isfinite(value.x)) return "not_finite";
  if (!rows.has_y(row)) return "not_a_point";
  value.y = rows.y(row);
  value.z = rows.z(row);
  return std::isfinite(value.y) && !std::isinf(value.z) ? nullptr : "not_finite";
}

namespace {

bool is_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
}

/// How a row of that value is taken after all; may be empty.
std::string_view way_out(const SampleValue& value, FieldKind kind) {
  using enum SampleValue::Kind;
  if (value.kind == text && kind != FieldKind::text) {
    if (kind == FieldKind::number && is_number(value.text))
      return R"(; "text_numbers": true in a json encoding reads it as a number)";
    return kind == FieldKind::number ? R"(; a column with "fill": "step", "type": "text" holds texts)" : "";
  }
  if (value.kind == point && kind == FieldKind::number) return R"(; a column with "fill": "geo" holds points)";
  if (value.kind == number && kind == FieldKind::point) return R"(; a column with "fill": "geo" needs lat and lon)";
  return "";
}

}  // namespace

std::string details_of(const SampleRows& rows, std::size_t row, FieldKind kind) {
  const std::string_view field = rows.fields.dictionary->at(rows.fields.ids[row]);
  const SampleValue value = rows.value(row);
  std::string what = "nothing";
  if (value.kind == SampleValue::Kind::text) what = "the text " + quoted(value.text);
  if (value.kind == SampleValue::Kind::number) what = weir::format("the number {}", value.x);
  if (value.kind == SampleValue::Kind::point) what = weir::format("the point {}, {}", value.x, value.y);
  return weir::format("{} is {}{}", field, what, way_out(value, kind));
}

}  // namespace weir::window_join
