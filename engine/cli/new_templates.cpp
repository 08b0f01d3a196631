#include "cli/commands/new.hpp"

namespace weir::cli {
namespace {

constexpr std::string_view transform_file = R"(#include <weir/operator.hpp>

namespace {
using namespace weir;

/// The contract is on one page: weir/transform.hpp. What must survive a crash goes through save() and load(), which
/// this one needs not: it decides on each row alone.
class MyOpOperator final : public Transform {
 public:
  MyOpOperator(const Settings& settings, Context& context)
      : least_{settings.number("least")}, dropped_{context.counter("dropped")} {}

  /// The schemas that leave, of those that come in. Here rows leave as they came.
  Result<Schemas> bind_schema(const Schemas& inputs) override { return inputs; }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    const Column& x = in->columns[samples::x];
    std::vector<std::uint8_t> keep(in->rows, 1);
    std::uint64_t dropped = 0;
    for (std::size_t row = 0; row < in->rows; ++row) {
      if (!x.valid(row) || x.float64s()[row] >= least_) continue;
      keep[row] = 0;
      ++dropped;
    }
    out.count(dropped_, dropped);
    out.emit(select(in, keep));
    return {};
  }

 private:
  double least_;
  std::size_t dropped_;
};

Spec spec() {
  return Spec::transform("drops numbers below a bound")
      .field("least", kind::number(), "samples with a number below it are dropped; texts pass")
      .accepts({Shape::samples})
      .counter("dropped", "samples with a number below `least`")
      .example(R"json({ "id": "kept", "transform": "my-op", "from": "signals", "least": 10 })json");
}

}  // namespace

WEIR_OPERATOR(transforms, my_op, MyOpOperator, spec())
)";

constexpr std::string_view transform_cases = R"({
  "pipeline": { "nodes": [
      { "id": "signals", "source": "nats", "stream": "TELEMETRY", "subject": "vehicle.{key}.{field}" },
      { "id": "kept", "transform": "my-op", "from": "signals", "least": 10 },
      { "id": "out", "sink": "drop", "from": "kept" }
    ] },
  "tests": [
    { "name": "what is below the bound is dropped and counted",
      "script": [
        { "at": "1s", "samples": ["key field time value",
                                  "145 speed 0.1s 9.5",
                                  "145 speed 0.2s 10",
                                  "145 state 0.3s open"] }
      ],
      "expect": [
        { "node": "out", "rows": ["key field time value",
                                  "145 speed 0.2s 10",
                                  "145 state 0.3s open"] },
        { "counter": "kept.dropped", "is": 1 }
      ] }
  ]
}
)";

constexpr std::string_view source_file = R"(#include <deque>
#include <string>

#include <weir/operator.hpp>

namespace {
using namespace weir;

constexpr Timestamp begin = 1'767'225'600 * second;  // 2026-01-01T00:00:00Z

/// The contract is on one page: weir/source.hpp. Messages go out as they came: the node's `encoding` makes samples of
/// their payloads.
class MyOpOperator final : public Source {
 public:
  explicit MyOpOperator(const Settings& settings) : count_{static_cast<Position>(settings.integer("count"))} {}

  Result<Position> open(Position after) override {
    last_ = after;
    return after;
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token) override {
    if (last_ >= count_) return Pulled{Pulled::State::end, nullptr};
    auto block = std::make_shared<Block>();
    while (last_ < count_ && block->messages.items.size() < budget.messages) {
      ++last_;
      Message message;
      message.subject = "my-op.one.count";
      message.payload = block->payloads.emplace_back(std::to_string(last_));
      message.sequence = last_;
      message.arrival = begin + static_cast<Timestamp>(last_) * second;
      message.key = "one";
      message.field = "count";
      block->messages.items.push_back(message);
    }
    return Pulled{Pulled::State::messages, std::shared_ptr<const Messages>{block, &block->messages}};
  }

  StreamIdentity identity() const override { return {"my-op", begin}; }

 private:
  /// Messages only look at texts, so these must live as long and stay where they are.
  struct Block {
    Messages messages;
    std::deque<std::string> payloads;
  };

  Position count_;
  Position last_ = 0;
};

Spec spec() {
  return Spec::source("counts, a message a second")
      .field("count", kind::integer(), "how many messages there are", "10")
      .between(1, 1e9)
      .claims([](const Settings&) {
        return Claims{
            .replayable = true, .ordered = true, .finite = true, .because = "the same numbers are made again"};
      })
      .example(R"json({ "id": "numbers", "source": "my-op", "count": 60, "encoding": "text" })json");
}

}  // namespace

WEIR_OPERATOR(sources, my_op, MyOpOperator, spec())
)";

constexpr std::string_view source_cases = R"({
  "pipeline": { "nodes": [
      { "id": "numbers", "source": "my-op", "count": 60, "encoding": "text" },
      { "id": "out", "sink": "drop", "from": "numbers" }
    ] },
  "tests": [
    { "name": "its settings are read; in a case, the script stands for what it would give out",
      "script": [ { "at": "1s", "samples": ["key field time value", "one count 1s 1"] } ],
      "expect": [ { "node": "out", "rows": ["key field time value", "one count 1s 1"] } ] }
  ]
}
)";

constexpr std::string_view sink_file = R"(#include <cerrno>
#include <cstring>
#include <fstream>

#include <weir/json_rows.hpp>
#include <weir/operator.hpp>

namespace {
using namespace weir;

/// The contract is on one page: weir/sink.hpp. This one keeps no progress of its own, so after a crash rows are written
/// again.
class MyOpOperator final : public Sink {
 public:
  explicit MyOpOperator(const Settings& settings) : path_{settings.text("path")} {}

