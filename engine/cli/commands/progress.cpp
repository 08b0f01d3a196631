/// weir progress: how far a pipeline has come, and starting it over.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include <weir/format.hpp>

#include "cli/kept.hpp"
#include "console/progress_json.hpp"

namespace weir::cli {
namespace {

struct ProgressOptions : KeptOptions {
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
  std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", node, line.partition, p.place.position,
                            shown(p.place.arrival), shown(line.updated), p.snapshot.empty() ? "-" : p.snapshot,
                            holder(line));
}

void print(const Ledgers::Answers& answers) {
  if (std::ranges::all_of(answers.kept, [](const auto& kept) { return kept.lines.empty(); })) {
    std::cout << "no progress: nothing was committed yet\n";
    return;
  }
  std::cout << weir::format("{:<12} {:>9} {:>12}  {:<20}  {:<20}  {:<24}  {}\n", "node", "partition", "position",
                            "arrival", "updated", "snapshot", "owner");
  for (const auto& [node, lines] : answers.kept) {
    for (const ProgressLine& line : lines) print(node, line);
  }
}

/// Of the partition that was asked for, if one was.
std::expected<Ledgers::Answers, int> asked(const ProgressOptions& options, const Kept& kept) {
  auto answers = ask("weir progress", options, kept);
  if (!answers || !options.partition) return answers;
  for (auto& [node, lines] : answers->kept)
    std::erase_if(lines, [&](const ProgressLine& line) { return line.partition != *options.partition; });
  return answers;
}

int show(const ProgressOptions& options, const Kept& kept) {
  const auto answers = asked(options, kept);
  if (!answers) return answers.error();
  if (options.format == "json")
    std::cout << progress_json(*answers) << '\n';
  else
    print(*answers);
  return fine;
}

/// What is, or would be, forgotten: of each sink, so many partitions.
struct Forgotten {
  std::string node;
  std::size_t partitions = 0;
};

void print_json(const std::vector<Forgotten>& all, bool done) {
  JsonWriter out;
  out.array([&] {
    for (const auto& [node, partitions] : all) {
      out.object([&] {
        out.text("node", node);
        out.number("partitions", partitions);
        out.key("forgotten").flag(done);
      });
    }
  });
  std::cout << out.result() << '\n';
}

int reset(const ProgressOptions& options, Kept& kept) {
  const bool json = options.format == "json";
  const auto answers = asked(options, kept);
  if (!answers) return answers.error();
  if (!answers->unanswered.empty()) return unreachable;  // one that keeps its place would be ahead of the others
  if (!json) print(*answers);
  std::vector<Forgotten> all;
  for (const auto& [node, lines] : answers->kept) {
    if (!lines.empty()) all.push_back({node, lines.size()});
  }
  if (all.empty() || !options.yes) {
    if (json) print_json(all, false);
    if (all.empty()) return fine;
    std::cerr
        << "This would be forgotten: the next run begins as if the pipeline had never run, and may write rows again\n"
           "that are there already. Say --yes to do it.\n";
    return usage;
  }
  all.clear();
  for (const auto& [node, ledger] : kept.ledgers->all()) {
    const auto forgotten = ledger->reset(options.partition);
    if (!forgotten) return failed("weir progress: " + node, forgotten.error());
    all.push_back({node, *forgotten});
    if (!json)
      std::cout << weir::format("{}: forgot {} {}\n", node, *forgotten, *forgotten == 1 ? "partition" : "partitions");
  }
  if (json) print_json(all, true);
  return fine;
}

int progress(const ProgressOptions& options, const Registry& registry, bool forget) {
  const auto kept = load_kept("weir progress", options, registry);
  if (!kept) return kept.error();
  return forget ? reset(options, **kept) : show(options, **kept);
}

}  // namespace

void add_progress(Arguments& program, Session& session) {
  auto command = program.command("progress", "shows how far a pipeline has come, or starts it over");
  for (const bool forget : {false, true}) {
    auto options = std::make_shared<ProgressOptions>();
    auto verb = forget ? command.command("reset", "forgets the progress of partitions that no worker owns")
                       : command.command("show", "prints every partition's position, and who owns it");
    if (forget) {
      verb.needs("pipeline", options->file, "pipeline file");
      add_pipeline_options(verb, options->pipeline);
    } else {
      add_kept_options(verb, *options);
    }
    verb.option("--node", options->node, "only this sink");
    verb.option("--partition", options->partition, "only this partition");
    verb.choice("--format", options->format, {"text", "json"}, "JSON: an array of objects");
    if (forget) verb.flag("--yes", options->yes, "do it; without, what would be forgotten is printed");
    verb.does([options, &session, forget] { session.exit = progress(*options, session.registry, forget); });
  }
}

}  // namespace weir::cli
