/// weir lag: what the streams hold beyond what is committed, whether workers run or not.
#include "core/coordination/lag.hpp"

#include <algorithm>
#include <iostream>
#include <memory>

#include <weir/format.hpp>

#include "cli/kept.hpp"
#include "console/progress_json.hpp"

namespace weir::cli {
namespace {

struct LagOptions : KeptOptions {
  std::string format = "text";
};

void print(const Lag& lag) {
  std::size_t width = 6;
  for (const PartitionLag& one : lag.partitions) width = std::max(width, one.owner.size());
  const auto line = [width](const auto& partition, std::string_view owner, const auto& position, const auto& messages,
                            std::string_view age) {
    std::cout << weir::format("{:>9}  {:<{}}  {:>12}  {:>12}  {:>10}\n", partition, owner, width, position, messages,
                              age);
  };
  line("partition", "owner", "position", "messages", "age");
  for (const PartitionLag& one : lag.partitions) {
    line(one.partition, one.owner.empty() ? "nobody" : one.owner, one.position, one.messages, shown_seconds(one.age));
  }
  line("all", "", "", lag.messages, shown_seconds(lag.age));
}

/// As the running worker says it.
std::expected<Lag, int> worker_lag(const LagOptions& options, const Pipeline& pipeline) {
  const auto page = page_of("weir lag", options, "/lag");
  if (!page) return std::unexpected(page.error());
  auto read = read_lag(*page);
  if (!read) return std::unexpected(failed("weir lag", read.error()));
  if (read->pipeline == pipeline.name) return std::move(read->lag);
  std::cerr << "weir lag: the worker at " << options.http << " runs " << read->pipeline << ", not " << pipeline.name
            << "\n";
  return std::unexpected(usage);
}

int lag(const LagOptions& options, const Registry& registry) {
  const LoadedPipeline loaded = load_pipeline(options.file, options.pipeline, registry, options.http.empty());
  print_findings(loaded);
  if (!loaded.checked.pipeline) return bad_pipeline;
  const auto measured =
      options.http.empty()
          ? measure_lag(*loaded.checked.pipeline, registry, system_clock()).transform_error([&](const Error& error) {
              return failed("weir lag", error, options);
            })
          : worker_lag(options, *loaded.checked.pipeline);
  if (!measured) return measured.error();
  name_unanswered("weir lag", measured->unanswered);
  if (options.format == "json")
    std::cout << lag_json(*loaded.checked.pipeline, *measured) << '\n';
  else
    print(*measured);
  return fine;
}

}  // namespace

void add_lag(Arguments& program, Session& session) {
  auto options = std::make_shared<LagOptions>();
  auto command = program.command("lag", "shows a pipeline's lag: messages, and the age of the first");
  add_kept_options(command, *options);
  command.choice("--format", options->format, {"text", "json"}, "JSON: as /lag of a running worker");
  command.does([options, &session] { session.exit = lag(*options, session.registry); });
}

}  // namespace weir::cli
