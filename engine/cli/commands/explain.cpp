/// weir explain: what a pipeline promises, before it runs, and what a change of it would do.
#include "core/plan/explain.hpp"

#include <algorithm>
#include <iostream>

#include <weir/format.hpp>

#include "cli/command.hpp"
#include "console/json_writer.hpp"
#include "core/plan/explain_change.hpp"

namespace weir::cli {
namespace {

struct ExplainOptions {
  std::string file;
  std::string before;
  PipelineOptions pipeline;
  std::string format = "text";
};

std::string code_of(Verdict verdict) {
  return verdict == Verdict::accepted ? "accepted" : verdict == Verdict::notable ? "notable" : "refused";
}

void print_json(const std::vector<Promise>& promises, bool of_change) {
  JsonWriter out;
  out.array([&] {
    for (const Promise& promise : promises) {
      out.object([&] {
        out.text("about", promise.about);
        out.text("what", promise.what);
        out.text("why", promise.why);
        if (of_change) out.text("verdict", code_of(promise.verdict));
      });
    }
  });
  std::cout << out.result() << '\n';
}

void print(const std::vector<Promise>& promises, const std::string& format, bool of_change) {
  if (format == "json") return print_json(promises, of_change);
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
    print(weir::explain(*loaded.checked.pipeline, registry), options.format, false);
    return fine;
  }
  const LoadedPipeline before = load_pipeline(options.before, options.pipeline, registry, false);
  print_findings(before);
  if (!before.checked.pipeline) return bad_pipeline;
  const auto promises = explain_change(*before.checked.pipeline, *loaded.checked.pipeline, registry);
  print(promises, options.format, true);
  // So that a deployment can ask.
  return std::ranges::contains(promises, Verdict::refused, &Promise::verdict) ? findings : fine;
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
