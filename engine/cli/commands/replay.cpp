/// weir replay: a pipeline on recorded messages, or on those of a stream; and recorded messages into a stream.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include "recording/recording.hpp"

#include "cli/commands/run.hpp"
#include "cli/node_text.hpp"
#include "cli/replay_text.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view of_stream = "nats:";

struct ReplayOptions {
  RunOptions run;
  std::string from;
  Replayed replayed;
  std::string to_stream, url, partitions;
  std::vector<std::string> saves, differences;
  std::string format = "text";
};

int complain(const std::string& what, int exit = usage) {
  std::cerr << "weir replay: " << what << "\n";
  return exit;
}

/// From where to where it goes.
Way way_of(const recording::Reader& file) {
  Timestamp end = no_time;
  for (const auto& [partition, reached] : file.reached()) end = std::max(end, reached.arrival);
  return {file.begins(), end};
}

/// What is wrong with the part that is asked for, of a stream without `file`; empty: nothing.
std::string wrong_part(const Replayed& replayed, const recording::Reader* file) {
  const auto since = parse_rfc3339(replayed.since), until = parse_rfc3339(replayed.until);
  for (const auto& [name, text, read] :
       {std::tuple{"--since", &replayed.since, since}, {"--until", &replayed.until, until}}) {
    if (!text->empty() && !read)
      return weir::format("{} {}: not an instant; write it as 2026-01-31T00:00:00Z", name, *text);
  }
  if (since && until && *until <= *since) return "--until is not after --since: nothing arrived in between";
  if (file == nullptr || file->reached().empty()) return {};
  const Way whole = way_of(*file);
  if ((!since || *since <= whole.until) && (!until || *until > whole.from)) return {};
  return weir::format("nothing arrived then: {} goes from {} to {}", replayed.recording, format_rfc3339(whole.from),
                      format_rfc3339(whole.until));
}

/// Of the part; of a stream without `file`, what is not known is left open.
Way way_of(const Replayed& replayed, const recording::Reader* file) {
  const Way part{parse_rfc3339(replayed.since).value_or(no_time), parse_rfc3339(replayed.until).value_or(end_of_time)};
  if (file == nullptr) return part;
  const Way whole = way_of(*file);
  return {std::max(part.from, whole.from), std::min(part.until, whole.until)};
}

/// Runs it, and does what was wished for with the rows.
int run_to_the_end(RunOptions& options, const RowSelection& selection, bool json, Session& session) {
  bool interrupted = false;
  options.interrupted = [&] { interrupted = true; };
  const int exit = run(options, session);
  if (exit != fine || selection.none()) return exit;
  if (interrupted) return complain("it was interrupted, so its rows are neither saved nor compared", internal);
  const auto loaded = check_text(options.file, *options.text, options.pipeline, session.registry, true);
  return loaded.checked.pipeline ? selection.carry_out(*loaded.checked.pipeline, json) : bad_pipeline;
}

/// On a recording; on a stream without `file`.
int run_pipeline(ReplayOptions& options, const recording::Reader* file, Session& session) {
  if (options.run.file.empty()) return complain("say which pipeline is to run on it, or --to-nats STREAM");
  if (!options.url.empty() || !options.partitions.empty())
    return complain(
        "--url and --partitions belong to --to-nats; a pipeline says its own, and -s node.setting=value another");
  const auto document = document_of(options.run.file);
  if (!document) return bad_pipeline;
  const bool measured = !options.saves.empty() || !options.differences.empty();
  if (measured && file != nullptr && (file->cut() || !file->damages().empty())) {
    return complain(
        options.replayed.recording +
            " is damaged, so rows of it are neither saved nor compared; `weir info` tells what of it is lost",
        internal);
  }
  auto selection = RowSelection::of(options.saves, options.differences, *document, session.registry);
  if (!selection) return complain(selection.error().message, exit_of_file(selection.error()));
  if (options.replayed.speed.empty()) options.replayed.speed = "max";
  auto text = replay_of(options.replayed, *document, session.registry, *selection);
  if (!text) return usage;
  options.run.text = std::move(*text);
  const std::string written = std::exchange(options.run.file, "replay of " + options.run.file);
  if (file_is_wrong(options.run, written, session)) return bad_pipeline;
  if (!options.run.quiet) options.run.way = way_of(options.replayed, file);
  return run_to_the_end(options.run, *selection, options.format == "json", session);
}

