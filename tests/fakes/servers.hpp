/// Real servers for a test, private to it: what deploy/servers starts, ended with the object.
#pragma once

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include "fakes/temporary_directory.hpp"

namespace weir::fakes {

/// Throws std::runtime_error with what the script said if a server does not start. Threads: one.
class Servers {
 public:
  /// `names`: any of "nats timescale postgres". `nats_conf`: lines added to nats-server's configuration.
  explicit Servers(const std::string& names, const std::string& nats_conf = {}) : names_{names} {
    if (!nats_conf.empty()) configure_nats(nats_conf);
    start(names_);
  }
  ~Servers() {
    try {
      run("stop " + directory());
    } catch (const std::exception&) {  // they end with this process anyway
    }
  }
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

  /// "NATS_URL", "PG_URL", "PLAIN_PG_URL".
  const std::string& url(const std::string& variable) const { return urls_.at(variable); }
  const std::string& nats() const { return url("NATS_URL"); }

  /// The lines added to nats-server's configuration, from its next start on.
  void configure_nats(const std::string& lines) { directory_.write("nats.conf", lines); }
  /// Starts stopped or killed ones again, with their data and port.
  void start(const std::string& names) {
    const auto lines = run("start " + directory() + " --fast --while " + std::to_string(getpid()) + " " + names);
    for (std::size_t at = 0; at < lines.size();) {
      const auto end = lines.find('\n', at);
      const auto line = lines.substr(at, end - at);
      if (const auto equal = line.find('='); equal != std::string::npos)
        urls_[line.substr(0, equal)] = line.substr(equal + 1);
      at = end == std::string::npos ? lines.size() : end + 1;
    }
  }
  /// What nats-server keeps, as it lies on the disk.
  std::filesystem::path nats_data() const { return directory() + "/nats/jetstream"; }
  void stop(const std::string& names) { run("stop " + directory() + " " + names); }
  /// As a crash would.
  void kill(const std::string& names) { run("kill " + directory() + " " + names); }

 private:
  const std::string& directory() const { return directory_.path(); }

  static std::string run(const std::string& arguments) {
    const std::string command = std::string{WEIR_SOURCE_DIR} + "/deploy/servers " + arguments + " 2>&1";
    FILE* out = popen(command.c_str(), "r");
    if (out == nullptr) throw std::runtime_error{"can't run " + command};
    std::string text;
    std::array<char, 4096> part{};
    while (const auto size = fread(part.data(), 1, part.size(), out)) text.append(part.data(), size);
    if (pclose(out) != 0) throw std::runtime_error{command + ": " + text};
    return text;
  }

  std::string names_;
  TemporaryDirectory directory_;
  std::map<std::string, std::string> urls_;
};

}  // namespace weir::fakes
