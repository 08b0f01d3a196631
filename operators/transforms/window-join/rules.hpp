/// What window-join was told: its settings, typed, and the fields that take part.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include <weir/context.hpp>
#include <weir/sample_rows.hpp>
#include <weir/settings.hpp>

namespace weir::window_join {

struct Rules {
  /// Ticks that the gaps between samples may open: of one message, all together. Gaps of up to `usual_ticks` are free:
  /// they can't make many rows of few bytes.
  static constexpr std::int64_t most_ticks = 100'000, usual_ticks = 8;

  /// Arrival times beyond (before 1970, after 2260) count as these, so that no sum of a time and a setting overflows.
  static constexpr Timestamp earliest = 0, latest = end_of_time - 800 * 24 * 60 * minute;

  /// An event time further behind its arrival is invalid whatever `max_behind` says: no difference of two that are not
  /// overflows.
  static constexpr Duration farthest = Duration{1} << 62;

  Duration every, wait, disorder, timeout, max_ahead, max_behind, forget;
  bool is_behind(Timestamp time, Timestamp arrival) const {
    return max_behind != unlimited && time < arrival - max_behind;
  }
  std::size_t max_pending;
  std::string session_field;  ///< empty: there is none
  double on, off;
  Duration usual_gap;  ///< free, and no end of a session

  Rules(const Settings& settings, const Context& context);

  Timestamp forget_at(Timestamp last_arrival) const {
    return last_arrival > end_of_time - forget ? end_of_time : last_arrival + forget;
  }
};

/// The fields that take part, as slots of a vehicle: 1 … n those of the brackets, n + 1 the session's if it is not one.
struct Slots {
  static constexpr std::uint16_t none = 0;  // slot 0 is no field's

  std::vector<ProjectedField> fields;  ///< of the brackets
  std::vector<FieldKind> kinds;        ///< by slot, from 1 on
  std::uint16_t session = none;

  Slots(const Settings& settings, const Rules& rules, const Context& context);

  /// One more than the number of the last slot.
  std::size_t size() const { return kinds.size() + 1; }
  FieldKind kind(std::size_t slot) const { return kinds[slot - 1]; }
  /// Whether the field of a slot is one of the brackets'; else it is only the session's.
  bool in_brackets(std::size_t slot) const { return slot <= fields.size(); }

  std::uint16_t of(std::string_view field) const;
  std::string_view name(std::size_t slot) const { return in_brackets(slot) ? fields[slot - 1].name : session_name_; }

 private:
  std::string session_name_;
};

/// Reads the value of a row as one of this kind; answers a reason's code, or null.
///
/// Which field and value it is, and what to do, says details_of().
const char* read_point_or_text(const SampleRows& rows, std::size_t row, FieldKind kind, SampleValue& value);
inline const char* read(const SampleRows& rows, std::size_t row, FieldKind kind, SampleValue& value) {
  if (kind != FieldKind::number) return read_point_or_text(rows, row, kind, value);
  if (!rows.has_x(row)) return "not_a_number";
  value.x = rows.x(row);
  const bool finite = value.x - value.x == 0;  // an infinity less itself is not a number
  if (!finite) return "not_finite";
  return !rows.all_numbers() && rows.has_y(row) ? "not_a_number" : nullptr;
}

/// Of a row that read() does not take: its field and value, and what to do.
std::string details_of(const SampleRows& rows, std::size_t row, FieldKind kind);

}  // namespace weir::window_join
