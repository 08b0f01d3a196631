/// What is kept of a pipeline's partitions, as pages and commands tell it.
#pragma once

#include <string>
#include <string_view>

#include "console/json_writer.hpp"
#include "core/checkpoint/ledgers.hpp"
#include "core/coordination/lag.hpp"

namespace weir {

/// The members of a line that all who show it have: partition, owner, since, lease_left, position, arrival.
void write_progress(const ProgressLine& line, JsonWriter& out);

/// An array with an object for each line: node, those of write_progress(), updated, snapshot; and one with
/// "unanswered", who and why, for each sink that did not answer.
std::string progress_json(const Ledgers::Answers& answers);

/// What progress_json() wrote. changed: it is something else.
Result<Ledgers::Answers> read_progress(std::string_view json);

/// What lag_json() wrote, and of which pipeline. changed: it is something else.
struct ReadLag {
  std::string pipeline;
  Lag lag;
};
Result<ReadLag> read_lag(std::string_view json);

}  // namespace weir
