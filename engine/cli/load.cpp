/// Pipelines from the command line.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "cli/command.hpp"
#include "core/config/variables.hpp"

namespace weir::cli {
namespace {

Finding problem(const std::string& file, std::string rule, std::string message) {
  return {Severity::error, file, {}, std::move(rule), std::move(message), ""};
}

/// What can't be looked at is a file too: reading it will say why. Links to folders are not followed.
void collect(const std::filesystem::path& folder, bool (*wanted)(std::string_view name),
             std::vector<std::string>& files) {
  std::error_code error;
  std::filesystem::directory_iterator entry{folder, error};
  for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
    std::error_code looking;
    const auto type = entry->status(looking).type();
    if (type == std::filesystem::file_type::directory) {
      if (!entry->is_symlink(looking)) collect(entry->path(), wanted, files);
      continue;
    }
    const bool readable = type == std::filesystem::file_type::regular || type == std::filesystem::file_type::none;
    if (readable && wanted(entry->path().filename().string())) files.push_back(entry->path().string());
  }
  if (error) files.push_back(folder.string());
}

}  // namespace

std::string why_unreadable(const std::string& file) {
  std::error_code why;
  const auto status = std::filesystem::status(file, why);
  if (!why && std::filesystem::is_directory(status)) return "is a folder, not a file";
  return "can't read the file" + (why ? ": " + why.message() : "");
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return {};
  // A byte more than anything of ours may have: whoever reads it says that it is too long. Some files never end.
  constexpr std::size_t most = text_limit + 1, step = 1 << 16;
  std::string text;
  while (text.size() < most && file) {
    const std::size_t before = text.size();
    text.resize(std::min(before + step, most));
    file.read(text.data() + before, static_cast<std::streamsize>(text.size() - before));
    text.resize(before + static_cast<std::size_t>(file.gcount()));
  }
  return file.bad() ? std::nullopt : std::optional{std::move(text)};
}

std::optional<std::string> environment_variable(std::string_view name) {
  const char* value = std::getenv(std::string{name}.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>{value};
}

std::vector<std::string> files_of(std::string path, bool (*wanted)(std::string_view name)) {
  if (path.ends_with("...")) path.resize(path.size() - 3);
  if (path.empty()) path = ".";
  std::error_code problem;  // which reading it will say
  if (!std::filesystem::is_directory(path, problem)) return {path};
  std::vector<std::string> files;
  collect(path, wanted, files);
  std::ranges::sort(files);
  return files;
}

std::string program_version() { return WEIR_VERSION; }

void add_pipeline_options(Arguments& command, PipelineOptions& options) {
  command.option("-s,--set", options.overrides,
                 "path=value: sets a setting, e.g. -s rows.every=2s -s limits.keys=1000; null removes it");
  command.option("-e,--env-file", options.env_files, "file of NAME=value lines for ${NAME}; the environment wins");
}

LoadedPipeline load_pipeline(const std::string& file, const PipelineOptions& options, const Registry& registry,
                             bool to_run) {
  auto text = read_file(file);
  if (text) return check_text(file, std::move(*text), options, registry, to_run);
  LoadedPipeline out{file, {}, {}};
  out.checked.findings.push_back(problem(file, "unreadable", why_unreadable(file)));
  return out;
}

std::optional<Document> document_of(const std::string& file) {
  const auto text = read_file(file);
  Document document = read_text(text.value_or(""), file);
  if (!text) document.findings = {problem(file, "unreadable", why_unreadable(file))};
  if (document.findings.empty()) return document;
  std::cerr << render(document.findings, Format::text);
  return {};
}

LoadedPipeline check_text(const std::string& file, std::string text, const PipelineOptions& options,
                          const Registry& registry, bool to_run) {
  LoadedPipeline out{file, std::move(text), {}};
  auto variables = std::make_shared<std::map<std::string, std::string, std::less<>>>();
  for (const std::string& path : options.env_files) {
    const auto content = read_file(path);
    if (!content) {
      out.checked.findings.push_back(problem(path, "unreadable", why_unreadable(path)));
      return out;
    }
    std::vector<Finding> findings;
    for (auto& [name, value] : read_dotenv(*content, path, findings)) (*variables)[name] = value;
    if (has_errors(findings)) {
      out.checked.findings = std::move(findings);
      return out;
    }
  }
  CheckOptions check;
  check.to_run = to_run;
  check.read_file = read_file;
  check.variable = [variables](std::string_view name) -> std::optional<std::string> {
    if (auto value = environment_variable(name)) return value;
    const auto it = variables->find(name);
    return it == variables->end() ? std::nullopt : std::optional{it->second};
  };
  for (const std::string& entry : options.overrides) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      out.checked.findings.push_back(problem(file, "bad-override", "-s " + entry + ": write -s path=value"));
      return out;
    }
    check.overrides.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  out.checked = check_pipeline(out.text, file, registry, check);
  return out;
}

void print_findings(const LoadedPipeline& loaded) {
  if (!loaded.checked.findings.empty()) std::cerr << render(loaded.checked.findings, Format::text);
}

}  // namespace weir::cli
