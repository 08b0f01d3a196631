#include <algorithm>
#include <map>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>

#include "core/case_feed.hpp"
#include "core/cases.hpp"
#include "core/chain.hpp"
#include "core/node_context.hpp"

namespace weir {
namespace {

using Cells = std::vector<TableCell>;

/// Time in a case is what the script says; nothing there may ask for more.
class ScriptClock final : public Clock {
 public:
  Timestamp now() const override { return 0; }
  Timestamp steady() const override { return 0; }
  bool wait(Duration, std::stop_token) const override { return true; }
};

/// What came out of one place: every column of every row, as text that tells all doubles apart.
struct Recording {
  std::vector<std::string> columns;
  std::vector<Type> types;
  std::vector<Cells> rows;
};

/// Everything that one run gave.
struct Outcome {
  std::map<std::pair<std::size_t, Port>, Recording> recordings;  ///< by node and port; a sink's port is 0
  Recording dead_letters;
  std::vector<Counters::Line> counters;
  std::string error;                  ///< what stopped the lane
  Timestamp end = no_time;            ///< of the script
  std::optional<Timestamp> due = {};  ///< what was left to do at the end
};

Recording recording_of(const Schema& schema) {
  Recording out;
  for (const ColumnType& column : schema.columns) {
    out.columns.push_back(column.name);
    out.types.push_back(column.type);
  }
  out.columns.emplace_back("arrival");
  out.types.push_back(Type::timestamp);
  if (schema.shape == Shape::samples) {
    out.columns.emplace_back("value");
    out.types.push_back(Type::float64);
  }
  return out;
}

/// A sample's value as a script would write it.
TableCell value_of(const Cells& row) {
  if (!row[samples::text].null) return row[samples::text];
  TableCell out = row[samples::x];
  for (const std::size_t more : {samples::y, samples::z}) {
    if (!row[more].null) out.text += "/" + row[more].text;
  }
  return out;
}

void record(const Batch& batch, Recording& out) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    Cells cells;
    for (const Column& column : batch.columns) cells.push_back(cell_of(column, row));
    cells.push_back({format_instant(batch.arrival[row])});
    if (batch.schema->shape == Shape::samples) cells.push_back(value_of(cells));
    out.rows.push_back(std::move(cells));
  }
}

/// How the script is fed in.
struct Variation {
  std::string name;
  std::size_t batch = SIZE_MAX;  ///< most samples in a batch
  bool restart = false;          ///< after each batch, from its saved state
};

class CaseRun {
 public:
  CaseRun(const CaseFile& file, const Registry& registry, const Variation& variation)
      : pipeline_{file.pipeline}, registry_{registry}, variation_{variation} {
    for (std::size_t i = 0; i < pipeline_.nodes.size(); ++i) {
      const Node& node = pipeline_.nodes[i];
      if (node.role == Role::sink) outcome_.recordings[{i, 0}] = recording_of(*node.input);
      for (Port port = 0; port < node.outputs.size(); ++port)
        outcome_.recordings[{i, port}] = recording_of(*node.outputs[port]);
    }
    outcome_.dead_letters.columns = {"node", "reason", "subject", "payload", "arrival", "position"};
    outcome_.dead_letters.types = {Type::string, Type::string,    Type::string,
                                   Type::string, Type::timestamp, Type::int64};
    start();
  }

  Outcome run(std::span<const Arrival> arrivals) {
    for (Position first = 0; first < arrivals.size() && outcome_.error.empty();) {
      const auto feed = arrivals.subspan(first, length_of_feed(arrivals.subspan(first), variation_.batch));
      if (feed.front().message != nullptr) {
        step(decode(feed, first));
      } else if (const BatchPtr batch = samples_of(feed, first, *chain_)) {
        step(batch);
      } else {
        outcome_.error = "the bound on keys (\"limits\": {\"keys\": …}) is reached";
      }
      first += feed.size();
      reached_ = feed.back().at;
      if (variation_.restart) restart();
    }
    outcome_.counters = counters_.lines();
    outcome_.end = reached_;
    outcome_.due = chain_->due();
    return std::move(outcome_);
  }

 private:
  void start() {
    chain_ = std::make_unique<Chain>(pipeline_, registry_, counters_, clock_, 0);
    chain_->watch(
        [this](PortRef from, const BatchPtr& batch) { record(*batch, outcome_.recordings[{from.node, from.port}]); });
  }

