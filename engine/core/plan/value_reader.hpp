/// One value of a text as a Setting of the kind that a Spec declares.
#pragma once

#include <optional>

#include <weir/spec.hpp>

#include "core/plan/settings_check.hpp"

namespace weir {

/// The value, checked against the field's kind and bounds. Nothing if it does not fit: that has been reported at its
/// place, or it is left open.
std::optional<Setting> read_value(const Field& field, const Value& value, const SettingsContext& context,
                                  Reporter& report);

/// The field's default, written as in the text; nothing if it has none.
std::optional<Setting> read_fallback(const Field& field, Reporter& report);

}  // namespace weir
