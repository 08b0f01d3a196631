/// What the files of the commands share: how a pipeline is named on the command line, and exit codes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/plugin.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/registry.hpp"

namespace weir::cli {

/// Exit codes (sysexits.h where it has a word for it; 141 is what a shell says of a program that SIGPIPE ended).
enum Exit : int {
  fine = 0,
  findings = 1,
  usage = 64,
  no_input = 66,  ///< a file that is no pipeline is missing or not readable
  unreachable = 69,
  internal = 70,
  bad_pipeline = 78,
  closed_pipe = 141
};

/// Of a file that is no pipeline: what can't be read is no_input, what is not what it should be a usage error.
inline int exit_of_file(const Error& error) {
  return error.kind == Error::Kind::refused ? no_input : error.kind == Error::Kind::invalid ? usage : internal;
}

/// "0.1.0"
std::string program_version();

/// What a command works on. Lives as long as the program.
struct Session {
  const Registry& registry;
  std::string version;
  int exit = fine;                         ///< a command sets it
  std::vector<OperatorName> plugged = {};  ///< operators that libraries brought
};

/// -s path=value, -e file: how variables and overrides get into a pipeline.
struct PipelineOptions {
  std::vector<std::string> overrides;
  std::vector<std::string> env_files;
};
void add_pipeline_options(Arguments& command, PipelineOptions& options);

/// The text of a file, as far as one byte beyond `text_limit`; nothing if it can't be read.
std::optional<std::string> read_file(const std::string& path);
/// Why such a file can't be read, as far as looking at it tells: a message.
std::string why_unreadable(const std::string& file);

/// A variable of the process's environment; nothing if it is not set.
std::optional<std::string> environment_variable(std::string_view name);

/// The files that a path on the command line means: a file itself; of a folder, or of a path that ends in "/...", all
/// those below it that `wanted` takes by their names, sorted.
std::vector<std::string> files_of(std::string path, bool (*wanted)(std::string_view name));

/// A pipeline as it is on the disk. Holds the text, as findings point into it.
struct LoadedPipeline {
  std::string file;
  std::string text;
  Checked checked;
};

/// Reads and checks a file. If it can't be read, or an option is malformed, that is its one finding.
LoadedPipeline load_pipeline(const std::string& file, const PipelineOptions& options, const Registry& registry,
                             bool to_run);

/// Reads a file alone, without checking it. Nothing: it can't be read, or is no JSON; that has been printed.
std::optional<Document> document_of(const std::string& file);

/// The same of a text that stands for a file's.
LoadedPipeline check_text(const std::string& file, std::string text, const PipelineOptions& options,
                          const Registry& registry, bool to_run);

/// The findings as text on standard error, with the summary line; nothing if there are none.
void print_findings(const LoadedPipeline& loaded);

/// What a shell (bash, zsh, fish) reads to complete what may be typed.
std::string completion_script(const Typable& program, std::string_view shell);

/// A JSON Schema (draft 2020-12) of pipelines of these operators.
std::string pipeline_schema(const Registry& registry);

/// The same of files of cases.
std::string_view case_schema();

// One per command, each in the file of its name.
void add_run(Arguments& program, Session& session);
void add_record(Arguments& program, Session& session);
void add_replay(Arguments& program, Session& session);
void add_info(Arguments& program, Session& session);
void add_lint(Arguments& program, Session& session);
void add_fmt(Arguments& program, Session& session);
void add_test(Arguments& program, Session& session);
void add_explain(Arguments& program, Session& session);
void add_list(Arguments& program, Session& session);
void add_describe(Arguments& program, Session& session);
void add_schema(Arguments& program, Session& session);
void add_graph(Arguments& program, Session& session);
void add_progress(Arguments& program, Session& session);
void add_owners(Arguments& program, Session& session);
void add_lag(Arguments& program, Session& session);
void add_tap(Arguments& program, Session& session);
void add_top(Arguments& program, Session& session);
void add_completion(Arguments& program, Session& session);
void add_new(Arguments& program, Session& session);
/// One for each operator that has setups, of its name.
void add_setups(Arguments& program, Session& session);

}  // namespace weir::cli
