/// Rows that no database takes, and why. Pure.
#pragma once

#include <weir/batch.hpp>
#include <weir/types.hpp>

namespace weir::refusal {

/// Why a database would refuse a row's texts: NUL bytes, text that is not UTF-8. Empty if it would not.
Reason objection(const Batch& batch, std::size_t row);

}  // namespace weir::refusal
