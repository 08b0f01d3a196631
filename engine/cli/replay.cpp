/// weir replay: a pipeline on recorded messages.
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include <weir/format.hpp>

#include "cli/node_text.hpp"
#include "cli/run.hpp"

namespace weir::cli {
namespace {

struct ReplayOptions {
  RunOptions run;
  std::string recording;
  std::string speed = "max";
  std::string since, until;
  std::vector<std::string> sinks;
  bool flush = false;
};

/// NODE=OPERATOR or NODE=OPERATOR:PATH.
struct NewSink {
  std::string node, name, path;
};

std::optional<NewSink> parse_sink(const std::string& text) {
  const auto equals = text.find('='), colon = text.find(':');
  if (equals == std::string::npos || equals == 0) return {};
  NewSink out{text.substr(0, equals), text.substr(equals + 1, colon - equals - 1), {}};
  if (colon != std::string::npos) out.path = text.substr(colon + 1);
  return out.name.empty() ? std::nullopt : std::optional{std::move(out)};
}

/// Makes the text of the pipeline to run; mistakes of the command line are said at once.
class Rewriting {
 public:
  Rewriting(const ReplayOptions& options, const Document& document, const Registry& registry)
      : options_{options}, document_{document}, registry_{registry} {}

  std::optional<std::string> text() {
    for (const std::string& each : options_.sinks) {
      auto sink = parse_sink(each);
      if (!sink) return wrong("--sink " + each + ": write --sink node=stdout, or node=duckdb:rows.duckdb");
      if (std::ranges::contains(sinks_, sink->node, &NewSink::node))
        return wrong("--sink " + each + ": it was given before");
      if (const auto problem = objection(*sink); !problem.empty())
        return wrong(weir::format("--sink {}: {}", each, problem));
      sinks_.push_back(std::move(*sink));
    }
    std::vector<std::string> nodes;
    const Value* all = document_.root.find("nodes");
    if (all == nullptr) return std::string{source_of(document_, document_.root)};  // what is wrong will be said
    for (const Value& node : all->items) {
      nodes.push_back(rewritten(node));
    }
    for (const NewSink& sink : sinks_) {
      if (!std::ranges::contains(met_, sink.node)) return wrong("--sink " + sink.node + ": there is no such sink");
    }
    const Value* name = document_.root.find("name");
    const std::string letters = (name == nullptr ? "replay" : name->text) + ".replay.dead.jsonl";
    return with_nodes(document_, nodes, {"state", "on_stream_changed"}, {{"dead_letters", json_text(letters)}});
  }

 private:
  static std::optional<std::string> wrong(const std::string& what) {
    std::cerr << "weir replay: " << what << "\n";
    return {};
  }

  /// Why rows can't go there; empty: they can.
  std::string objection(const NewSink& sink) const {
    const Operator* op = registry_.find(Role::sink, sink.name);
    if (op == nullptr) return "there is no sink " + quoted(sink.name) + "; weir list";
    const bool takes_path = std::ranges::contains(op->spec.fields, "path", &Field::name);
    if (!sink.path.empty() && !takes_path)
      return weir::format("{} takes no path; set what it needs by -s {}.…", sink.name, sink.node);
    if (sink.path.empty() && takes_path) return weir::format("write {}={}:FILE", sink.node, sink.name);
    return {};
  }

  std::string rewritten(const Value& node) {
    const auto role = role_of(node);
    if (role == Role::source) return on_recording(node);
    if (role == Role::sink) return elsewhere(node);
    return std::string{source_of(document_, node)} + "\n";
  }

  std::string on_recording(const Value& node) const {
    std::vector<NodeMember> members{{"path", json_text(options_.recording)}, {"speed", json_text(options_.speed)}};
    if (!options_.since.empty()) members.emplace_back("since", json_text(options_.since));
    if (!options_.until.empty()) members.emplace_back("until", json_text(options_.until));
    if (options_.flush) members.emplace_back("flush", "true");
    return with_operator(document_, node, Role::source, "recording", {"encoding", "partitions"}, members);
  }

  std::string elsewhere(const Value& node) {
    const Value* id = node.find("id");
    const std::string name = id == nullptr ? "" : id->text;
    met_.push_back(name);
    const auto asked = std::ranges::find(sinks_, name, &NewSink::node);
    const std::string op_name = asked == sinks_.end() ? "drop" : asked->name;
    const Operator* op = registry_.find(Role::sink, op_name);
    std::vector<NodeMember> members;
    if (asked != sinks_.end() && !asked->path.empty()) members.emplace_back("path", json_text(asked->path));
    // Where the rows go is said on the command line alone: what the pipeline writes to is not to be touched.
    auto kept = settings_of_node(Role::sink, *op);
    std::erase_if(kept, [](const std::string& setting) { return setting == "path" || setting == "url"; });
    return with_operator(document_, node, Role::sink, op_name, kept, members);
  }

  const ReplayOptions& options_;
  const Document& document_;
  const Registry& registry_;
  std::vector<NewSink> sinks_;
  std::vector<std::string> met_;
};

int replay(ReplayOptions& options, Session& session) {
  const auto document = document_of(options.run.file);
  if (!document) return bad_pipeline;
  auto rewritten = Rewriting{options, *document, session.registry}.text();
  if (!rewritten) return usage;
  options.run.text = std::move(*rewritten);
  options.run.file = "replay of " + options.run.file;
  options.run.alone = true;
  return run(options.run, session);
}

}  // namespace

void add_replay(Arguments& program, Session& session) {
  auto options = std::make_shared<ReplayOptions>();
  auto command = program.command("replay", "runs a pipeline on a recording: the same rows, at any speed");
  command.needs("recording", options->recording, "file that the sink `recording` or weir record has written");
  command.needs("pipeline", options->run.file, "pipeline file; the recording takes the place of its source");
  command.option("--speed", options->speed, "max, 1x for real time, 60x");
  command.option("--from", options->since, "only what arrived then or later: 2026-01-31T00:00:00Z");
  command.option("--until", options->until, "only what arrived before");
  command.option(
      "--sink", options->sinks,
      "node=stdout, node=duckdb:rows.duckdb: where a sink's rows go instead; without, they are only counted");
  command.flag("--flush", options->flush, "closes what is open at the end of the recording");
  add_pipeline_options(command, options->run.pipeline);
  add_run_options(command, options->run);
  command.does([options, &session] { session.exit = replay(*options, session); });
}

}  // namespace weir::cli
