/// Safeguards that can be taken away, and damage that can be done, from outside: a harness that notices none of it
/// proves nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "faults/harness/stage.hpp"
#include "faults/harness/traffic.hpp"

namespace weir::faults {

struct Break {
  std::string_view name;
  /// When it is done: to all that goes to PostgreSQL from the beginning, between two faults, or when all have ended.
  enum class When : std::uint8_t { always, between, finished } when;
  Sabotage sabotage = {};                           ///< for `always`
  void (*apply)(Stage&, const Traffic&) = nullptr;  ///< for the others
  std::string_view what;
  std::string_view shown_by = {};  ///< the kind of fault that shows it; empty: none is needed, or none can
  std::size_t rounds = 1;          ///< of that kind
  bool in_store = false;           ///< what it harms is in the store alone
  bool of_counts = false;          ///< only the comparison of what the workers counted can show it
};

std::span<const Break> breaks();
/// Null: there is none of that name.
const Break* break_called(std::string_view name);

/// Keeps the tables as they are, and puts them back so.
void keep_tables(const Stage& stage);
void restore_tables(Stage& stage);

}  // namespace weir::faults
