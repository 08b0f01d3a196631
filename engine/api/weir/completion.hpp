/// Brackets to rows: the one piece of code that interpolates and fills, for sinks with `columns` and for transforms.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/shapes.hpp>

namespace weir {

/// Completes the brackets of one lane for one node. A cell of tick T, from `before` (at tb ≤ T) and `after` (at ta >
/// T):
///
///   tb = T                               measured: the value of before, untouched
///   both, and ta − tb ≤ max_gap          interpolated, by the column's `fill`:
///     linear  b + w·(a − b), with w = (T − tb) / (ta − tb)
///     angle   b + w·d on the shortest arc: d = IEEE remainder of a − b by the period; exactly opposite goes upwards;
///             the result lies in [0, period)
///     geo     on the great circle (spherical linear interpolation of unit vectors: Shoemake, "Animating rotation with
///             quaternion curves", SIGGRAPH 1985; angle from atan2(|a × b|, a · b), which is exact for near and far
///             points alike); exactly opposite points go over the north pole; altitude linear, NULL if either is
///             unknown
///     step    the value of before
///   before, and T − tb ≤ max_age         carried: the value of before
///   else                                 NULL
///
/// A row of NULLs only is left out unless `write_empty`.
///
/// Threads   one.
class Completion {
 public:
  /// Cells by quality, and rows of NULLs only that were left out (their cells count nowhere). They only grow.
  struct Counts {
    std::array<std::uint64_t, 4> cells{};  ///< by Quality
    std::uint64_t empty_rows = 0;
  };
  /// The counters of a node that completes: `cells`, which has these reasons, by Quality, and `empty_rows`.
  static constexpr std::array<std::string_view, 4> quality_names{"null", "measured", "interpolated", "carried"};
  static constexpr const char* cells_doc = "cells of completed rows by quality";
  static constexpr const char* empty_rows_doc = "rows of NULLs only that were not written";

  Completion(std::vector<RowColumn> columns, bool write_empty);

  /// The schema of the rows. Pure, but that complete() needs it. Invalid if the input is not brackets, or lacks a
  /// column's field, or has it as another kind, or if a fill does not suit a kind (geo: points; linear, angle: numbers;
  /// step: any).
  Result<SchemaPtr> bind_schema(const Schema& brackets);

  /// Rows for brackets, in the same order; arrival, message, reach and origin are kept. The batch is the caller's
  /// alone. After bind_schema().
  BatchPtr complete(const BatchPtr& brackets);

  const Counts& counts() const { return counts_; }

 private:
  std::vector<RowColumn> columns_;
  bool write_empty_;
  SchemaPtr rows_;
  std::vector<brackets::Bracket> layout_;  ///< of columns_, in their order
  Counts counts_;
};

/// A place on the unit sphere, in degrees.
struct Coordinates {
  double lat = 0, lon = 0;
};

/// The point that divides the way from `from` to `to` on the great circle in the ratio `share` : (1 − share).
Coordinates along_great_circle(Coordinates from, Coordinates to, double share);

/// As Fill::linear and Fill::angle say.
double along_line(double from, double to, double share);
double along_arc(double from, double to, double share, double period);

}  // namespace weir
