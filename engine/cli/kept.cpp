#include "cli/kept.hpp"

#include <iostream>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

namespace weir::cli {

std::expected<std::unique_ptr<Kept>, int> load_kept(std::string_view command, const std::string& file,
                                                    const PipelineOptions& options, const std::string& node,
                                                    const Registry& registry) {
  LoadedPipeline loaded = load_pipeline(file, options, registry, true);
  print_findings(loaded);
  if (!loaded.checked.pipeline) return std::unexpected(bad_pipeline);
  auto kept = std::make_unique<Kept>(std::move(loaded), registry);
  if (auto some = kept->keepers.only(node); !some) return std::unexpected(failed(command, some.error()));
  return kept;
}

int failed(std::string_view command, const Error& error) {
  std::cerr << command << ": " << error.message << '\n';
  if (error.kind == Error::Kind::invalid) return usage;
  return error.kind == Error::Kind::unreachable ? Exit::unreachable : Exit::internal;
}

std::string shown(Timestamp time) { return time == no_time ? "-" : format_rfc3339(time - time % second); }

std::string shown_seconds(Duration length) {
  return weir::format("{:.1f} s", static_cast<double>(length) / static_cast<double>(second));
}

void write_progress(const ProgressLine& line, JsonWriter& out) {
  const bool owned = is_owned(line);
  out.number("partition", line.partition);
  out.text("owner", owned ? std::optional{line.owner} : std::nullopt);
  out.time("since", owned ? line.since : no_time);
  out.seconds("lease_left", owned ? std::optional{line.lease_left} : std::nullopt);
  out.number("position", line.progress.position);
  out.time("arrival", line.progress.arrival);
}

}  // namespace weir::cli
