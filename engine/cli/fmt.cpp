/// weir fmt: gives pipelines their one layout.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/command.hpp"
#include "core/format_text.hpp"

namespace weir::cli {
namespace {

struct FmtOptions {
  std::vector<std::string> paths;
  bool check = false;
};

bool is_json(std::string_view name) { return name.ends_with(".json"); }

/// Beside the file first, then in its place: an interrupted write leaves the old text.
bool replace(const std::string& file, const std::string& text) {
  const std::string fresh = file + ".fmt";
  std::error_code failed;
  const bool whole{(std::ofstream{fresh, std::ios::binary} << text).flush()};
  if (whole) {
    std::filesystem::permissions(fresh, std::filesystem::status(file).permissions(), failed);
    std::filesystem::rename(fresh, file, failed);
    if (!failed) return true;
  }
  std::filesystem::remove(fresh, failed);
  return false;
}

/// The worst that happened to one of the files.
int format_file(const std::string& file, const FmtOptions& options) {
  const auto text = read_file(file);
  if (!text) {
    std::cerr << file << ": error: can't read the file\n";
    return findings;
  }
  const Document document = read_text(*text, file);
  if (!document.findings.empty()) {
    std::cerr << render(document.findings, Format::text);
    return findings;
  }
  const std::string formatted = format_text(document);
  if (formatted == *text) return fine;
  std::cout << file << "\n";
  if (options.check) return findings;
  if (replace(file, formatted)) return fine;
  std::cerr << file << ": error: can't write the file\n";
  return findings;
}

int format_standard_input() {
  const std::string text{std::istreambuf_iterator<char>{std::cin}, {}};
  const Document document = read_text(text, "-");
  if (!document.findings.empty()) {
    std::cerr << render(document.findings, Format::text);
    return findings;
  }
  std::cout << format_text(document);
  return fine;
}

int fmt(const FmtOptions& options) {
  if (options.paths == std::vector<std::string>{"-"}) return format_standard_input();
  int worst = fine;
  for (const std::string& path : options.paths) {
    for (const std::string& file : files_of(path, is_json)) worst = std::max(worst, format_file(file, options));
  }
  return worst;
}

}  // namespace

void add_fmt(Arguments& program, Session& session) {
  auto options = std::make_shared<FmtOptions>();
  auto command = program.command("fmt", "lays pipelines out in one way, comments kept; names what it changed");
  command.needs("paths", options->paths, "files, folders, folder/..., or - for standard input to output");
  command.flag("--check", options->check, "changes nothing; exit code 1 if something would change");
  command.does([options, &session] { session.exit = fmt(*options); });
}

}  // namespace weir::cli
