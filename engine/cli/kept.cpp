#include "cli/kept.hpp"

#include <algorithm>
#include <iostream>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "console/progress_json.hpp"

namespace weir::cli {

void add_kept_options(Arguments& command, KeptOptions& options) {
  options.has_http = true;
  command.needs("pipeline", options.file, "pipeline file");
  add_pipeline_options(command, options.pipeline);
  command.option("--http", options.http,
                 "asks the running worker at [host]:port, as its run --http says, instead of the sinks");
}

std::expected<std::unique_ptr<Kept>, int> load_kept(std::string_view command, const KeptOptions& options,
                                                    const Registry& registry) {
  LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, options.http.empty());
  print_findings(loaded);
  if (!loaded.checked.pipeline) return std::unexpected(bad_pipeline);
  auto kept = std::make_unique<Kept>(std::move(loaded));
  if (!options.http.empty()) return kept;
  kept->ledgers.emplace(kept->pipeline(), registry);
  if (auto some = kept->ledgers->only(options.node); !some) return std::unexpected(failed(command, some.error()));
  return kept;
}

std::expected<std::string, int> page_of(std::string_view command, const KeptOptions& options, const std::string& path) {
  auto client = ConsoleClient::at(options.http);
  if (!client) {
    std::cerr << command << ": --http: " << client.error().message << '\n';
    return std::unexpected(usage);
  }
  auto page = client->get(path);
  if (!page) return std::unexpected(failed(command, page.error()));
  if (page->status == 200) return std::move(page->body);
  std::cerr << command << ": " << page->body.substr(0, page->body.find('\n')) << '\n';
  return std::unexpected(page->status == 404 ? usage : unreachable);
}

std::expected<Ledgers::Answers, int> ask(std::string_view command, const KeptOptions& options, const Kept& kept) {
  if (options.http.empty()) {
    auto answers = kept.ledgers->ask();
    if (!answers) return std::unexpected(failed(command, answers.error(), options));
    name_unanswered(command, answers->unanswered);
    return *std::move(answers);
  }
  const auto page = page_of(command, options, weir::format("/pipelines/{}/progress", kept.pipeline().name));
  if (!page) return std::unexpected(page.error());
  auto answers = read_progress(*page);
  if (!answers) return std::unexpected(failed(command, answers.error()));
  name_unanswered(command, answers->unanswered);
  if (options.node.empty()) return *std::move(answers);
  std::erase_if(answers->kept, [&](const auto& one) { return one.node != options.node; });
  if (!answers->kept.empty()) return *std::move(answers);
  std::cerr << command << ": the worker at " << options.http << " tells nothing of " << options.node
            << ": it does not answer, or keeps no progress\n";
  return std::unexpected(unreachable);
}

int failed(std::string_view command, const Error& error, const KeptOptions& options) {
  if (!options.has_http || error.kind != Error::Kind::held) return failed(command, error);
  std::cerr << command << ": " << error.message
            << ". To ask the worker that has it open, say where it serves its pages "
            << "(its run --http): --http [host]:port\n";
  return unreachable;
}

int failed(std::string_view command, const Error& error) {
  std::cerr << command << ": " << error.message << '\n';
  if (error.kind == Error::Kind::invalid) return usage;
  const bool later = error.kind == Error::Kind::unreachable || error.kind == Error::Kind::held;
  return later ? Exit::unreachable : Exit::internal;
}

void name_unanswered(std::string_view command, const std::vector<std::string>& unanswered) {
  for (const std::string& one : unanswered)
    std::cerr << command << ": " << one << "; what follows is what the other sinks keep\n";
}

std::string shown(Timestamp time) { return time == no_time ? "-" : format_rfc3339(time - time % second); }

std::string shown_seconds(Duration length) { return weir::format("{:.1f} s", seconds(length)); }

}  // namespace weir::cli
