/// What the simulated workers run: a pipeline that adds up numbers, checked and driven as any other, and what its rows
/// are. One whose source can't replay adds up the numbers of each ten seconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>

#include "core/plan/pipeline.hpp"
#include "core/plan/registry.hpp"

namespace weir::faults {

/// Source "numbers" of so many partitions, codec "number", transforms "sum" and "window", and the sinks "database" and
/// "list", which are made by the simulation, not by these operators.
Registry simulated_registry(std::uint32_t partitions, bool replayable);

/// So many databases, and a list, behind this transform.
Pipeline simulated_pipeline(const Registry& registry, std::size_t databases, std::string_view transform);

/// Message n of a partition's stream as its source gives it at this position; the text must outlive it.
Message simulated_message(Position n, Position position, std::string_view text);

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

/// What "window" makes of a tick. Its text is how rows_of() tells it.
struct WindowRow {
  Timestamp tick = 0;
  std::uint64_t sum = 0;
  auto operator<=>(const WindowRow&) const = default;
};
WindowRow window_row(std::string_view text);
/// The rows, whoever was there when, of those who have read from message `from` on and had no message before it: they
/// may have others besides.
std::vector<WindowRow> expected_windows(const std::vector<std::uint64_t>& stream, Position from);

}  // namespace weir::faults
