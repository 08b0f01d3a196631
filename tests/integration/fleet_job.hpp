/// The job that a faulty fleet is joined by: its nodes as text, and the same for the reference.
#pragma once

#include <string>
#include <vector>

#include <weir/shapes.hpp>

#include "reference/window_join.hpp"

namespace weir::integration {

/// From samples of node "signals" to "rows".
inline constexpr const char* join_nodes = R"(
    { "id": "last", "transform": "keyed-last-value", "from": "signals" },
    { "id": "rows", "transform": "window-join", "from": "last", "every": "200ms", "wait": "300ms",
      "session": { "field": "power", "on": 1, "off": 0, "timeout": "700ms" } })";

/// What a sink makes of them.
inline constexpr const char* row_columns =
    R"("columns": { "position": { "fill": "geo" }, "heading": { "fill": "angle" },
        "speed": { "max_gap": "250ms", "max_age": "150ms" }, "charge": { "fill": "step" } })";

inline reference::JoinSettings join_settings() {
  reference::JoinSettings out;
  out.fields = {"position", "heading", "speed", "charge"};
  out.every = 200 * millisecond;
  out.wait = 300 * millisecond;
  out.session = reference::SessionSettings{"power", 1, 0};
  out.timeout = 700 * millisecond;
  return out;
}

inline std::vector<RowColumn> columns() {
  std::vector<RowColumn> out;
  for (const std::string& field : join_settings().fields) out.emplace_back().field = field;
  out[0].kind = FieldKind::point;
  out[0].fill = Fill::geo;
  out[1].fill = Fill::angle;
  out[2].max_gap = 250 * millisecond;
  out[2].max_age = 150 * millisecond;
  out[3].fill = Fill::step;
  return out;
}

}  // namespace weir::integration
