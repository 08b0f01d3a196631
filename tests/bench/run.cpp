#include "bench/run.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "fakes/registry.hpp"

namespace weir::bench {

void give_up(const std::string& why) {
  std::fprintf(stderr, "benchmark: %s\n", why.c_str());
  std::exit(1);
}

double megabytes(int pid, std::string_view entry) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(entry)) return std::stod(line.substr(entry.size() + 1)) / 1024;
  }
  give_up("weir has ended");
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

namespace {

using fakes::registry;

Checked check(const std::string& text, std::vector<std::pair<std::string, std::string>> overrides) {
  CheckOptions options;
  options.to_run = true;
  options.overrides = std::move(overrides);
  Checked out = check_pipeline(text, "benchmark", registry(), options);
  if (!out.pipeline) give_up(render(out.findings, Format::text));
  return out;
}

}  // namespace

struct Run::Impl {
  Impl(std::string with, std::vector<std::pair<std::string, std::string>> overrides)
      : text{std::move(with)},
        checked{check(text, std::move(overrides))},
        worker{*checked.pipeline, registry(), counters, system_clock()},
        thread{[this] {
          if (auto done = worker.run(drain.get_token()); !done) give_up(done.error().message);
        }} {}

  std::string text;
  Checked checked;
  Counters counters;
  Worker worker;
  std::stop_source drain;
  std::thread thread;
};

Run::Run(const std::string& text, std::vector<std::pair<std::string, std::string>> overrides)
    : impl_{std::make_unique<Impl>(text, std::move(overrides))} {}

Run::~Run() {
  impl_->drain.request_stop();
  impl_->thread.join();
}

Worker::Status Run::status() const { return impl_->worker.status(); }

std::uint64_t Run::counted(const std::string& node, const std::string& name) const {
  return impl_->counters.value(node, name);
}

std::string Run::counters() const {
  std::string out;
  for (const auto& line : impl_->counters.lines()) {
    if (line.value != 0) out += line.node + "." + line.name + " " + std::to_string(line.value) + "  ";
  }
  return out;
}

void Run::wait_ready() const {
  while (!status().ready) system_clock().wait(5 * millisecond, {});
}

Position Run::stepped() const {
  Position sum = 0;
  for (const auto& lane : status().lanes) sum += lane.stepped;
  return sum;
}

std::string text_of_file(const std::string& path) {
  std::ifstream file{std::string{WEIR_SOURCE_DIR} + "/" + path};
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) give_up("can't read " + path);
  return text.str();
}

std::string with_variables(std::string text, const std::vector<std::pair<std::string, std::string>>& variables) {
  for (const auto& [name, value] : variables) {
    for (std::size_t at = 0; (at = text.find("${" + name, at)) != std::string::npos;) {
      const std::size_t end = text.find('}', at);
      if (end == std::string::npos) give_up("a variable without an end");
      text.replace(at, end + 1 - at, value);
      at += value.size();
    }
  }
  return text;
}

}  // namespace weir::bench
