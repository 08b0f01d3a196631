/// weir fmt: gives pipelines their one layout.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <system_error>

#include "cli/command.hpp"
#include "core/config/format_text.hpp"

namespace weir::cli {
namespace {

struct FmtOptions {
  std::vector<std::string> paths;
  bool check = false;
};

bool is_json(std::string_view name) { return name.ends_with(".json"); }

/// Whether it is a text of ours: a pipeline, or cases. Of a folder others are left alone; their mistakes too.
bool is_ours(const Document& document) {
  if (document.root.is(Value::Kind::invalid))  // reading ended early, so its members are not known
    return document.text.contains("\"nodes\"") || document.text.contains("\"tests\"");
  return document.root.find("nodes") != nullptr || document.root.find("tests") != nullptr;
}

/// Whether all of it was written; errno says why not.
bool write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// Beside the file first, under a name that nobody has, then in its place: an interrupted write leaves the old text. A
/// symlink stays one. At no time may somebody read the new text who may not read the old.
std::error_code replace(const std::string& path, const std::string& text) {
  std::error_code failed;
  const std::string file = std::filesystem::canonical(path, failed);
  if (failed) return failed;
  const auto last_error = [] { return std::error_code{errno, std::generic_category()}; };
  struct stat old{};
  if (::stat(file.c_str(), &old) != 0) return last_error();
  if (!S_ISREG(old.st_mode)) return std::make_error_code(std::errc::not_supported);
  std::string fresh = file + ".XXXXXX";
  const int beside = ::mkostemp(fresh.data(), O_CLOEXEC);  // which its owner alone may read
  if (beside < 0) return last_error();
  // Of others' files: who may not give one away keeps what is made. Before the mode, of which a new owner takes bits.
  if (old.st_uid != ::geteuid() || old.st_gid != ::getegid()) (void)!::fchown(beside, old.st_uid, old.st_gid);
  // A power cut must not leave the new name before the new text.
  if (::fchmod(beside, old.st_mode & 07777) != 0 || !write_whole(beside, text) || ::fsync(beside) != 0)
    failed = last_error();
  if (::close(beside) != 0 && !failed) failed = last_error();
  if (!failed && ::rename(fresh.c_str(), file.c_str()) != 0) failed = last_error();
  if (failed) ::unlink(fresh.c_str());
  return failed;
}

/// The worst that happened to one of the files. `named`: by itself, so that it is ours.
int format_file(const std::string& file, bool named, const FmtOptions& options) {
  const auto text = read_file(file);
  if (!text) {
    std::cerr << file << ": error: " << why_unreadable(file) << '\n';
    return bad_pipeline;
  }
  const Document document = read_text(*text, file);
  if (!named && !is_ours(document)) return fine;
  if (!document.findings.empty()) {
    std::cerr << render(document.findings, Format::text);
    return findings;
  }
  const std::string formatted = format_text(document);
  if (formatted == *text) return fine;
  std::cout << file << "\n";
  if (options.check) return findings;
  const std::error_code failed = replace(file, formatted);
  if (!failed) return fine;
  std::cerr << file << ": error: can't write the file: " << failed.message() << "\n";
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
    for (const std::string& file : files_of(path, is_json))
      worst = std::max(worst, format_file(file, file == path, options));
  }
  return worst;
}

}  // namespace

void add_fmt(Arguments& program, Session& session) {
  auto options = std::make_shared<FmtOptions>();
  auto command = program.command("fmt", "lays pipelines out in one way, comments kept; names what it changed");
  command.needs("paths", options->paths,
                "files; folders or folder/..., of which pipelines and tests; or - for standard input to output");
  command.flag("--check", options->check, "changes nothing; exit code 1 if something would change");
  command.does([options, &session] { session.exit = fmt(*options); });
}

}  // namespace weir::cli