  void restart() {
    const std::string state = chain_->save();
    start();
    const auto loaded = chain_->load(state);
    if (!loaded) outcome_.error = "saved state can't be loaded: " + loaded.error().message;
    if (loaded && !loaded->empty()) outcome_.error = "saved state is not loaded by " + loaded->front();
  }

  /// As in a run, but that a case has all keys of all partitions in one lane.
  Decoded decode(std::span<const Arrival> feed, Position first) {
    const Node& source = pipeline_.nodes[pipeline_.source()];
    const NodeContext context{{pipeline_, registry_, counters_, clock_}, source, 0, chain_->keys(), chain_->fields()};
    Decoder decoder{*context.codec(""), source.id, 0, 1, chain_->keys(), chain_->fields()};
    decoder.start(first, reached_);
    return decoder.decode(messages_of(feed, first, source));
  }

  void step(const auto& input) {
    ChainOutput out;
    if (const auto done = chain_->step(input, false, out); !done) outcome_.error = done.error().message;
    for (const SinkBatch& rows : out.batches) record(*rows.batch, outcome_.recordings[{rows.node, 0}]);
    for (const Sink::DeadLetter& letter : out.dead_letters) {
      outcome_.dead_letters.rows.push_back({{letter.node},
                                            {letter.reason},
                                            {letter.subject},
                                            {letter.payload},
                                            {format_instant(letter.arrival)},
                                            {weir::format("{}", letter.position)}});
    }
    if (const auto due = chain_->due(); due && *due <= out.reached && outcome_.error.empty()) {
      outcome_.error =
          weir::format("something due at {} was not done at {}", format_instant(*due), format_instant(out.reached));
    }
  }

  const Pipeline& pipeline_;
  const Registry& registry_;
  const Variation& variation_;
  ScriptClock clock_;
  Counters counters_;
  Outcome outcome_;
  std::unique_ptr<Chain> chain_;
  Timestamp reached_ = no_time;
};

// --- Comparing
// -----------------------------------------------------------------------------------------------------------

/// Some columns of a recording, in the order that a table names them.
std::pair<Table, std::vector<Type>> select(const Recording& from, const std::vector<std::string>& columns) {
  Table out{columns, std::vector<TableRow>(from.rows.size())};
  std::vector<Type> types;
  for (const std::string& name : columns) {
    const auto at = static_cast<std::size_t>(std::ranges::find(from.columns, name) - from.columns.begin());
    types.push_back(from.types[at]);
    for (std::size_t row = 0; row < from.rows.size(); ++row) out.rows[row].cells.push_back(from.rows[row][at]);
  }
  return {std::move(out), std::move(types)};
}

/// What to do if the script ends before a timer that a minute more would reach; later ones only forget what is old.
std::string cut_off(const Outcome& outcome) {
  if (!outcome.due || *outcome.due > outcome.end + minute) return {};
  return weir::format(
      "the script ends at {}, and what is due at {} is not done: nothing closes a tick after the end; add "
      "{{ \"advance\": \"60s\" }}\n",
      format_instant(outcome.end), format_instant(*outcome.due));
}

std::string check_rows(const CaseExpectation& expectation, const Outcome& outcome) {
  const bool letters = expectation.what == CaseExpectation::What::dead_letters;
  const Recording& recording =
      letters ? outcome.dead_letters : outcome.recordings.at({expectation.node, expectation.port});
  const std::string name = letters ? "dead letters" : expectation.name;
  Table want = expectation.rows.table;
  if (want.columns.empty()) want.columns = letters ? std::vector<std::string>{"node", "reason"} : recording.columns;
  auto [got, types] = select(recording, want.columns);
  for (std::size_t c = 0; letters && c < want.columns.size(); ++c) {
    if (want.columns[c] != "reason") continue;
    for (Table* table : {&want, &got}) {
      for (TableRow& row : table->rows) row.cells[c].text = std::string{counted_by(row.cells[c].text)};
    }
  }
  const std::string diff = diff_tables(want, got, types);
  if (diff.empty()) return {};
  const bool short_of = !letters && got.rows.size() < want.rows.size();
  return weir::format("{} differ (- expected, + got)\n{}{}", letters ? name : "rows of " + name, diff,
                      short_of ? cut_off(outcome) : "");
}

std::string check_counter(const CaseExpectation& expectation, const Pipeline& pipeline, const Outcome& outcome) {
  std::uint64_t sum = 0;
  for (const Counters::Line& line : outcome.counters) {
    if (line.node != pipeline.nodes[expectation.node].id || line.name != expectation.counter) continue;
    if (expectation.reason.empty() || counted_by(expectation.reason) == line.reason) sum += line.value;
  }
  if (sum == expectation.count) return {};
  const std::string of_reason = expectation.reason.empty() ? "" : " (" + expectation.reason + ")";
  return weir::format("{}{} is {}, expected {}\n", expectation.name, of_reason, sum, expectation.count);
}

