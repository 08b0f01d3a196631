/// weir progress: what the sinks of a pipeline remember, and how to make them forget it.
#include <fmt/format.h>

#include <iostream>

#include <weir/rfc3339.hpp>

#include "cli/command.hpp"
#include "core/counters.hpp"
#include "core/node_context.hpp"

namespace weir::cli {
namespace {

struct ProgressOptions {
  std::string file;
  PipelineOptions pipeline;
  std::optional<Partition> partition;
  bool yes = false;
};

/// Calls `work` with every sink of the pipeline that keeps progress; the exit code is the worst one.
int for_each_sink(const ProgressOptions& options, const Registry& registry, const std::function<Result<void>(const Node&, Sink&)>& work) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, true);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  const Pipeline& pipeline = *loaded.checked.pipeline;
  Counters counters;
  const auto names = std::make_shared<Dictionary>(1);
  int exit = fine;
  bool any = false;
  for (const Node& node : pipeline.nodes) {
    if (node.role != Role::sink || !node.op->spec.claims_of || !node.op->spec.claims_of(node.settings).transactional) continue;
    any = true;
    NodeContext context{{pipeline, registry, counters, system_clock()}, node, 0, names, names};
    const auto sink = node.op->make_sink(node.settings, context);
    auto done = sink->settle(node.input);
    if (done) done = work(node, *sink);
    if (done) continue;
    std::cerr << "weir progress: " << node.id << ": " << done.error().message << "\n";
    exit = done.error().kind == Error::Kind::unreachable ? unreachable : internal;
  }
  if (!any) std::cerr << "weir progress: no sink of " << pipeline.name << " keeps progress\n";
  return exit;
}

int show(const ProgressOptions& options, const Registry& registry) {
  return for_each_sink(options, registry, [](const Node& node, Sink& sink) -> Result<void> {
    auto lines = sink.progress();
    if (!lines) return std::unexpected(lines.error());
    if (lines->empty()) std::cout << node.id << ": nothing committed yet\n";
    for (const ProgressLine& line : *lines) {
      const Progress& progress = line.progress;
      std::cout << fmt::format("{}  partition {}  position {}  arrival {}  snapshot {}  owner {}\n", node.id, line.partition, progress.position,
                               progress.arrival == no_time ? "-" : format_rfc3339(progress.arrival), progress.snapshot.empty() ? "-" : progress.snapshot,
                               line.owner.empty() ? "-" : line.owner);
    }
    return {};
  });
}

int reset(const ProgressOptions& options, const Registry& registry) {
  if (!options.yes) {
    std::cerr << "weir progress reset: the pipeline will start as if it had never run, and rows that are there already are written again; add --yes\n";
    return usage;
  }
  return for_each_sink(options, registry, [&](const Node& node, Sink& sink) -> Result<void> {
    auto forgotten = sink.reset(options.partition);
    if (!forgotten) return std::unexpected(forgotten.error());
    std::cout << node.id << ": forgot the progress of " << *forgotten << (*forgotten == 1 ? " partition\n" : " partitions\n");
    return {};
  });
}

}  // namespace

void add_progress(CLI::App& app, Session& session) {
  auto options = std::make_shared<ProgressOptions>();
  CLI::App* command = app.add_subcommand("progress", "shows or forgets how far a pipeline has come");
  command->require_subcommand(1);
  for (const bool forget : {false, true}) {
    CLI::App* verb = command->add_subcommand(forget ? "reset" : "show", forget ? "forgets progress; refused while a worker holds it" : "shows progress by partition");
    verb->add_option("pipeline", options->file, "pipeline file")->required();
    add_pipeline_options(*verb, options->pipeline);
    if (forget) {
      verb->add_option("--partition", options->partition, "only this partition");
      verb->add_flag("--yes", options->yes, "do it");
    }
    verb->callback([options, &session, forget] { session.exit = forget ? reset(*options, session.registry) : show(*options, session.registry); });
  }
}

}  // namespace weir::cli
