/// weir record: messages of a source into a recording.
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "cli/commands/run.hpp"
#include "cli/node_text.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view secret_variable = "WEIR_MASK_SECRET";

struct RecordOptions {
  RunOptions run;
  std::string out;
  std::string stream, subject, url, encoding, partitions;
  std::string since, until;
  bool follow = false;
  std::vector<std::string> keys, fields;
  std::string share;
  bool mask = false;
  std::vector<std::string> mask_secret;  ///< at most one; it may have been given as nothing
};

/// Whether all that arrived before an instant has been recorded. A source that can be asked to ends there by itself.
bool all_past(const Worker::Status& status, Timestamp until) {
  return !status.lanes.empty() && std::ranges::all_of(status.lanes, [&](const LaneRun::Status& lane) {
    const auto committed = std::ranges::find(status.committed, lane.partition, &Worker::Status::Committed::partition);
    return committed != status.committed.end() && committed->reached >= until;
  });
}

std::string list_of(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + json_text(text);
  return "[" + out + "]";
}

std::optional<std::string> wrong(const std::string& what) {
  std::cerr << "weir record: " << what << "\n";
  return {};
}

/// A pipeline around a stream.
std::string around_stream(const RecordOptions& options) {
  std::string text =
      R"({ "name": "record", "nodes": [ { "id": "signals", "source": "nats", "stream": )" + json_text(options.stream);
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += weir::format(", \"{}\": {}", name, value);
  };
  add("url", json_text(options.url.empty() ? "${NATS_URL:nats://localhost:4222}" : options.url));
  add("subject", json_text(options.subject));
  if (!options.encoding.empty()) add("encoding", json_text(options.encoding));
  add("partitions", options.partitions);
  return text + " } ] }";
}

bool is_number(const std::string& text) {
  const Document read = read_text(text, "");
  return read.findings.empty() && (read.root.is(Value::Kind::integer) || read.root.is(Value::Kind::number));
}

/// The sink's id.
std::string_view id_beside(std::string_view source) { return source == "record" ? "recording" : "record"; }

std::string recorder(const RecordOptions& options, const std::string& from) {
  std::string text = weir::format(R"({{ "id": "{}", "sink": "recording", "from": {}, "path": {})", id_beside(from),
                                  json_text(from), json_text(options.out));
  if (!options.keys.empty()) text += ", \"keys\": " + list_of(options.keys);
  if (!options.fields.empty()) text += ", \"fields\": " + list_of(options.fields);
  if (!options.share.empty()) text += ", \"share\": " + options.share;
  if (!options.since.empty()) text += ", \"since\": " + json_text(options.since);
  if (!options.until.empty()) text += ", \"until\": " + json_text(options.until);
  if (options.mask) text += ", \"mask\": true";
  if (!options.mask_secret.empty())
    text += ", \"mask_secret\": " + literal_text(options.mask_secret.front());
  else if (options.mask && environment_variable(secret_variable))
    text += weir::format(", \"mask_secret\": \"${{{}}}\"", secret_variable);
  return text + " }";
}

/// The pipeline that records what the source of another one receives.
std::optional<std::string> recording_of(const RecordOptions& options, const Document& document,
                                        const Registry& registry) {
  const Value* nodes = document.root.find("nodes");
  const Value* source = nodes == nullptr ? nullptr : source_in(*nodes);
  const Value* id = source == nullptr ? nullptr : source->find("id");
  if (id == nullptr) return wrong(options.run.file + ": there is no source to record; weir lint");
  const std::string name = source->find("source")->text;
  const Operator* op = registry.find(Role::source, name);
  if (op == nullptr) return wrong(weir::format("{}: there is no source {}", options.run.file, weir::quoted(name)));
  const auto takes = [op](std::string_view setting) {
    return std::ranges::contains(op->spec.fields, setting, &Field::name);
  };
  auto kept = settings_of_node(*op);
  std::vector<NodeMember> members;
  if (takes("since")) {
    members.emplace_back("start", json_text(options.since.empty() ? "first" : "time"));
    if (options.since.empty())
      std::erase(kept, "since");
    else
      members.emplace_back("since", json_text(options.since));
  }
  std::erase(kept, "until");
  if (takes("until") && !options.until.empty()) members.emplace_back("until", json_text(options.until));
  // Who only looks makes nothing: not even a stream whose name was mistyped.
  if (takes("create")) members.emplace_back("create", "false");
  const std::string read = with_operator(document, *source, Role::source, name, kept, members);
  const Value* pipeline = document.root.find("name");
  const std::string letters = (pipeline == nullptr ? "pipeline" : pipeline->text) + ".record.dead.jsonl";
  return with_nodes(document, {read + "\n", recorder(options, id->text)}, {"state"},
                    {{"dead_letters", json_text(letters)}, {"commit", R"({ "every": "1s" })"}});
}