int republish(ReplayOptions& options, const recording::Reader* file, Session& session) {
  if (file == nullptr) return complain("--to-nats publishes a recording; record the stream first");
  if (!options.run.file.empty() || !options.replayed.sinks.empty() || !options.saves.empty() ||
      !options.differences.empty() || options.replayed.flush)
    return complain("--to-nats publishes messages: no pipeline runs, and there are no rows to write, save or compare");
  const recording::Beginning& beginning = file->beginning();
  // The same of each replay of the recording, or of a part of it.
  const Republished to{options.to_stream, options.url, options.partitions,
                       weir::format("{}/{}/{}", beginning.pipeline, beginning.node, format_rfc3339(beginning.made_at))};
  if (options.replayed.speed.empty()) options.replayed.speed = "1x";
  const std::uint32_t partitions = file->reached().empty() ? 1 : file->reached().rbegin()->first + 1;
  options.run.text = republishing(options.replayed, to, partitions);
  options.run.file = "replay of " + options.replayed.recording;
  options.run.way = way_of(options.replayed, file);
  return run(options.run, session);
}

int replay(ReplayOptions& options, Session& session) {
  Replayed& replayed = options.replayed;
  const bool is_stream = options.from.starts_with(of_stream);
  (is_stream ? replayed.stream : replayed.recording) = options.from.substr(is_stream ? of_stream.size() : 0);
  if (is_stream && replayed.stream.empty()) return complain("nats: names no stream; write nats:TELEMETRY");
  std::optional<recording::Reader> opened;
  if (!is_stream) {
    auto file = recording::Reader::open(replayed.recording);
    if (!file) return complain(file.error().message, exit_of_file(file.error()));
    opened = std::move(*file);
  }
  const recording::Reader* const file = opened ? &*opened : nullptr;
  if (const auto wrong = wrong_part(replayed, file); !wrong.empty()) return complain(wrong);
  if (!options.to_stream.empty()) return republish(options, file, session);
  if (file != nullptr) return run_pipeline(options, file, session);
  if (!replayed.speed.empty() || replayed.flush)
    return complain("--speed and --flush are of a recording: a stream is read as fast as it goes, up to where it is");
  if (replayed.until.empty()) replayed.until = format_rfc3339(system_clock().now());
  return run_pipeline(options, nullptr, session);
}

}  // namespace

void add_replay(Arguments& program, Session& session) {
  auto options = std::make_shared<ReplayOptions>();
  auto command = program.command("replay", "runs a pipeline on a recording, or a stream: the same rows, at any speed");
  command.needs("recording", options->from, "a recording; or nats:STREAM, a stream as the pipeline's source reads it");
  command.option("pipeline", options->run.file, "pipeline file; what is replayed takes the place of its source");
  command.option("--speed", options->replayed.speed, "max, 1x for real time, 60x; without, max, and 1x into a stream");
  command.option("--since,--from", options->replayed.since, "only what arrived then or later: 2026-01-31T00:00:00Z");
  command.option("--until", options->replayed.until, "only what arrived before; of a stream without, now");
  command.option(
      "--sink", options->replayed.sinks,
      "node=stdout, node=duckdb:rows.duckdb: where a sink's rows go instead; without, they are only counted");
  command.option(
      "--diff", options->differences,
      "FILE or node=FILE: what a sink's rows must be; prints what differs, and exits with 1 if anything does");
  command.option("--save", options->saves,
                 "FILE or node=FILE (.parquet, .csv, .jsonl): keeps a sink's rows, for --diff");
  command.choice("--format", options->format, {"text", "json"}, "of --diff and --save; JSON: an array of objects");
  command.flag("--flush", options->replayed.flush, "closes what is open at the end of the recording");
  command.option("--to-nats", options->to_stream,
                 "publishes the recording's messages into this JetStream stream instead");
  command.option("--url", options->url, "its server; without, $NATS_URL");
  command.option("--partitions", options->partitions, "how many streams there are, if they do not tell");
  add_pipeline_options(command, options->run.pipeline);
  add_run_options(command, options->run);
  options->run.fail_fast = true;  // somebody waits for it
  command.does([options, &session] { session.exit = replay(*options, session); });
}

}  // namespace weir::cli
