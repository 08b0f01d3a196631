#include "transforms/window-join/rules.hpp"

#include <algorithm>
#include <cmath>

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
    : fields{context.demand()}, session_name_{rules.session_field} {
  if (settings.has("fields")) {
    fields.clear();
    for (const std::string& name : settings.list("fields")) {
      const auto wanted = std::ranges::find(context.demand(), name, &FieldDemand::name);
      fields.push_back(wanted == context.demand().end() ? FieldDemand{name, FieldKind::number} : *wanted);
    }
  }
  for (const FieldDemand& field : fields) kinds.push_back(field.kind);
  if (session_name_.empty()) return;
  const auto it = std::ranges::find(fields, session_name_, &FieldDemand::name);
  session = static_cast<std::uint16_t>(it - fields.begin() + 1);
  if (it == fields.end()) kinds.push_back(FieldKind::number);
}

std::uint16_t Slots::of(std::string_view field) const {
  const auto it = std::ranges::find(fields, field, &FieldDemand::name);
  if (it != fields.end()) return static_cast<std::uint16_t>(it - fields.begin() + 1);
  return !session_name_.empty() && field == session_name_ ? session : none;
}

const char* read_point_or_text(const SampleRows& rows, std::size_t row, FieldKind kind, SampleValue& value) {
  if (kind == FieldKind::text) {
    if (!rows.has_text(row)) return "not a text, but the columns want one";
    value.text = rows.text(row);
    return nullptr;
  }
  if (!rows.has_x(row)) return "not a number or point, but the columns want one";
  value.x = rows.x(row);
  if (!std::isfinite(value.x)) return "not a finite number";
  if (!rows.has_y(row)) return "not a point, but the columns want one";
  value.y = rows.y(row);
  value.z = rows.z(row);
  return std::isfinite(value.y) && !std::isinf(value.z) ? nullptr : "not a finite number";
}

}  // namespace weir::window_join
