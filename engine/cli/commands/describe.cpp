/// weir describe: everything an operator says of itself.
#include <algorithm>
#include <iostream>
#include <sstream>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/command.hpp"
#include "cli/kinds.hpp"
#include "console/json_writer.hpp"
#include "console/metrics.hpp"
#include "core/observe/counted.hpp"
#include "core/plan/draft.hpp"
#include "core/plan/pipeline_fields.hpp"

namespace weir::cli {
namespace {

void describe_fields(const std::vector<Field>& fields, const std::string& indent, std::ostream& to) {
  for (const Field& field : fields) {
    to << indent << field.name << "  (" << kind_name(field.kind);
    if (field.required) to << ", required";
    if (!field.fallback.empty()) to << ", default " << field.fallback;
    to << ")\n" << indent << "    " << field.doc << "\n";
    describe_fields(field.kind.fields, indent + "    ", to);
  }
}

void describe_counters(const std::vector<CounterSpec>& counters, std::ostream& to) {
  for (const CounterSpec& counter : counters)
    to << "    weir_" << counter.name << "_total\n        " << counter.doc << "\n";
}

void describe(Role role, std::string_view name, const Spec& spec, std::ostream& to) {
  to << to_string(role) << " " << name << "\n    " << spec.summary << "\n";
  if (!spec.paragraph.empty()) to << "\n" << spec.paragraph << "\n";
  if (!spec.fields.empty() || role == Role::sink || role == Role::transform) to << "\nSettings\n";
  describe_fields(spec.fields, "    ", to);
  if (role == Role::sink) describe_fields(sink_fields(), "    ", to);
  if (role == Role::transform) describe_fields(transform_fields(), "    ", to);
  if (has_columns(spec)) {
    describe_fields(completing_fields(), "    ", to);
    to << "    What an entry of \"columns\" may say: weir describe columns\n";
  }
  if (role == Role::source || spec.has_encoding)
    to << weir::format("    encoding  (name of a codec, or an object with \"codec\" and its settings, default {})\n",
                       spec.usual_encoding);
  if (!spec.ports.empty()) to << "\nPorts beside the main one\n";
  for (const PortSpec& port : spec.ports) to << "    " << port.name << "\n        " << port.doc << "\n";
  const auto common = counted::of(role);
  if (!spec.counters.empty() || !common.empty()) to << "\nCounters (in a test: <id>.<name>)\n";
  describe_counters(spec.counters, to);
  describe_counters(common, to);
  if (!spec.setups.empty()) to << "\nCommands\n";
  for (const SetupSpec& setup : spec.setups)
    to << "    weir " << name << " " << setup.name << " FILE\n        " << setup.doc << "\n";
  if (!spec.examples.empty()) to << "\nExamples\n";
  for (const std::string& example : spec.examples) to << "    " << example << "\n";
}

constexpr std::string_view units =
    "\nA duration is a number with ns, us, ms, s, m, h or d (\"250ms\", \"1m30s\"), a size one with B, kB, MB, GB, KiB, "
    "MiB\nor GiB. Any value may be a variable: \"${NAME}\", \"${NAME:default}\", \"${NAME:?message}\".\n";

void describe_columns(std::ostream& to) {
  to << "columns\n    how a sink, or fill, makes rows of window-join's brackets: \"columns\": { \"<field>\": { … }, … }\n"
        "\nA cell is, in this order: the sample exactly at the tick; interpolated between the samples before and\n"
        "after, if they are no more than max_gap apart; the one before, if it is no older than max_age; NULL.\n"
        "A point (geo) becomes <field>_lat, <field>_lon and <field>_alt.\n"
        "\nSettings of a column\n";
  describe_fields(column_fields(), "    ", to);
  to << "\nBeside \"columns\", in the node\n";
  describe_fields(completing_fields(), "    ", to);
  to << units;
}

void describe_limits(std::ostream& to) {
  const auto part = [&to](const char* title, const std::vector<Field>& fields) {
    to << title << "\n";
    describe_fields(fields, "    ", to);
  };
  part("\"limits\": what a pipeline may hold", limits_fields());
  part("\n\"commit\": when rows become durable", commit_fields());
  part("\n\"state\": { \"store\": … }: where the state of lanes is kept; without it, in memory", state_fields());
  to << "    and what the store says of itself: weir list, weir describe jetstream-kv\n" << units;
}

void describe_pipeline(std::ostream& to) {
  to << "pipeline\n    { \"name\": …, \"nodes\": [ { \"id\": …, \"source\": … }, { \"id\": …, \"transform\": …, "
        "\"from\": … }, … ] }\n"
        "\nProgress is kept by the pipeline's name and the ids of its sinks, state by the ids of the other nodes.\n"
        "A renamed node needs \"renamed_from\". \"from\" names a node, or a port of it: \"rows.late\".\n"
        "\nA change goes on at the committed position if no state depends on it: of sinks (fill, max_gap, table, …), of\n"
        "description, url and credentials of a source, of commit and limits.in_flight, of a greater limits.keys, of\n"
        "transforms behind the last one that keeps state. Any other goes on where the old file kept its state in a\n"
        "durable store and was drained (a reload drains it), else it is refused: weir explain --diff OLD NEW tells.\n"
        "\nTexts may hold variables of the environment or of -e FILE: ${NAME}, ${NAME:default}, ${NAME:?what to do}.\n"
        "Without a value the first is an error; the last one, for what only the place knows where it runs, is a\n"
        "warning of lint and explain and an error of run. $${ is a literal ${.\n"
        "\nMembers\n"
        "    name  (text, required)\n        letters, digits, - and _; progress and state are kept under it\n"
        "    nodes  (list of objects, required)\n        one source, transforms, sinks; weir list\n"
        "    description  (text)\n        for people; nodes have one too\n";
  describe_fields(root_fields(), "    ", to);
  to << "    limits, commit, state  (objects)\n        weir describe limits\n" << units;
}

void describe_test(std::ostream& to) {
  to << R"(test
    cases beside a pipeline (fleet.json: fleet.test.json), run by weir test under virtual time

    { "pipeline": "fleet.json", "set": { "rows.wait": "5s" }, "variables": { "PG_URL": "" },
      "tests": [ { "name": "what it shows", "script": [ … ], "expect": [ … ] } ] }
        "pipeline" is a file beside this one, or the pipeline itself; "set" (as -s of the commands) and "variables"
        may stand in a test too. To test a part of a pipeline, read it from the source:
        "set": { "rows.from": "signals" }

Script: what arrives, instead of the source
    { "at": "0.5s", "samples": ["key field time value", "145 speed 0.5s 0", …] }
        a table: its first line names the columns; a position is 52.5/13.4/30, a time of - is arrival
        0.5s..9.5s/1s stands for many lines; 0..90 beside it for as many values
    { "at": "0.5s", "messages": [ { "subject": "vehicle.145.speed", "payload": { "time": 500000000, "value": 0 } } ] }
        what devices send, through the source's "subject" and "encoding"; a payload that is a text stands for itself,
        other values for the JSON that is written there, "hex": "0a ff" for bytes; times in payloads count from 1970
    { "replay": "day.weir", "from": "2026-01-31T08:00:00Z", "until": "2026-01-31T08:05:00Z" }
        its messages, when they arrived; all partitions in one
    { "advance": "10s" }, { "at": "60s" }
        arrival time goes on without samples

Script: what happens
    { "commit": true }
        one try to commit. Nothing is committed but here, and at the end of the script, where all is
    { "fail": "db", "times": 3 }, { "fail": "db", "answer": "lost" }
        so many of that sink's next commits (1) are not done; or they are, and their answer is lost
    { "snapshot": true }, { "crash": true }
        the next commit names the snapshot. A crash ends the worker: what was not committed is lost with it, and the
        next one goes on as source, sink and store promise. A sink is what it claims to be, in memory
    { "expect": [ … ] }
        what must be so by now

Expectations
    { "node": "db", "rows": ["key tick speed", "145 1s..9s/1s 0.5..9.5"] }
        all rows of a sink (committed ones) or a port (rows.late), in order, in the columns that the table names; - is
        no value. "rows": "day.rows" has them in a file beside this one, which weir test --update writes
    { "node": "db", "contains": ["key tick speed", "145 3s 2.5"] }
        these are among them, in this order
    { "counter": "rows.late", "is": 0 }
        with "reason" only those of that reason
    { "state": "rows", "keys": 1 }
        how many keys a transform holds
    { "acknowledged": 12 }
        so many of the samples and messages were committed, and the source was told
    { "dead_letters": ["node reason", "signals too_many_keys"] }
        letters that are not expected fail the test

Each test runs again in batches of 1, 2 and 7, from saved state after every sample, and, if its script has no commit,
snapshot, crash or failure of its own, with a crash after every third: any difference fails it.
Numbers are compared to twelve digits, below 1 to twelve decimals.
Times are lengths from the beginning of the script.
)";
}

void describe_metrics(std::ostream& to) {
  to << "metrics\n    what /metrics of `weir run --http` says of a pipeline, in the text format of Prometheus\n"
        "\nCounters of the pipeline\n";
  describe_counters(counted::of_pipeline(), to);
  for (const Role role : {Role::source, Role::transform, Role::sink}) {
    to << "\nCounters of every " << to_string(role) << ", by node; what else one counts: weir describe <operator>\n";
    describe_counters(counted::of(role), to);
  }
  to << "\nCounters of what lanes do at each node\n";
  describe_counters(counted::work(), to);
  to << "\nHistograms of the pipeline\n";
  for (const HistogramSpec& one : counted::histograms())
    to << "    weir_" << one.name << "\n        " << one.doc << "\n";
  to << "\nGauges\n";
  for (const Gauge& gauge : gauges()) to << "    " << gauge.name << "\n        " << gauge.help << "\n";
}

void write_fields(const char* name, const std::vector<Field>& fields, JsonWriter& out) {
  out.key(name).array([&] {
    for (const Field& field : fields) {
      out.object([&] {
        out.text("name", field.name);
        out.text("kind", kind_name(field.kind));
        out.key("required").flag(field.required);
        out.text("default", field.fallback.empty() ? std::nullopt : std::optional{field.fallback});
        out.text("doc", field.doc);
        if (!field.kind.fields.empty()) write_fields("settings", field.kind.fields, out);
      });
    }
  });
}

/// Objects with these two members.
template <typename All, typename One>
void write_pairs(const char* name, const All& all, const One& one, JsonWriter& out) {
  out.key(name).array([&] {
    for (const auto& each : all) {
      out.object([&] {
        const auto& [title, doc] = one(each);
        out.text("name", title);
        out.text("doc", doc);
      });
    }
  });
}

void write_counters(const std::vector<CounterSpec>& own, const std::vector<CounterSpec>& common, JsonWriter& out) {
  std::vector<CounterSpec> all = own;
  all.append_range(common);
  write_pairs(
      "counters", all,
      [](const CounterSpec& one) { return std::pair{weir::format("weir_{}_total", one.name), one.doc}; }, out);
}

void write(Role role, std::string_view name, const Spec& spec, JsonWriter& out) {
  std::vector<Field> fields = spec.fields;
  if (role == Role::sink) fields.append_range(sink_fields());
  if (role == Role::transform) fields.append_range(transform_fields());
  if (has_columns(spec)) fields.append_range(completing_fields());
  out.object([&] {
    out.text("role", std::string{to_string(role)});
    out.text("name", std::string{name});
    out.text("summary", spec.summary);
    out.text("details", spec.paragraph);
    write_fields("settings", fields, out);
    const bool encoded = role == Role::source || spec.has_encoding;
    out.text("encoding", encoded ? std::optional{spec.usual_encoding} : std::nullopt);
    write_pairs("ports", spec.ports, [](const PortSpec& one) { return std::pair{one.name, one.doc}; }, out);
    write_counters(spec.counters, counted::of(role), out);
    write_pairs("commands", spec.setups, [](const SetupSpec& one) { return std::pair{one.name, one.doc}; }, out);
    out.key("examples").array([&] {
      for (const std::string& example : spec.examples) out.text(example);
    });
  });
}

/// What belongs to no operator, as it is told to people.
void write_topic(std::string_view name, void (*print)(std::ostream&), JsonWriter& out) {
  std::ostringstream text;
  print(text);
  out.object([&] {
    out.text("topic", std::string{name});
    out.text("text", text.str());
  });
}

/// Settings and formats that belong to no operator.
const std::vector<std::pair<std::string_view, void (*)(std::ostream&)>> topics{
    {"pipeline", describe_pipeline}, {"limits", describe_limits},   {"commit", describe_limits},
    {"state", describe_limits},      {"columns", describe_columns}, {"metrics", describe_metrics},
    {"test", describe_test}};

int describe(const std::string& name, const std::string& format, Session& session) {
  const bool json = format == "json";
  JsonWriter out;
  if (const auto topic = std::ranges::find(topics, name, [](const auto& entry) { return entry.first; });
      topic != topics.end()) {
    json ? out.array([&] { write_topic(name, topic->second, out); }) : topic->second(std::cout);
    if (json) std::cout << out.result() << '\n';
    return fine;
  }
  std::vector<std::string> known;
  for (const auto& [topic, print] : topics) known.emplace_back(topic);
  std::vector<std::pair<Role, const Operator*>> found;
  for (const Role role : {Role::source, Role::transform, Role::sink, Role::store, Role::codec}) {
    for (const auto one : session.registry.names(role)) known.emplace_back(one);
    if (const Operator* op = session.registry.find(role, name)) found.emplace_back(role, op);
  }
  if (!found.empty() && json) {
    out.array([&] {
      for (const auto& [role, op] : found) write(role, name, op->spec, out);
    });
    std::cout << out.result() << '\n';
    return fine;
  }
  for (const auto& [role, op] : found) {
    if (role != found.front().first) std::cout << "\n";
    describe(role, name, op->spec, std::cout);
  }
  if (!found.empty()) return fine;
  const std::string near = did_you_mean(name, known);
  std::cerr << "weir describe: there is no operator \"" << name << "\""
            << (near.empty() ? "; `weir list` shows them all" : "; " + near) << "\n";
  return usage;
}

}  // namespace

void add_describe(Arguments& program, Session& session) {
  auto name = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("text");
  auto command = program.command(
      "describe",
      "shows an operator's settings, ports, counters and examples; or pipeline, limits, columns, metrics, test");
  command.needs("operator", *name, "its name, e.g. window-join, or one of pipeline, limits, columns, metrics, test");
  command.choice("--format", *format, {"text", "json"}, "JSON: an array, as a name may stand for several operators");
  command.does([name, format, &session] { session.exit = describe(*name, *format, session); });
}

}  // namespace weir::cli