  /// Pure: lint asks it too.
  Result<void> bind_schema(const SchemaPtr& input) override { return json::distinct_names(*input); }

  /// Called again after an error, so it forgets what was before.
  Result<void> open() override {
    file_ = std::ofstream{path_, std::ios::app};
    return written();
  }

  /// In the lane, several at once: what is costly belongs here.
  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    for (std::size_t row = 0; row < rows->rows; ++row) {
      json::append_row(*rows, row, out.bytes);
      out.bytes += '\n';
    }
    return out;
  }

  Result<void> write(const Encoded& rows) override {
    file_ << rows.bytes;
    return written();
  }

  Result<Committed> commit(std::span<const LaneCommit>) override {
    file_.flush();
    return written().transform([] { return Committed{}; });
  }

 private:
  Result<void> written() const {
    if (file_) return {};
    return fail(Error::Kind::unreachable, "can't write " + path_ + ": " + std::strerror(errno), "path");
  }

  std::string path_;
  std::ofstream file_;
};

Spec spec() {
  return Spec::sink("appends rows to a file, as JSON lines")
      .field("path", kind::text(), "the file; it is made where there is none")
      .optional("columns", kind::columns(), "columns of the rows, and how each is completed; without, the input's")
      .claims([](const Settings& settings) {
        return Claims{.target = settings.text("path"), .because = "rows are appended again after a crash"};
      })
      .example(R"json({ "id": "out", "sink": "my-op", "from": "signals", "path": "rows.jsonl" })json");
}

}  // namespace

WEIR_OPERATOR(sinks, my_op, MyOpOperator, spec())
)";

constexpr std::string_view sink_cases = R"({
  "pipeline": { "nodes": [
      { "id": "signals", "source": "nats", "stream": "TELEMETRY", "subject": "vehicle.{key}.{field}" },
      { "id": "out", "sink": "my-op", "from": "signals", "path": "rows.jsonl" }
    ] },
  "tests": [
    { "name": "its settings are read; a case shows the rows that it would be given, and writes none",
      "script": [ { "at": "1s", "samples": ["key field time value", "145 speed 0.5s 50"] } ],
      "expect": [ { "node": "out", "rows": ["key field time value", "145 speed 0.5s 50"] } ] }
  ]
}
)";

constexpr std::string_view codec_file = R"(#include <charconv>
#include <cmath>

#include <weir/format.hpp>
#include <weir/operator.hpp>

namespace {
using namespace weir;

/// The contract is on one page: weir/codec.hpp. Called from several threads at once, so there is no state.
class MyOpOperator final : public Codec {
 public:
  explicit MyOpOperator(const Settings& settings) : separator_{settings.text("separator")} {}

  /// A reason is counted by its code, and the message is kept with it.
  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    std::string_view rest = message.payload;
    if (rest.empty()) return std::unexpected(Reason{"empty_payload"});
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      const auto between = line.find(separator_);
      if (between == 0 || between == std::string_view::npos) return std::unexpected(Reason{"no_value", std::string{line}});
      Sample sample{.key = message.key, .field = line.substr(0, between)};
      const char* const first = line.data() + between + separator_.size();
      const char* const last = line.data() + line.size();
      const auto [end, error] = std::from_chars(first, last, sample.x);
      if (error != std::errc{} || end != last || !std::isfinite(sample.x))
        return std::unexpected(Reason{"not_a_number", std::string{line}});
      out.add(sample);
    }
    return {};
  }

  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool) const override {
    std::string out;
    for (const Sample& sample : samples) {
      if (!key_outside || sample.kind != Sample::Kind::number)
        return std::unexpected("lines hold numbers, of the vehicle in the subject");
      out += weir::format("{}{}{}\n", sample.field, separator_, sample.x);
    }
    return out;
  }

 private:
  std::string separator_;
};

Spec spec() {
  return Spec::codec("a line of text for each sample: its field and a number")
      .field("separator", kind::text(), "what stands between the field and the number", "=")
      .check([](const Settings& settings) {
        std::vector<Error> problems;
        if (settings.text("separator").empty())
          problems.push_back({Error::Kind::invalid, "\"separator\" is empty", "separator"});
        return problems;
      })
      .example(R"json({ "codec": "my-op", "separator": ":" })json");
}

}  // namespace

WEIR_OPERATOR(codecs, my_op, MyOpOperator, spec())
)";

constexpr std::string_view codec_cases = R"({
  "pipeline": { "limits": { "keys": 100 }, "nodes": [
      { "id": "signals", "source": "nats", "stream": "TELEMETRY", "subject": "vehicle.{key}", "encoding": "my-op" },
      { "id": "out", "sink": "drop", "from": "signals" }
    ] },
  "tests": [
    { "name": "a line is a sample at its arrival; a message with a line that is none goes whole to the dead letters",
      "script": [
        { "at": "1s", "messages": [
            { "subject": "vehicle.145", "payload": "speed=50.25\ncharge=80\n" },
            { "subject": "vehicle.145", "payload": "speed=51\ncharge=full\n" } ] }
      ],
      "expect": [
        { "node": "out", "rows": ["key field  time value", "145 speed 1s 50.25", "145 charge 1s 80"] },
        { "dead_letters": ["node reason", "signals not_a_number"] }
      ] }
  ]
}
)";

}  // namespace

Templates templates_of(Role role) {
  switch (role) {
    case Role::source:
      return {source_file, source_cases};
    case Role::transform:
      return {transform_file, transform_cases};
    case Role::sink:
      return {sink_file, sink_cases};
    case Role::codec:
      return {codec_file, codec_cases};
    case Role::store:
      break;
  }
  return {};
}

}  // namespace weir::cli
