#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>

#include "clients/nats_jetstream.hpp"
#include "clients/nats_subject.hpp"
#include "sources/nats/sources.hpp"

namespace {

using namespace weir;

enum class Mode : std::uint8_t { core, shared, partition };

Mode mode_of(const Settings& s) {
  if (!s.has("mode")) return s.has("stream") ? Mode::partition : Mode::core;
  return s.text("mode") == "core" ? Mode::core : s.text("mode") == "shared" ? Mode::shared : Mode::partition;
}

/// Chooses the kind; the registry knows one class.
class Nats final : public Source {
 public:
  Nats(const Settings& settings, Context& context) : source_{make(settings, context)} {}

  Result<void> check() override { return source_->check(); }
  Result<Position> open(Position after) override { return source_->open(after); }
  Result<std::optional<Timestamp>> arrival_at(Position position) override { return source_->arrival_at(position); }
  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override { return source_->pull(budget, stop); }
  Result<void> mark(Timestamp due) override { return source_->mark(due); }
  void committed(Position position) override { source_->committed(position); }
  StreamIdentity identity() const override { return source_->identity(); }
  std::uint64_t waiting() const override { return source_->waiting(); }
  Result<std::vector<Backlog>> backlogs(std::span<const PartitionPlace> places) override {
    return source_->backlogs(places);
  }

 private:
  static std::unique_ptr<Source> make(const Settings& settings, Context& context) {
    switch (mode_of(settings)) {
      case Mode::core:
        return nats::core_source(settings, context);
      case Mode::shared:
        return nats::shared_source(settings, context);
      case Mode::partition:
        break;
    }
    return nats::partition_source(settings, context);
  }

  std::unique_ptr<Source> source_;
};

Claims claims(const Settings& s) {
  Claims out;
  switch (mode_of(s)) {
    case Mode::core:
      out.ordered = out.partitioned = !s.has("queue");
      out.clocked = true;
      out.because = "core NATS keeps nothing: what comes while no worker listens, or is in flight in a crash, is lost";
      break;
    case Mode::shared:
      out.acknowledges = true;
      out.ordered = out.partitioned = false;
      out.because = "the durable gives out again what was not acknowledged, to any worker, in any order";
      break;
    case Mode::partition:
      out.replayable = out.ordered = true;
      out.finite = s.has("until");
      out.writable = !out.finite;
      out.partitions = static_cast<std::uint32_t>(s.integer("partitions"));
      out.stream = s.text("stream");
      if (out.partitions > 1) out.stream += weir::format("-0 to {}-{}", out.stream, out.partitions - 1);
      out.because = "the stream is read again from the committed position, each message once, in order";
      break;
  }
  return out;
}

std::vector<Error> problems(const Settings& s) {
  auto out = nats::access_problems(s);
  const auto wrong = [&](std::string message, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(message), std::move(setting)});
  };
  if (auto pattern = nats::SubjectPattern::parse(s.text("subject")); !pattern) out.push_back(pattern.error());
  const Mode mode = mode_of(s);
  if (mode != Mode::core && !s.has("stream")) wrong("this mode reads a stream: say which by \"stream\"", "mode");
  if (mode == Mode::core && s.has("stream")) wrong("mode core reads no stream", "stream");
  if (s.has("stream") &&
      (!nats::is_token(s.text("stream")) || s.text("stream").find_first_of("/\\") != std::string::npos)) {
    wrong("a stream's name has no '.', '*', '>', '/', '\\' or blank", "stream");
  }
  if (mode == Mode::shared && !s.has("durable"))
    wrong("mode shared needs \"durable\", the consumer that the workers share", "mode");
  if (mode != Mode::shared && s.has("durable")) wrong("only mode shared has a durable", "durable");
  if (mode != Mode::core && s.has("queue"))
    wrong("only mode core has a queue group; workers share a stream by mode shared", "queue");
  if (mode != Mode::partition && s.integer("partitions") > 1) wrong("only mode partition has partitions", "partitions");
  if (mode == Mode::core && s.text("start") != "first") wrong("core NATS keeps nothing to start from", "start");
  if (s.text("start") == "time" && !(s.has("since") && parse_rfc3339(s.text("since")))) {
    wrong("\"start\": \"time\" needs \"since\", an instant like 2026-01-31T00:00:00Z", "start");
  }
  if (s.has("until") && mode != Mode::partition) wrong("only mode partition ends somewhere", "until");
  if (s.has("until") && !parse_rfc3339(s.text("until")))
    wrong("not an instant; write it as \"2026-01-31T00:00:00Z\"", "until");
  return out;
}

std::string quoted(std::string_view text) {
  std::string out{'"'};
  for (const char c : text) out.append(c == '"' || c == '\\' ? "\\" : "").push_back(c);
  return out + '"';
}

