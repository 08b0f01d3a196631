/// Rows that no database takes, and why. Pure.
#pragma once

#include <string>

#include <weir/batch.hpp>

namespace weir::refusal {

/// Why a database would refuse a row's texts: NUL bytes, text that is not UTF-8. Empty if it would not.
std::string objection(const Batch& batch, std::size_t row);

}  // namespace weir::refusal
