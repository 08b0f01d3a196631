/// weir progress: how far a pipeline has come, and starting it over.
#include <iostream>
#include <memory>
#include <optional>

#include <weir/format.hpp>

#include "cli/kept.hpp"

namespace weir::cli {
namespace {

struct ProgressOptions {
  std::string file;
  PipelineOptions pipeline;
  std::string node;
  std::optional<Partition> partition;
  bool yes = false;
  std::string format = "text";
};

std::string holder(const ProgressLine& line) {
  if (line.owner.empty()) return "nobody";
  if (!is_owned(line)) return line.owner + ", lease ran out";
  return weir::format("{}, lease {} s", line.owner, (line.lease_left + second - 1) / second);
}

void print(const std::string& node, const ProgressLine& line) {
  const Progress& p = line.progress;
  std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", node, line.partition, p.position,
                            shown(p.arrival), shown(line.updated), p.snapshot.empty() ? "-" : p.snapshot, holder(line));
}

void print_json(const std::vector<std::pair<std::string, ProgressLine>>& lines) {
  JsonWriter out;
  out.array([&] {
    for (const auto& [node, line] : lines) {
      out.object([&] {
        out.text("node", node);
        write_progress(line, out);
        out.time("updated", line.updated);
        out.text("snapshot", line.progress.snapshot.empty() ? std::nullopt : std::optional{line.progress.snapshot});
      });
    }
  });
  std::cout << out.result() << '\n';
}

void print(const std::vector<std::pair<std::string, ProgressLine>>& lines) {
  if (lines.empty()) {
    std::cout << "no progress: nothing was committed yet\n";
    return;
  }
  std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", "node", "partition", "position",
                            "arrival", "updated", "snapshot", "owner");
  for (const auto& [node, line] : lines) print(node, line);
}

/// Prints the lines of everybody who keeps progress; answers how many there were, or an exit code.
std::expected<std::size_t, int> show(Keepers& keepers, const ProgressOptions& options) {
  std::vector<std::pair<std::string, ProgressLine>> shown;
  for (const Keepers::Keeper& keeper : keepers.all()) {
    const auto lines = keeper.progress();
    if (!lines) return std::unexpected(failed("weir progress: " + keeper.node, lines.error()));
    for (const ProgressLine& line : *lines) {
      if (options.partition && line.partition != *options.partition) continue;
      shown.emplace_back(keeper.node, line);
    }
  }
  options.format == "json" ? print_json(shown) : print(shown);
  return shown.size();
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
  for (const Keepers::Keeper& keeper : keepers.all()) {
    const auto forgotten = keeper.reset(options.partition);
    if (!forgotten) return failed("weir progress: " + keeper.node, forgotten.error());
    std::cout << weir::format("{}: forgot {} {}\n", keeper.node, *forgotten,
                              *forgotten == 1 ? "partition" : "partitions");
  }
  return fine;
}

int progress(const ProgressOptions& options, const Registry& registry, bool forget) {
  const auto kept = load_kept("weir progress", options.file, options.pipeline, options.node, registry);
  if (!kept) return kept.error();
  Keepers& keepers = (*kept)->keepers;
  if (forget) return reset(keepers, options);
  const auto lines = show(keepers, options);
  return lines ? fine : lines.error();
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
    if (!forget) verb.choice("--format", options->format, {"text", "json"}, "JSON: an array of objects");
    if (forget) verb.flag("--yes", options->yes, "do it; without, what would be forgotten is printed");
    verb.does([options, &session, forget] { session.exit = progress(*options, session.registry, forget); });
  }
}

}  // namespace weir::cli