/// The account mapping that feeds the partitions, as nats-server's configuration wants it.
Result<std::string> mapping(const Settings& s) {
  const auto pattern = nats::SubjectPattern::parse(s.text("subject"));
  if (!pattern) return std::unexpected(pattern.error());
  const std::string base = s.has("stream") ? s.text("stream") : "";
  const auto n = static_cast<std::uint32_t>(s.integer("partitions"));
  const nats::PartitionNames first{base, n, 0, *pattern};
  const nats::PartitionNames last{base, n, n - 1, *pattern};
  if (mode_of(s) == Mode::core)
    return weir::format("# No mapping is needed: {} receives {} as it is published.\n", s.id(), first.filter);
  if (n == 1) {
    return weir::format("# No mapping is needed: {} reads one stream, {}, which takes {} as it is published.\n", s.id(),
                        first.stream, first.filter);
  }
  return pattern->mapping(n).transform([&](const nats::Mapping& entry) {
    return weir::format(
        "# {0}: a vehicle's messages always reach the same of the {1} streams {2} to {3}.\n"
        "# {2} takes {4} and the markers {5},\n"
        "# {3} takes {6} and {7}; \"create\": true makes them.\n"
        "# For the account of the devices, or the top level if there are no accounts; one that has mappings already gets\n"
        "# the entry alone. {8} is then found under p.*.{8} by all who subscribe to it.\n"
        "mappings: {{\n  {9}: {10}\n}}\n",
        s.id(), n, first.stream, last.stream, first.filter, first.marker, last.filter, last.marker, entry.from,
        quoted(entry.from), quoted(entry.to));
  });
}

Spec spec() {
  auto out = nats::with_access(Spec::source("messages from NATS: a stream, a shared durable, or core subjects"));
  out.field("subject", kind::text(),
            "what to read; {key} and {field} are the tokens that name the vehicle and its sensor",
            "vehicle.{key}.{field}")
      .optional("stream", kind::text(), "JetStream stream to read")
      .optional("mode", kind::choice({"core", "shared", "partition"}),
                "core: no stream; shared: workers share a durable; partition: one worker reads in order. Without it: "
                "partition if there is a stream, else core")
      .field("partitions", kind::integer(),
             "how many streams there are: 1 is the stream itself, n are <stream>-0 to <stream>-(n-1)", "1")
      .between(1, 4096)
      .optional("queue", kind::text(), "queue group whose members share the messages (core)")
      .optional("durable", kind::text(), "consumer that the workers share (shared)")
      .field("ack_wait", kind::duration(),
             "after how long without a sign of life a message goes to another worker (shared)", "30s")
      .between(static_cast<double>(second), static_cast<double>(60 * minute))
      .field("max_ack_pending", kind::integer(), "messages that all workers together may have in flight (shared)",
             "20000")
      .between(1, 10'000'000)
      .field("start", kind::choice({"first", "new", "time"}), "where to start without progress", "first")
      .optional("since", kind::text(), "instant for \"start\": \"time\", like 2026-01-31T00:00:00Z")
      .optional("until", kind::text(),
                "reads only what arrived before this instant, and ends there; writes no markers then (partition)")
      .free_to_change({"ack_wait", "max_ack_pending"});
  out = nats::with_stream(std::move(out));
  out.counter("received", "messages received")
      .counter("redelivered", "messages that the server gave out before")
      .counter("dropped", "messages that the client dropped because its queue was full")
      .counter("deleted", "messages that the stream deleted before they were read")
      .counter("restarts", "times a lost consumer was made again")
      .counter("reconnects", "times a lost connection was made again")
      .claims(claims)
      .check(problems)
      .subjects([](const Settings& s, Message& message) {
        nats::take_apart(nats::SubjectPattern::parse(s.text("subject")).value_or({}), message);
      })
      .setup("mapping", "prints the account mapping for nats-server's configuration that feeds the partitions' streams",
             mapping)
      .details(
          "A partition's stream must have limits retention; it also takes the markers p.<k>.clock.<stream>, by which "
          "weir moves arrival time on an idle stream. Core NATS keeps no time: arrival is when the worker takes a message "
          "out of its queue of at most 131072 messages or 64 MiB, so it is late while the outputs stall; what does not "
          "fit is counted as dropped.")
      .example(R"({ "id": "signals", "source": "nats", "stream": "TELEMETRY", "encoding": "flatbuffers" })")
      .example(
          R"({ "id": "signals", "source": "nats", "mode": "shared", "stream": "TELEMETRY", "durable": "ingest", "encoding": "json" })")
      .example(
          R"({ "id": "signals", "source": "nats", "subject": "vehicle.{key}.{field}", "queue": "ingest", "encoding": "json" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(sources, nats, Nats, spec())
