/// What the commands share that show what is kept of a pipeline's partitions.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "cli/command.hpp"
#include "cli/json_writer.hpp"
#include "core/checkpoint/keepers.hpp"

namespace weir::cli {

/// A pipeline and its sinks that keep progress.
struct Kept {
  explicit Kept(LoadedPipeline from, const Registry& registry)
      : loaded{std::move(from)}, keepers{*loaded.checked.pipeline, registry} {}

  LoadedPipeline loaded;
  Keepers keepers;

  const Pipeline& pipeline() const { return *loaded.checked.pipeline; }
};

/// Reads the file and makes the sinks, of `node` only that one if it is not empty. Else the exit code, and what is
/// wrong has been said. `command`: "weir progress".
std::expected<std::unique_ptr<Kept>, int> load_kept(std::string_view command, const std::string& file,
                                                    const PipelineOptions& options, const std::string& node,
                                                    const Registry& registry);

/// Says what a service answered; the exit code.
int failed(std::string_view command, const Error& error);

/// In whole seconds; "-" if there is none.
std::string shown(Timestamp time);

/// "2.1 s"
std::string shown_seconds(Duration length);

/// The members of a line that all commands show.
void write_progress(const ProgressLine& line, JsonWriter& out);

}  // namespace weir::cli
