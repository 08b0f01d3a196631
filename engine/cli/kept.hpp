/// What the commands share that show what is kept of a pipeline's partitions.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/command.hpp"
#include "console/client.hpp"
#include "core/checkpoint/ledgers.hpp"

namespace weir::cli {

/// Of which pipeline, and who is asked.
struct KeptOptions {
  std::string file;
  PipelineOptions pipeline;
  std::string node;       ///< only this sink; empty: all
  std::string http;       ///< of the running worker; empty: the sinks themselves are asked
  bool has_http = false;  ///< whether the command takes it
};
/// The file, -s, -e and --http.
void add_kept_options(Arguments& command, KeptOptions& options);

/// A pipeline and, where no worker is asked, its sinks that keep progress.
struct Kept {
  explicit Kept(LoadedPipeline from) : loaded{std::move(from)} {}

  LoadedPipeline loaded;
  std::optional<Ledgers> ledgers;

  const Pipeline& pipeline() const { return *loaded.checked.pipeline; }
};

/// Reads the file and makes the sinks, of `options.node` only that one. Else the exit code, and what is wrong has been
/// said. `command`: "weir progress".
std::expected<std::unique_ptr<Kept>, int> load_kept(std::string_view command, const KeptOptions& options,
                                                    const Registry& registry);

/// What the sinks that answer keep, or what the worker says that they do. Who does not answer has been named. Else the
/// exit code, as above.
std::expected<Ledgers::Answers, int> ask(std::string_view command, const KeptOptions& options, const Kept& kept);

/// A page of the worker at `options.http`. Else the exit code, as above.
std::expected<std::string, int> page_of(std::string_view command, const KeptOptions& options, const std::string& path);

/// Says what a service answered; the exit code. With `options` also that a worker may know it.
int failed(std::string_view command, const Error& error, const KeptOptions& options);
int failed(std::string_view command, const Error& error);
/// Names those who did not answer.
void name_unanswered(std::string_view command, const std::vector<std::string>& unanswered);

/// In whole seconds; "-" if there is none.
std::string shown(Timestamp time);

/// "2.1 s"
std::string shown_seconds(Duration length);

}  // namespace weir::cli