/// Where two runs of the same script differ; they may not at all.
std::string compare(const Outcome& one, const Outcome& other, const Pipeline& pipeline) {
  if (one.error != other.error) return other.error.empty() ? "no error\n" : other.error + "\n";
  const auto differ = [](const Recording& a, const Recording& b, const std::string& name) {
    const auto same = [](const TableCell& x, const TableCell& y) { return x.null == y.null && x.text == y.text; };
    const auto same_rows = [&](const Cells& x, const Cells& y) { return std::ranges::equal(x, y, same); };
    if (std::ranges::equal(a.rows, b.rows, same_rows)) return std::string{};
    const auto [left, types] = select(a, a.columns);
    const auto [right, types_too] = select(b, a.columns);
    const std::string diff = diff_tables(left, right, types);
    return weir::format("{}\n{}", name, diff.empty() ? "the last digits of numbers differ\n" : diff);
  };
  for (const auto& [port, recording] : one.recordings) {
    const Node& node = pipeline.nodes[port.first];
    const std::string name = port.second == 0 ? node.id : node.id + "." + node.op->spec.ports[port.second - 1].name;
    if (auto diff = differ(recording, other.recordings.at(port), name); !diff.empty()) return diff;
  }
  if (auto diff = differ(one.dead_letters, other.dead_letters, "dead letters"); !diff.empty()) return diff;
  for (const Counters::Line& line : one.counters) {
    const auto same = std::ranges::find_if(other.counters, [&](const auto& l) {
      return l.node == line.node && l.name == line.name && l.reason == line.reason;
    });
    const std::uint64_t value = same == other.counters.end() ? 0 : same->value;
    if (value != line.value) return weir::format("{}.{} is {}, not {}\n", line.node, line.name, value, line.value);
  }
  return {};
}

}  // namespace

CaseResult run_case(const CaseFile& file, const Case& one, const Registry& registry, const CaseOptions& options) {
  CaseResult result{one.name, one.place, {}};
  const std::vector<Arrival> arrivals = arrivals_of(one);
  const Outcome outcome = CaseRun{file, registry, {}}.run(arrivals);
  if (!outcome.error.empty()) result.failures.push_back({one.place, outcome.error + "\n"});

  bool letters_expected = false;
  for (const CaseExpectation& expectation : one.expect) {
    letters_expected |= expectation.what == CaseExpectation::What::dead_letters;
    const std::string wrong = expectation.what == CaseExpectation::What::counter
                                  ? check_counter(expectation, file.pipeline, outcome)
                                  : check_rows(expectation, outcome);
    if (!wrong.empty()) result.failures.push_back({expectation.place, wrong});
  }
  if (!letters_expected) {
    CaseExpectation none;
    none.what = CaseExpectation::What::dead_letters;
    if (auto wrong = check_rows(none, outcome); !wrong.empty()) result.failures.push_back({one.place, wrong});
  }

  static const std::vector<Variation> variations{{"in batches of 1", 1, false},
                                                 {"in batches of 2", 2, false},
                                                 {"in batches of 7", 7, false},
                                                 {"from saved state after each sample", 1, true},
                                                 {"from saved state after every 3 samples", 3, true}};
  for (const Variation& variation : variations) {
    if (!options.vary || !result.failures.empty()) break;
    const Outcome other = CaseRun{file, registry, variation}.run(arrivals);
    if (const auto diff = compare(outcome, other, file.pipeline); !diff.empty()) {
      result.failures.push_back(
          {one.place, weir::format("the same script {} gives something else (- in one batch, + {}): {}", variation.name,
                                   variation.name, diff)});
    }
  }
  return result;
}

std::string render(const CaseResult& result, std::string_view file) {
  if (result.failures.empty()) return {};
  const auto place = [&](const Span& span) {
    return weir::format("{}:{}:{}", file, span.begin.line, span.begin.column);
  };
  std::string out = weir::format("{}: failed: {}\n", place(result.place), result.name);
  for (const CaseResult::Failure& failure : result.failures) {
    out += weir::format("  {}: ", place(failure.place));
    for (const char c : failure.message) {
      out += c;
      if (c == '\n') out += "    ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
  }
  return out;
}

}  // namespace weir
