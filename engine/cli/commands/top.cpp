/// weir top: what the workers of a pipeline do, node by node and partition by partition.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "cli/command.hpp"
#include "cli/kept.hpp"
#include "cli/top_view.hpp"
#include "console/client.hpp"

namespace weir::cli {
namespace {

struct TopOptions {
  std::string file;
  PipelineOptions pipeline;
  std::vector<std::string> http;
  bool once = false;
};

/// A worker, asked again and again.
class Watched {
 public:
  Watched(std::string address, ConsoleClient client) : address_{std::move(address)}, client_{std::move(client)} {}

  Glance::Worker look(const std::string& pipeline) {
    auto report = page("/pipelines/" + pipeline).and_then([](const std::string& text) { return read_report(text); });
    if (!report && !report.error().message.contains(address_)) report.error().message.insert(0, address_ + ": ");
    return {address_, std::move(report)};
  }
  Result<LagReport> lag() {
    return page("/lag").and_then([](const std::string& text) { return read_lag(text); });
  }
  /// The name of the pipeline that it runs.
  Result<std::string> pipeline() {
    return page("/pipelines").and_then([this](const std::string& text) -> Result<std::string> {
      const auto begin = text.find('"');
      const auto end = text.find('"', begin + 1);
      if (begin != std::string::npos && end != std::string::npos) return text.substr(begin + 1, end - begin - 1);
      return fail(Error::Kind::invalid, "what answers on " + address_ + " is no worker of weir");
    });
  }

 private:
  Result<std::string> page(const std::string& path) {
    auto page = client_.get(path);
    if (!page) return std::unexpected(page.error());
    if (page->status == 200) return std::move(page->body);
    return fail(page->status == 404 ? Error::Kind::invalid : Error::Kind::unreachable,
                page->body.substr(0, page->body.find('\n')));
  }

  std::string address_;
  ConsoleClient client_;
};

class Watch {
 public:
  explicit Watch(std::string pipeline) : pipeline_{std::move(pipeline)} {}

  /// invalid: not host:port.
  Result<void> add(const std::string& address) {
    auto client = ConsoleClient::at(address);
    if (!client) return std::unexpected(client.error());
    workers_.emplace_back(address, *std::move(client));
    return {};
  }

  /// Where no pipeline was named it is the one of the first worker that answers. Error: why none does.
  Result<void> begin() {
    Result<std::string> name = pipeline_;
    for (auto worker = workers_.begin(); pipeline_.empty() && worker != workers_.end(); ++worker) {
      name = worker->pipeline();
      pipeline_ = name.value_or("");
    }
    if (!name) return std::unexpected(name.error());
    before_ = glance();
    const auto heard = [](const Glance::Worker& worker) { return worker.report.has_value(); };
    if (std::ranges::any_of(before_.workers, heard)) return {};
    return std::unexpected(before_.workers.front().report.error());
  }

  /// What has happened since the last one.
  TopFrame frame() {
    Glance now = glance();
    TopFrame out = frame_of(before_, now);
    before_ = std::move(now);
    return out;
  }

 private:
  Glance glance() {
    Glance out{system_clock().steady(), {}, fail(Error::Kind::unreachable, "no worker answers")};
    for (Watched& worker : workers_) out.workers.push_back(worker.look(pipeline_));
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (!out.workers[i].report) continue;
      out.lag = workers_[i].lag();  // all say the same
      break;
    }
    return out;
  }

  std::string pipeline_;
  std::vector<Watched> workers_;
  Glance before_{0, {}, LagReport{}};
};

int top(TopOptions options, const Registry& registry) {
  std::string pipeline;
  if (!options.file.empty()) {
    const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, false);
    if (!loaded.checked.pipeline) {
      print_findings(loaded);
      return bad_pipeline;
    }
    pipeline = loaded.checked.pipeline->name;
  }
  if (options.http.empty()) options.http = {"localhost:8080"};
  Watch watch{pipeline};
  for (const std::string& address : options.http) {
    if (auto added = watch.add(address); !added) return failed("weir top: --http", added.error());
  }
  if (auto begun = watch.begin(); !begun) return failed("weir top", begun.error());
  system_clock().wait(second, {});
  if (options.once || ::isatty(STDOUT_FILENO) == 0 || ::isatty(STDIN_FILENO) == 0)
    std::cout << drawn(watch.frame());
  else
    show_live([&watch] { return watch.frame(); });
  return fine;
}

}  // namespace

void add_top(Arguments& program, Session& session) {
  auto options = std::make_shared<TopOptions>();
  auto command = program.command("top", "shows what running workers do: rates, time by node, lag, queues, state");
  command.option("pipeline", options->file, "pipeline file; without, what the first worker runs");
  add_pipeline_options(command, options->pipeline);
  command.option("--http", options->http,
                 "where a worker serves its pages, given again for each; without, localhost:8080");
  command.flag("--once", options->once, "prints what happens within a second, and ends; so it does without a terminal");
  command.does([options, &session] { session.exit = top(*options, session.registry); });
}

}  // namespace weir::cli
