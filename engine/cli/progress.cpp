/// weir progress: how far a pipeline has come, and starting it over.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "cli/command.hpp"
#include "core/keeping.hpp"
#include "core/node_context.hpp"

namespace weir::cli {
namespace {

struct ProgressOptions {
  std::string file;
  PipelineOptions pipeline;
  std::string node;
  std::optional<Partition> partition;
  bool yes = false;
};

/// The sinks of a pipeline that keep progress. Nothing is opened.
class Keepers {
 public:
  Keepers(const Pipeline& pipeline, const Registry& registry) {
    for (const Node& node : pipeline.nodes) {
      if (node.role != Role::sink || !claims_of(node).transactional) continue;
      const NodeContext::Shared shared{pipeline, registry, counters_, system_clock()};
      auto& context = *contexts_.emplace_back(std::make_unique<NodeContext>(shared, node));
      sinks_.emplace_back(node.id, node.op->make_sink(node.settings, context));
    }
  }

  std::vector<std::pair<std::string, std::unique_ptr<Sink>>>& sinks() { return sinks_; }

 private:
  Counters counters_;
  std::vector<std::unique_ptr<NodeContext>> contexts_;
  std::vector<std::pair<std::string, std::unique_ptr<Sink>>> sinks_;
};

std::string instant(Timestamp t) { return t == no_time ? "-" : format_rfc3339(t - t % second); }

std::string holder(const ProgressLine& line) {
  if (line.owner.empty()) return "nobody";
  if (line.lease_left <= 0) return line.owner + ", lease ran out";
  return weir::format("{}, for {} s", line.owner, (line.lease_left + second - 1) / second);
}

void print(const std::string& node, const ProgressLine& line) {
  const Progress& p = line.progress;
  std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", node, line.partition, p.position,
                            instant(p.arrival), instant(line.updated), p.snapshot.empty() ? "-" : p.snapshot,
                            holder(line));
}

int failed(const std::string& node, const Error& error) {
  std::cerr << "weir progress: " << node << ": " << error.message << '\n';
  return error.kind == Error::Kind::unreachable ? Exit::unreachable : Exit::internal;
}

/// Prints the lines of every sink chosen; answers how many there were, or an exit code.
std::expected<std::size_t, int> show(Keepers& keepers, const ProgressOptions& options) {
  std::size_t count = 0;
  for (auto& [node, sink] : keepers.sinks()) {
    if (!options.node.empty() && options.node != node) continue;
    const auto lines = sink->progress();
    if (!lines) return std::unexpected(failed(node, lines.error()));
    for (const ProgressLine& line : *lines) {
      if (options.partition && line.partition != *options.partition) continue;
      if (count++ == 0) {
        std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", "node", "partition", "position",
                                  "arrival", "updated", "snapshot", "owner");
      }
      print(node, line);
    }
  }
  if (count == 0) std::cout << "no progress: nothing was committed yet\n";
  return count;
}

int reset(Keepers& keepers, const ProgressOptions& options) {
  const auto count = show(keepers, options);
  if (!count) return count.error();
  if (*count == 0) return fine;
  if (!options.yes) {
    std::cout
        << "This would be forgotten: the next run begins as if the pipeline had never run, and may write rows again\n"
           "that are there already. Say --yes to do it.\n";
    return usage;
  }
  for (auto& [node, sink] : keepers.sinks()) {
    if (!options.node.empty() && options.node != node) continue;
    const auto forgotten = sink->reset(options.partition);
    if (!forgotten) return failed(node, forgotten.error());
    std::cout << weir::format("{}: forgot {} {}\n", node, *forgotten, *forgotten == 1 ? "partition" : "partitions");
  }
  return fine;
}

int progress(const ProgressOptions& options, const Registry& registry, bool forget) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, true);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  Keepers keepers{*loaded.checked.pipeline, registry};
  const auto is_asked = [&](const auto& one) { return options.node.empty() || one.first == options.node; };
  if (std::ranges::none_of(keepers.sinks(), is_asked)) {
    std::cerr << "weir progress: "
              << (options.node.empty() ? "no sink of this pipeline" : "no sink \"" + options.node + "\" here")
              << " keeps progress\n";
    return usage;
  }
  if (forget) return reset(keepers, options);
  const auto shown = show(keepers, options);
  return shown ? fine : shown.error();
}

}  // namespace

void add_progress(Arguments& program, Session& session) {
  auto command = program.command("progress", "shows how far a pipeline has come, or starts it over");
  for (const bool forget : {false, true}) {
    auto options = std::make_shared<ProgressOptions>();
    auto verb = forget ? command.command("reset", "forgets the progress of partitions that no worker owns")
                       : command.command("show", "prints every partition's position, and who owns it");
    verb.needs("pipeline", options->file, "pipeline file");
    add_pipeline_options(verb, options->pipeline);
    verb.option("--node", options->node, "only this sink");
    verb.option("--partition", options->partition, "only this partition");
    if (forget) verb.flag("--yes", options->yes, "do it; without, what would be forgotten is printed");
    verb.does([options, &session, forget] { session.exit = progress(*options, session.registry, forget); });
  }
}

}  // namespace weir::cli
