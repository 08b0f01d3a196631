/// What the simulated workers run: a pipeline that adds up numbers, checked and driven as any other, and what its rows
/// are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>

#include "core/plan/pipeline.hpp"
#include "core/plan/registry.hpp"

namespace weir::faults {

/// Source "numbers" of so many partitions, codec "number", transform "sum", and the sinks "database" and "list", which
/// are made by the simulation, not by these operators.
Registry simulated_registry(std::uint32_t partitions);

/// So many databases, and a list.
Pipeline simulated_pipeline(const Registry& registry, std::size_t databases);

/// Message n of a partition as its source gives it; the text must outlive it.
Message simulated_message(Position n, std::string_view text);

/// The bytes of such a message.
std::string text_of(std::uint64_t number);

/// What sinks have of a batch that the lane gave them, as a line for each row.
std::vector<std::string> rows_of(const Encoded& encoded);
std::string letter_of(const Sink::DeadLetter& letter);

/// A row counts for so many, so that commits after a failure take a part.
inline constexpr std::size_t rows_counted = 400;
Encoded encode_simulated(const BatchPtr& batch);

/// The rows and dead letters that a stream makes; of letters one a minute is kept.
struct Expected {
  std::vector<std::string> rows, letters;
};
Expected expected_of(const std::vector<std::uint64_t>& stream);

}  // namespace weir::faults
