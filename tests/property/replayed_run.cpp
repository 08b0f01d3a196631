#include "property/replayed_run.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <weir/checksum.hpp>
#include <weir/format.hpp>
#include <weir/json_rows.hpp>

#include "core/coordination/worker.hpp"
#include "core/observe/counted.hpp"
#include "fakes/registry.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir::property {
namespace {

// Operators are made by the registry and have no other way to it.
const ReplayRun* run_at_work = nullptr;
Outcome* outcome_at_work = nullptr;

/// Shows what is committed.
class Witness final : public Sink {
 public:
  Witness(const Settings&, Context& context) : node_{context.node()} {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override {
    rows_.clear();
    letters_.clear();
    return {};
  }
  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    out.bytes = lines_of(*rows);
    return out;
  }
  Result<void> write(const Encoded& rows) override {
    rows_.emplace_back(rows.partition, rows.bytes);
    return {};
  }
  bool write_dead_letter(const DeadLetter& letter) override {
    letters_.push_back(letter);
    return true;
  }
  Result<Committed> commit(std::span<const LaneCommit>) override {
    for (const auto& [partition, lines] : std::exchange(rows_, {})) outcome_at_work->add(node_, partition, lines);
    for (const DeadLetter& letter : std::exchange(letters_, {})) outcome_at_work->add(letter);
    return Committed{};
  }

 private:
  std::string node_;
  std::vector<std::pair<Partition, std::string>> rows_;
  std::vector<DeadLetter> letters_;
};

/// Another clock than the worker's, else the same.
class OwnTime final : public Context {
 public:
  explicit OwnTime(Context& around) : around_{around} {}

  std::string_view pipeline() const override { return around_.pipeline(); }
  std::string_view node() const override { return around_.node(); }
  Partition partition() const override { return around_.partition(); }
  std::uint32_t key_limit() const override { return around_.key_limit(); }
  Duration forget() const override { return around_.forget(); }
  const std::shared_ptr<Dictionary>& keys() const override { return around_.keys(); }
  const std::shared_ptr<Dictionary>& fields() const override { return around_.fields(); }
  const std::vector<ProjectedField>& projection() const override { return around_.projection(); }
  const Clock& clock() const override { return clock_; }
  const Codec* codec(std::string_view name) const override { return around_.codec(name); }
  std::size_t counter(std::string_view name) const override { return around_.counter(name); }
  void count(std::size_t counter, std::uint64_t n) override { around_.count(counter, n); }
  void warn(std::string_view message) override { around_.warn(message); }
  void tell(std::string_view message) override { around_.tell(message); }

 private:
  Context& around_;
  fakes::WaitingClock clock_;
};

class CutRecording final : public Source {
 public:
  CutRecording(const Settings& settings, Context& context)
      : context_{context},
        source_{fakes::registry().find(Role::source, "recording")->make_source(settings, context_)} {}

  Result<void> check() override { return source_->check(); }
  Result<Position> open(Position after) override { return source_->open(after); }
  Result<std::optional<Timestamp>> arrival_at(Position position) override { return source_->arrival_at(position); }
  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    Budget less = budget;
    less.messages = run_at_work->budgets[pulls_++ % run_at_work->budgets.size()];
    return source_->pull(less, std::move(stop));
  }
  StreamIdentity identity() const override { return source_->identity(); }
  std::uint64_t waiting() const override { return source_->waiting(); }

 private:
  OwnTime context_;
  std::unique_ptr<Source> source_;
  std::size_t pulls_ = 0;
};

}  // namespace

void Outcome::add(const std::string& sink, Partition partition, const std::string& lines) {
  if (!lines.empty()) rows[{sink, partition}] += lines;
}

void Outcome::add(const Sink::DeadLetter& letter) {
  letters[letter.partition] +=
      weir::format("{} {} {} {} {} {} {}\n", letter.position, letter.ordinal, letter.arrival, letter.node,
                   letter.reason.text(), letter.subject, checksum(letter.payload));
}

void Outcome::add(const Counters& counted, const Pipeline& pipeline) {
  for (const Counters::Line& line : counted.lines()) {
    const bool of_node = std::ranges::contains(pipeline.nodes, line.node, &Node::id);
    // Rows are counted where they are committed, which a lane alone is not.
    if (of_node && line.value != 0 && line.name != counted::rows.name)
      counters[weir::format("{} {} {}", line.node, line.name, line.reason)] += line.value;
  }
}

namespace {

/// What both have, or have differently, as lines to compare.
std::map<std::string, std::string> parts_of(const Outcome& outcome) {
  std::map<std::string, std::string> out;
  for (const auto& [where, lines] : outcome.rows)
    out[weir::format("rows of {} in partition {}", where.first, where.second)] = lines;
  for (const auto& [partition, lines] : outcome.letters)
    out[weir::format("dead letters of partition {}", partition)] = lines;
  for (const auto& [name, value] : outcome.counters) out["counter " + name] = weir::format("{}\n", value);
  return out;
}

}  // namespace

std::uint64_t Outcome::hash() const {
  std::string all;
  for (const auto& [name, lines] : parts_of(*this)) all += weir::format("{} {}\n", name, checksum(lines));
  return checksum(all);
}

std::string Outcome::difference(const Outcome& other) const {
  const auto ours = parts_of(*this), theirs = parts_of(other);
  auto names = ours;
  names.insert(theirs.begin(), theirs.end());
  for (const auto& [name, lines] : names) {
    const auto here = ours.find(name), there = theirs.find(name);
    const std::string a = here == ours.end() ? "" : here->second, b = there == theirs.end() ? "" : there->second;
    if (a == b) continue;
    const auto from = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
    const std::size_t line = from == 0 ? std::string::npos : a.rfind('\n', from - 1);
    const std::size_t begin = line == std::string::npos ? 0 : line + 1;
    const auto shown = [&](const std::string& text) {
      return begin < text.size() ? text.substr(begin, text.find('\n', begin) - begin) : std::string{"nothing"};
    };
    return weir::format("{}: {} against {}", name, shown(a), shown(b));
  }
  return "none";
}

std::string lines_of(const Batch& rows) {
  std::string out;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    out += weir::format("{} ", rows.arrival[row]);
    json::append_row(rows, row, out, json::Style::evidence);
    out += '\n';
  }
  return out;
}

const Registry& witnessed_registry() {
  static const Registry all = [] {
    Registry made;
    register_all(made);
    made.add("sinks", "witness",
             make_operator<Witness>(
                 Spec::sink("shows what is committed").optional("columns", kind::columns(), "of the rows")));
    made.add("sources", "cut-recording",
             make_operator<CutRecording>(fakes::registry().find(Role::source, "recording")->spec));
    return made;
  }();
  return all;
}

std::string source_node(const ReplayRun& run) {
  return weir::format(
      R"({{ "id": "signals", "source": "cut-recording", "path": "{}", "partitions": {}, "speed": "{}" }})", run.path,
      run.partitions, run.speed);
}

Outcome replay(const Pipeline& pipeline, const ReplayRun& run) {
  Outcome out;
  run_at_work = &run;
  outcome_at_work = &out;
  Counters counters;
  Worker worker{pipeline, witnessed_registry(), counters, system_clock(), "one"};
  const tbb::global_control allowed{tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(run.threads) + 1};
  const auto done = tbb::task_arena{run.threads}.execute([&] { return worker.run({}); });
  if (!done) throw std::runtime_error{"the replay ended: " + done.error().message};
  out.add(counters, pipeline);
  return out;
}

}  // namespace weir::property
