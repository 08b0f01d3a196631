/// weir explain: what a pipeline promises, before it runs, and what a change of it would do.
#include "core/plan/explain.hpp"
#include <algorithm>
#include "core/plan/explain_change.hpp"

#include <weir/format.hpp>

#include <iostream>

#include "cli/command.hpp"
#include "console/json_writer.hpp"

namespace weir::cli {
namespace {

struct ExplainOptions {
  std::string file;
  std::string before;
  PipelineOptions pipeline;
  std::string format = "text";
};

void print_json(const std::vector<Promise>& promises) {
  JsonWriter out;
  out.array([&] {
    for (const Promise& promise : promises) {
      out.object([&] {
        out.text("about", promise.about);
        out.text("what", promise.what);
        out.text("why", promise.why);
      });
    }
  });
  std::cout << out.result() << '\n';
}

void print(const std::vector<Promise>& promises, const std::string& format) {
  if (format == "json") return print_json(promises);
  std::size_t about = 0;
  std::size_t what = 0;
  for (const Promise& promise : promises) {
    about = std::max(about, promise.about.size());
    what = std::max(what, promise.what.size());
  }
  for (const Promise& promise : promises)
    std::cout << weir::format("{:<{}}  {:<{}}  {}\n", promise.about, about, promise.what, what, promise.why);
}

int explain(const ExplainOptions& options, const Registry& registry) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, false);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  if (options.before.empty()) {
    print(weir::explain(*loaded.checked.pipeline, registry), options.format);
    return fine;
  }
  const LoadedPipeline before = load_pipeline(options.before, options.pipeline, registry, false);
  print_findings(before);
  if (!before.checked.pipeline) return bad_pipeline;
  const auto promises = explain_change(*before.checked.pipeline, *loaded.checked.pipeline, registry);
  print(promises, options.format);
  const bool refused = std::ranges::contains(promises, "is refused", &Promise::what);
  return refused ? findings : fine;  // so that a deployment can ask
}

}  // namespace

void add_explain(Arguments& program, Session& session) {
  auto options = std::make_shared<ExplainOptions>();
  auto command = program.command("explain", "says what a pipeline guarantees, and why");
  command.needs("pipeline", options->file, "pipeline file");
  command.option(
      "--diff", options->before,
      "what the file was before: says instead what a reload or restart would make of the change, and exits with 1 if it refused it");
  command.choice("--format", options->format, {"text", "json"}, "JSON: an array of objects");
  add_pipeline_options(command, options->pipeline);
  command.does([options, &session] { session.exit = explain(*options, session.registry); });
}

}  // namespace weir::cli
