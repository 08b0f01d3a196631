/// Runs a pipeline for the commands that do: run itself, record and replay.
#pragma once

#include <functional>
#include <string>

#include "cli/command.hpp"
#include "cli/progress_line.hpp"
#include "core/coordination/worker.hpp"

namespace weir::cli {

struct RunOptions {
  std::string file;
  std::optional<std::string> text = {};  ///< stands instead of what is in the file
  PipelineOptions pipeline;
  std::string http;
  std::string tap = "loopback";  ///< who may look at rows over it: loopback, all, none
  std::string log = "text";
  std::string log_level = "info";
  bool quiet = false;
  bool fail_fast = false;                                  ///< a service that does not answer at the start ends the run
  std::string worker;                                      ///< name; empty: see WorkerName
  Way way = {};                                            ///< what the progress line is to tell the way of
  std::function<bool(const Worker::Status&)> enough = {};  ///< asked now and then: drains when it says so; may be null
  std::function<void()> interrupted = {};                  ///< told of the first signal that ends it; may be null
};

/// What every command that runs a pipeline takes: --log, --log-level, --quiet.
void add_run_options(Arguments& command, RunOptions& options);

/// Whether `options.text`, which was made of a file, has mistakes, and the file itself too: those have been printed,
/// with places that its user can look at. What the text leaves out of the file may be wrong.
bool file_is_wrong(const RunOptions& options, const std::string& file, const Session& session);

/// Until the source ends, it is enough, or a signal; answers the exit code.
int run(const RunOptions& options, Session& session);

}  // namespace weir::cli
