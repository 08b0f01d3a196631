#include "cli/replay_text.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/node_text.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view stream_source = "nats";

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
  Rewriting(const Replayed& options, const Document& document, const Registry& registry, RowSelection& selection)
      : options_{options}, document_{document}, registry_{registry}, selection_{selection} {}

  std::optional<std::string> text() {
    for (const std::string& each : options_.sinks) {
      auto sink = parse_sink(each);
      if (!sink) return wrong("--sink " + each + ": write --sink node=stdout, or node=duckdb:rows.duckdb");
      if (std::ranges::contains(sinks_, sink->node, &NewSink::node))
        return wrong("--sink " + each + ": it was given before");
      if (selection_.about(sink->node) && sink->name != selection_.rows_operator())
        return wrong(
            weir::format("--sink {0}: it keeps no rows to save or compare; leave it out, or write {1}={2}:FILE", each,
                         sink->node, selection_.rows_operator()));
      if (const auto problem = objection(*sink); !problem.empty())
        return wrong(weir::format("--sink {}: {}", each, problem));
      sinks_.push_back(std::move(*sink));
    }
    std::vector<std::string> nodes;
    const Value* all = document_.root.find("nodes");
    if (all == nullptr) return std::string{source_of(document_, document_.root)};  // what is wrong will be said
    if (!keep_rows(*all) || !reads_streams(*all)) return {};
    for (const Value& node : all->items) nodes.push_back(rewritten(node));
    for (const NewSink& sink : sinks_) {
      if (!std::ranges::contains(met_, sink.node))
        return wrong(weir::format("--sink {}={}: there is no sink {}; there are: {}", sink.node, sink.name,
                                  weir::quoted(sink.node), weir::listed(met_)));
    }
    const Value* name = document_.root.find("name");
    const std::string letters = (name == nullptr ? "replay" : name->text) + ".replay.dead.jsonl";
    return with_nodes(document_, nodes, {"state"}, {{"dead_letters", json_text(letters)}});
  }

 private:
  static std::optional<std::string> wrong(const std::string& what) {
    std::cerr << "weir replay: " << what << "\n";
    return {};
  }

  /// Why rows can't go there; empty: they can.
  std::string objection(const NewSink& sink) const {
    const Operator* op = registry_.find(Role::sink, sink.name);
    if (op == nullptr) return "there is no sink " + weir::quoted(sink.name) + "; weir list";
    const bool takes_path = std::ranges::contains(op->spec.fields, "path", &Field::name);
    if (!sink.path.empty() && !takes_path)
      return weir::format("{} takes no path; set what it needs by -s {}.…", sink.name, sink.node);
    if (sink.path.empty() && takes_path) return weir::format("write {}={}:FILE", sink.node, sink.name);
    return {};
  }

  /// Sinks whose rows are wanted afterwards, but were not told where to.
  bool keep_rows(const Value& nodes) {
    for (const Value& node : nodes.items) {
      const Value* id = node.find("id");
      if (role_of(node) != Role::sink || id == nullptr || !selection_.about(id->text) ||
          std::ranges::contains(sinks_, id->text, &NewSink::node))
        continue;
      const auto file = selection_.private_file(id->text);
      if (!file) return wrong(file.error().message).has_value();
      sinks_.push_back({id->text, selection_.rows_operator(), *file});
    }
    return true;
  }

  std::string rewritten(const Value& node) {
    const auto role = role_of(node);
    if (role == Role::source) return options_.recording.empty() ? on_stream(node) : on_recording(node);
    if (role == Role::sink) return elsewhere(node);
    return std::string{source_of(document_, node)} + "\n";
  }

  /// Whether the source is of the kind that can be asked for a stream; always if none is to be.
  bool reads_streams(const Value& nodes) const {
    if (!options_.recording.empty()) return true;
    const Value* source = source_in(nodes);
    const Value* name = source == nullptr ? nullptr : source->find(to_string(Role::source));
    if (name == nullptr || name->text == stream_source) return true;  // what is wrong will be said
    return wrong(weir::format("nats:{}: the pipeline's source is {}, which reads no stream", options_.stream,
                              weir::quoted(name->text)))
        .has_value();
  }

  /// The pipeline's own source, but for where it begins and ends.
  std::string on_stream(const Value& node) const {
    const Operator* op = registry_.find(Role::source, stream_source);
    auto kept = settings_of_node(*op);
    for (const std::string_view not_of_a_replay : {"mode", "durable", "queue", "ack_wait", "max_ack_pending", "since"})
      std::erase(kept, not_of_a_replay);
    std::vector<NodeMember> members{{"create", "false"},
                                    {"start", json_text(options_.since.empty() ? "first" : "time")},
                                    {"until", json_text(options_.until)}};
    if (!options_.stream.empty()) members.emplace_back("stream", json_text(options_.stream));
    if (!options_.since.empty()) members.emplace_back("since", json_text(options_.since));
    return with_operator(document_, node, Role::source, stream_source, kept, members);
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
    auto kept = settings_of_node(*op);
    std::erase_if(kept, [](const std::string& setting) { return setting == "path" || setting == "url"; });
    return with_operator(document_, node, Role::sink, op_name, kept, members);
  }

  const Replayed& options_;
  const Document& document_;
  const Registry& registry_;
  RowSelection& selection_;
  std::vector<NewSink> sinks_;
  std::vector<std::string> met_;
};

}  // namespace

std::optional<std::string> replay_of(const Replayed& replayed, const Document& pipeline, const Registry& registry,
                                     RowSelection& selection) {
  return Rewriting{replayed, pipeline, registry, selection}.text();
}

std::string republishing(const Replayed& replayed, const Republished& to, std::uint32_t partitions) {
  const auto optional = [](const char* name, const std::string& value) {
    return value.empty() ? "" : weir::format(", \"{}\": {}", name, value);
  };
  const auto instant = [&](const char* name, const std::string& value) {
    return optional(name, value.empty() ? "" : json_text(value));
  };
  return weir::format(
      R"({{ "name": "replay", "nodes": [
        {{ "id": "recording", "source": "recording", "encoding": "opaque", "path": {}, "partitions": {}, "speed": {}{}{} }},
        {{ "id": "stream", "sink": "nats-messages", "from": "recording", "stream": {}, "url": {}, "ids": {}{} }} ] }})",
      json_text(replayed.recording), partitions, json_text(replayed.speed), instant("since", replayed.since),
      instant("until", replayed.until), json_text(to.stream),
      json_text(to.url.empty() ? "${NATS_URL:nats://localhost:4222}" : to.url), json_text(to.ids),
      optional("partitions", to.partitions));
}

}  // namespace weir::cli
