#include "cli/watch.hpp"

#include <filesystem>
#include <iostream>
#include <stop_token>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

constexpr Duration look_every = 200 * millisecond;

/// Pipelines, tests, and what tests have beside them.
bool is_watched(std::string_view name) {
  return name.ends_with(".json") || name.ends_with(".rows") || name.ends_with(".weir");
}

}  // namespace

Saved saved_in(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  Saved out;
  for (const std::string& path : paths) {
    std::error_code problem;
    // Of a file what stands beside it too, also while an editor has taken it away to bring it back.
    const std::string beside = fs::path{path}.parent_path().string();
    const bool is_folder = path.ends_with("...") || fs::is_directory(path, problem);
    for (const std::string& file : files_of(is_folder ? path : beside.empty() ? "." : beside, is_watched)) {
      const auto written = fs::last_write_time(file, problem);
      const auto size = fs::file_size(file, problem);
      if (!problem) out[file] = weir::format("{} {}", written.time_since_epoch().count(), size);
    }
  }
  return out;
}

std::vector<std::string> changed_since(const Saved& before, const Saved& now) {
  std::vector<std::string> out;
  for (const auto& [file, stamp] : now) {
    const auto was = before.find(file);
    if (was == before.end() || was->second != stamp) out.push_back(file);
  }
  for (const auto& [file, stamp] : before) {
    if (!now.contains(file)) out.push_back(file);
  }
  return out;
}

void watch(const std::vector<std::string>& paths, const std::function<void()>& act) {
  Saved before = saved_in(paths);
  for (;;) {
    act();
    std::cout << "waiting for a change; Ctrl-C ends\n" << std::flush;
    std::vector<std::string> changed;
    while (changed.empty()) {
      (void)system_clock().wait(look_every, {});
      Saved now = saved_in(paths);
      changed = changed_since(before, now);
      before = std::move(now);
    }
    std::cout << "\n";
    for (const std::string& file : changed) std::cout << file << " changed\n";
  }
}

}  // namespace weir::cli