/// What is recorded as text; nothing: what is wrong has been said.
std::optional<Document> asked_for(RecordOptions& options) {
  if (options.stream.empty()) return document_of(options.run.file);
  options.run.file = "--stream " + options.stream;
  return read_text(around_stream(options), options.run.file);
}

int record(RecordOptions& options, Session& session) {
  if (options.run.file.empty() == options.stream.empty()) {
    wrong("give either --pipeline FILE, whose source is recorded, or --stream NAME");
    return usage;
  }
  if (options.out.empty()) {
    wrong("-o FILE says where to");
    return usage;
  }
  if (options.mask_secret.size() > 1 || std::ranges::contains(options.mask_secret, "")) {
    wrong("--mask-secret wants one secret, which is not empty; without it a random one is made");
    return usage;
  }
  if (!options.mask_secret.empty() && !options.mask) {
    wrong("--mask-secret is what masks are made from: it needs --mask");
    return usage;
  }
  const bool of_stream =
      !options.subject.empty() || !options.url.empty() || !options.encoding.empty() || !options.partitions.empty();
  if (options.stream.empty() && of_stream) {
    wrong(
        "--subject, --url, --encoding and --partitions belong to --stream; a pipeline says its own, and -s node.setting=value another");
    return usage;
  }
  if (!options.stream.empty() && options.subject.empty()) {
    wrong("--stream needs --subject, where {key} and {field} say which tokens name the vehicle and its sensor");
    return usage;
  }
  for (const auto& [option, value] : {std::pair{"--share", options.share}, {"--partitions", options.partitions}}) {
    if (value.empty() || is_number(value)) continue;
    wrong(weir::format("{} {}: not a number", option, value));
    return usage;
  }
  if (options.until.empty() && !options.follow) options.until = format_rfc3339(system_clock().now());
  const auto until = options.until.empty() ? std::optional{end_of_time} : parse_rfc3339(options.until);
  if (!until) {
    wrong("--until " + options.until + ": not an instant; write it as 2026-01-31T00:00:00Z");
    return usage;
  }
  if (const auto since = parse_rfc3339(options.since); since && *until <= *since) {
    wrong("--until, or now, is not after --since: nothing arrived in between");
    return usage;
  }
  const auto document = asked_for(options);
  auto made = document ? recording_of(options, *document, session.registry) : std::nullopt;
  if (!made) return bad_pipeline;
  options.run.text = std::move(*made);
  const std::string written = std::exchange(options.run.file, "record of " + options.run.file);
  if (options.stream.empty() && file_is_wrong(options.run, written, session)) return bad_pipeline;
  options.run.way = {parse_rfc3339(options.since).value_or(no_time), *until};
  options.run.enough = [until = *until](const Worker::Status& status) { return all_past(status, until); };
  return run(options.run, session);
}

}  // namespace

void add_record(Arguments& program, Session& session) {
  auto options = std::make_shared<RecordOptions>();
  auto command = program.command("record", "writes what a source receives to a file, to replay it");
  command.option("-o,--out", options->out, "the recording; one that is there is gone on with");
  command.option("--pipeline", options->run.file, "pipeline file whose source is recorded");
  command.option("--stream", options->stream, "or a JetStream stream");
  command.option("--subject", options->subject, "its subject, with {key} and {field}");
  command.option("--url", options->url, "its server; without, $NATS_URL");
  command.option("--encoding", options->encoding, "of its payloads: flatbuffers, json, text");
  command.option("--partitions", options->partitions, "how many streams there are");
  command.option("--since,--from", options->since,
                 "from what arrived then: 2026-01-31T00:00:00Z; without, from the first message there is");
  command.option("--until", options->until, "to what arrived before; without, now");
  command.flag("--follow", options->follow, "goes on with what comes, until Ctrl-C or --until");
  command.option("--key", options->keys, "only messages with samples of this vehicle; may be given again");
  command.option("--field", options->fields, "only messages with samples of this field; may be given again");
  command.flag("--mask", options->mask, "other texts in place of the vehicles' keys, always the same for the same one");
  command.option("--mask-secret", options->mask_secret,
                 "what they are made from, or file:PATH; without, $WEIR_MASK_SECRET, or a random one beside the file");
  command.option("--share,--sample", options->share, "only this share of the vehicles, always the same ones: 0.1");
  add_pipeline_options(command, options->run.pipeline);
  add_run_options(command, options->run);
  options->run.fail_fast = true;  // somebody waits for it
  command.does([options, &session] { session.exit = record(*options, session); });
}

}  // namespace weir::cli
