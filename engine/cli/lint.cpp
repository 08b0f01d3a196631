/// weir lint: checks pipelines without running them.
#include <filesystem>
#include <iostream>
#include <map>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

struct LintOptions {
  std::vector<std::string> paths;
  PipelineOptions pipeline;
  std::string format = "text";
};

bool is_pipeline(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return path.extension() == ".json" && !name.ends_with(".test.json") && !name.ends_with(".schema.json");
}

/// A file is itself; a folder, or a path that ends in "/...", is every pipeline below it.
std::vector<std::string> files_of(std::string path) {
  if (path.ends_with("...")) path.resize(path.size() - 3);
  if (path.empty()) path = ".";
  std::vector<std::string> files;
  if (!std::filesystem::is_directory(path)) return {path};
  for (const auto& entry : std::filesystem::recursive_directory_iterator{path}) {
    if (entry.is_regular_file() && is_pipeline(entry.path())) files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  return files;
}

int lint(const LintOptions& options, const Registry& registry) {
  std::vector<Finding> findings;
  std::size_t files = 0;
  for (const std::string& path : options.paths) {
    for (const std::string& file : files_of(path)) {
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
  return has_errors(findings) ? Exit::findings : fine;
}

}  // namespace

void add_lint(CLI::App& app, Session& session) {
  auto options = std::make_shared<LintOptions>();
  CLI::App* command = app.add_subcommand("lint", "reports every mistake in pipelines, with its place");
  command->add_option("paths", options->paths, "pipeline files, folders, or folder/...")->required();
  add_pipeline_options(*command, options->pipeline);
  command->add_option("--format", options->format, "text, json, sarif or github")
      ->check(CLI::IsMember({"text", "json", "sarif", "github"}))
      ->capture_default_str();
  command->callback([options, &session] { session.exit = lint(*options, session.registry); });
}

}  // namespace weir::cli
