/// weir lint: checks pipelines without running them.
#include <iostream>
#include <map>

#include "cli/command.hpp"
#include "cli/watch.hpp"

namespace weir::cli {
namespace {

struct LintOptions {
  std::vector<std::string> paths;
  PipelineOptions pipeline;
  std::string format = "text";
  bool watch = false;
};

bool is_pipeline(std::string_view name) {
  return name.ends_with(".json") && !name.ends_with(".test.json") && !name.ends_with(".schema.json");
}

int lint(const LintOptions& options, const Registry& registry) {
  std::vector<Finding> findings;
  std::size_t files = 0;
  for (const std::string& path : options.paths) {
    for (const std::string& file : files_of(path, is_pipeline)) {
      ++files;
      auto loaded = load_pipeline(file, options.pipeline, registry, false);
      findings.insert(findings.end(), loaded.checked.findings.begin(), loaded.checked.findings.end());
    }
  }
  if (files == 0) {
    std::cerr << "weir lint: no pipeline there\n";
    return usage;
  }
  if (options.format != "text" || !findings.empty()) {
    std::cout << render(findings, *format_named(options.format));
  } else {
    std::cout << files << (files == 1 ? " pipeline" : " pipelines") << ", no findings\n";
  }
  if (std::ranges::contains(findings, "unreadable", &Finding::rule)) return bad_pipeline;
  return has_errors(findings) ? Exit::findings : fine;
}

}  // namespace

void add_lint(Arguments& program, Session& session) {
  auto options = std::make_shared<LintOptions>();
  auto command = program.command("lint", "reports every mistake in pipelines, with its place");
  command.needs("paths", options->paths, "pipeline files, folders, or folder/...");
  add_pipeline_options(command, options->pipeline);
  command.choice("--format", options->format, {"text", "json", "sarif", "github"}, "how findings are written");
  command.flag("--watch", options->watch, "again whenever a file in their folders is saved");
  command.does([options, &session] {
    if (options->watch) watch(options->paths, [&] { (void)lint(*options, session.registry); });
    session.exit = lint(*options, session.registry);
  });
}

}  // namespace weir::cli
