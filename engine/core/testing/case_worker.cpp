#include "core/testing/case_worker.hpp"

#include <algorithm>
#include <ranges>

#include <weir/format.hpp>

#include "core/checkpoint/store_ledger.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"

namespace weir {
namespace {

/// Time in a case is what the script says; nothing there may ask for more.
class ScriptClock final : public Clock {
 public:
  Timestamp now() const override { return 0; }
  Timestamp steady() const override { return 0; }
  bool wait(Duration, std::stop_token) const override { return true; }
};

const ScriptClock& script_clock() {
  static const ScriptClock clock;
  return clock;
}

Claims promised(const Node& node, CasePromises promises) {
  Claims claims = claims_of(node);
  if (promises == CasePromises::own) return claims;
  claims.replayable = claims.ordered = claims.transactional = true;
  claims.reminds = false;
  return claims;
}

void add(std::vector<Counters::Line>& sum, const Counters::Line& line) {
  const auto same = std::ranges::find_if(sum, [&](const Counters::Line& one) { return one.same_counter(line); });
  if (same == sum.end()) {
    sum.push_back(line);
  } else {
    same->value += line.value;
  }
}

/// What tells one current value from another.
std::pair<std::string_view, std::string_view> value_name(const Arrival& arrival) {
  if (arrival.sample != nullptr) return {arrival.sample->key, arrival.sample->field};
  return {arrival.message->subject, {}};
}

}  // namespace

/// What is gone with a worker.
struct CaseWorker::Process {
  Process(CaseWorker& of, std::string worker)
      : name{std::move(worker)},
        snapshots{*of.store_, of.pipeline_.kept_name()},
        box{of.letters_},
        ledger{*of.store_, snapshots, 1, {name, "0"}, script_clock()},
        commit_sinks{sinks_of(of)},
        cycle{of.pipeline_, commit_sinks, snapshots, box, counters_of_commits, ledger} {}

  std::vector<CommitSink> sinks_of(CaseWorker& of) {
    std::vector<CommitSink> out;
    for (auto& [node, state] : of.sinks_) {
      sinks.push_back(std::make_unique<CaseSink>(state));
      out.push_back({node, sinks.back().get(), state.claims, of.pipeline_.nodes[node].id});
    }
    return out;
  }

  std::string name;
  Counters counters;
  Counters counters_of_commits;
  std::vector<std::unique_ptr<CaseSink>> sinks;
  Snapshots snapshots;
  CaseLetters box;
  StoreLedger ledger;
  std::vector<CommitSink> commit_sinks;
  CommitCycle cycle;
  LaneStart start;
  std::unique_ptr<Lane> lane;
};

CaseWorker::CaseWorker(const Pipeline& pipeline, const Registry& registry, std::vector<Arrival> arrivals,
                       CasePromises promises)
    : pipeline_{pipeline},
      registry_{registry},
      arrivals_{std::move(arrivals)},
      source_{promised(pipeline.nodes[pipeline.source()], promises)},
      store_lasts_{promises == CasePromises::best ||
                   keeps_state(pipeline, pipeline.nodes[pipeline.source()], registry)},
      store_context_{std::make_unique<NodeContext>(
          NodeContext::Shared{pipeline_, registry_, store_counters_, script_clock()}, pipeline_.nodes[0])},
      acknowledged_(arrivals_.size()),
      queue_{arrivals_},
      numbers_{std::from_range, std::views::iota(std::size_t{0}, arrivals_.size())} {
  for (std::size_t i = 0; i < pipeline_.nodes.size(); ++i) {
    const Node& node = pipeline_.nodes[i];
    if (node.role == Role::sink) {
      CaseSinkState& state = sinks_[i];
      state.claims = promised(node, promises);
      state.rows = CaseRows::of(*node.input);
    }
    for (Port port = 0; port < node.outputs.size(); ++port) ports_[{i, port}] = CaseRows::of(*node.outputs[port]);
  }
  start();
}

CaseWorker::~CaseWorker() = default;

void CaseWorker::start() {
  const std::string_view memory = "memory";
  if (store_ == nullptr || !store_lasts_) {
    const Operator* op = registry_.find(Role::store, memory);
    if (op == nullptr) return stop({Error::Kind::invalid, "no store \"memory\""});
    store_ = op->make_store(default_settings(op->spec, memory), *store_context_);
  }
  process_ = std::make_unique<Process>(*this, weir::format("worker{}", ++workers_));
  CommitCycle& cycle = process_->cycle;
  auto acquired = cycle.open().and_then([&] { return cycle.acquire(0, source_.replayable); });
  if (!acquired) return stop(acquired.error());
  if (!source_.replayable) go_on_without_replay(acquired->start, source_.reminds);
  acquired->lane.reading({.place = {.position = acquired->start.after}});
  if (auto installed = cycle.install(0, *acquired); !installed) return stop(installed.error());
  begin(std::move(acquired->start));
}

void CaseWorker::begin(LaneStart from) {
  process_->start = std::move(from);
  queue_again(process_->start);
  if (const auto made = make_lane(process_->start, process_->start.after); !made) stop(made.error());
}

/// As in a run, but that a case has all keys of all partitions in one lane, and writes nothing beside its rows.
Result<std::vector<std::string>> CaseWorker::make_lane(const LaneStart& start, Position after) {
  Lane::Surroundings around{pipeline_, registry_, process_->counters, script_clock(), source_, {}};
  around.source.partitions = 1;
  for (const CommitSink& one : process_->commit_sinks) around.sinks.emplace_back(one.node, one.sink);
  process_->lane = std::make_unique<Lane>(std::move(around), 0);
  process_->lane->watch([this](PortRef from, const BatchPtr& batch) {
    if (pipeline_.nodes[from.node].role != Role::sink) ports_[{from.node, from.port}].add(*batch);
  });
  auto empty = process_->lane->load(start);
  if (!empty) return empty;
  if (auto begun = process_->lane->begin(after, {}); !begun) return std::unexpected(begun.error());
  return empty;
}

/// What the source gives the worker that starts.
void CaseWorker::queue_again(const LaneStart& start) {
  given_.clear();
  if (source_.replayable) {
    std::fill_n(acknowledged_.begin(), std::min<std::size_t>(start.replay_until, acknowledged_.size()), true);
    next_ = last_ = start.after;
    return;
  }
  std::vector<Arrival> queue;
  std::vector<std::size_t> numbers;
  const auto put = [&](std::size_t number, Timestamp at) {
    queue.push_back(arrivals_[number]);
    queue.back().at = at;
    numbers.push_back(number);
  };
  const std::size_t gone = next_ < numbers_.size() ? numbers_[next_] : arrivals_.size();  // over a crash
  // The newest of each value; what was known then is for state alone.
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> known, newer;
  for (std::size_t i = 0; i < gone && source_.reminds; ++i) {
    if (!arrivals_[i].time_only()) (acknowledged_[i] ? known : newer)[value_name(arrivals_[i])] = i;
  }
  for (const std::size_t i : known | std::views::values) put(i, start.reminded);
  reminders_ = queue.size();
  std::vector<std::size_t> again{std::from_range, newer | std::views::values};
  std::ranges::sort(again);
  for (std::size_t i = 0; i < gone && source_.acknowledges; ++i) {
    if (!acknowledged_[i]) again.push_back(i);
  }
  const Timestamp now = gone == 0 ? no_time : arrivals_[gone - 1].at;
  for (const std::size_t i : again) put(i, now);
  for (std::size_t i = gone; i < arrivals_.size(); ++i) put(i, arrivals_[i].at);
  queue_ = std::move(queue);
  numbers_ = std::move(numbers);
  next_ = 0;
}

bool CaseWorker::feed_once(std::size_t count, std::size_t most) {
  if (stopped() || next_ == queue_.size() || numbers_[next_] >= count) return false;
  const auto wanted = std::ranges::find_if(numbers_.begin() + static_cast<std::ptrdiff_t>(next_), numbers_.end(),
                                           [&](std::size_t number) { return number >= count; });
  const auto left = static_cast<std::size_t>(wanted - numbers_.begin()) - next_;
  const auto rest = std::span{queue_}.subspan(next_, left);
  const auto feed = rest.first(length_of_feed(rest, room(most)));
  for (std::size_t i = 0; i < feed.size(); ++i) given_[last_ + 1 + i] = numbers_[next_ + i];
  if (feed.front().message != nullptr) {
    step(process_->lane->decode(messages_of(feed, last_, pipeline_.nodes[pipeline_.source()])));
  } else if (BatchPtr batch = samples_of(feed, last_, *process_->lane)) {
    step(process_->lane->pass(std::move(batch)));
  } else {
    stop({Error::Kind::exhausted, "the bound on keys (\"limits\": {\"keys\": …}) is reached"});
  }
  next_ += feed.size();
  last_ += feed.size();
  return true;
}

bool CaseWorker::replaying() const { return !stopped() && last_ < process_->start.replay_until; }

/// How many may be in the next batch: it ends where a sink's progress does.
std::size_t CaseWorker::room(std::size_t most) const {
  if (next_ < reminders_) return std::min(most, reminders_ - next_);
  return std::min<std::size_t>(most, process_->lane->border_after(last_) - last_);
}

void CaseWorker::step(const Result<Decoded>& decoded) {
  if (!decoded) return stop(decoded.error());
  Lane& lane = *process_->lane;
  auto out = lane.step(*decoded);
  while (out && out->more) {
    (void)process_->cycle.take(lane.encode(*std::move(out)));
    out = lane.go_on();
  }
  if (!out) return stop(out.error());
  const Place place = out->place;
  if (const auto due = lane.due(); due && *due <= place.arrival && next_ >= reminders_) {
    return stop({Error::Kind::internal, weir::format("something due at {} was not done at {}", format_instant(*due),
                                                     format_instant(place.arrival))});
  }
  if (!out->replaying) (void)process_->cycle.take(lane.encode(*std::move(out)));
  if (source_.replayable) counted_[place.position] = counters();
}

void CaseWorker::reload() {
  if (stopped()) return;
  Snapshot saved = process_->lane->save();
  LaneStart again = process_->start;
  again.at = saved.at;
  again.state = std::move(saved.state);
  const auto loaded = make_lane(again, last_);
  if (!loaded) return stop({Error::Kind::internal, "saved state can't be loaded: " + loaded.error().message});
  if (!loaded->empty()) stop({Error::Kind::internal, "saved state is not loaded by " + loaded->front()});
}

void CaseWorker::commit() {
  if (stopped() || !process_->cycle.pending()) return;
  const auto report = process_->cycle.commit();
  if (!report) {
    if (report.error().kind != Error::Kind::unreachable) stop(report.error());
    return;
  }
  for (const CommitReport::Lane& lane : report->committed) acknowledge(lane.position);
}

void CaseWorker::acknowledge(Position position) {
  const auto end = given_.upper_bound(position);
  for (auto it = given_.begin(); it != end; ++it) acknowledged_[it->second] = true;
  given_.erase(given_.begin(), end);
}

void CaseWorker::drain() {
  // Each try of a sink that fails takes one of its failures; after them each takes half of what there is, at least.
  for (int tries = 0; tries < 1000 && !stopped() && process_->cycle.has_steps(); ++tries) commit();
  if (!stopped() && process_->cycle.has_steps()) stop({Error::Kind::internal, "it could not be committed at the end"});
}

void CaseWorker::snapshot() {
  if (stopped()) return;
  const auto name = process_->snapshots.write(0, process_->name, process_->lane->save());
  if (!name) return stop(name.error());
  process_->cycle.name_snapshot(0, *name, process_->lane->at().place.position);
}

void CaseWorker::fail_commits(std::size_t sink, std::size_t times, bool answer_lost) {
  sinks_.at(sink).failures = times;
  sinks_.at(sink).answer_lost = answer_lost;
}

void CaseWorker::crash() {
  if (stopped()) return;
  counted_before_ = counters();
  for (const Counters::Line& line : process_->counters_of_commits.lines()) add(committed_before_, line);
  process_.reset();
  start();
  if (!stopped() && source_.replayable) forget_behind(process_->start.replay_until);
}

/// What led to rows that are not committed is done again.
void CaseWorker::forget_behind(Position replay_until) {
  for (CaseRows& rows : ports_ | std::views::values) rows.cut(replay_until);
  counted_.erase(counted_.upper_bound(replay_until), counted_.end());
  counted_before_ = counted_.empty() ? std::vector<Counters::Line>{} : counted_.rbegin()->second;
}

std::vector<Counters::Line> CaseWorker::counters() const {
  if (counted_before_.empty()) return process_->counters.lines();
  std::vector<Counters::Line> sum = counted_before_;
  for (const Counters::Line& line : process_->counters.lines()) add(sum, line);
  return sum;
}

CaseRows CaseWorker::letters() const {
  std::vector<Sink::DeadLetter> all = letters_;
  for (const CaseSinkState& sink : sinks_ | std::views::values) all.append_range(sink.dead_letters);
  std::ranges::stable_sort(all, {}, &Sink::DeadLetter::position);
  CaseRows out;
  out.columns = {"node", "reason", "subject", "payload", "arrival", "position"};
  out.types = {Type::string, Type::string, Type::string, Type::string, Type::timestamp, Type::int64};
  for (const Sink::DeadLetter& letter : all) {
    out.rows.push_back({{letter.node},
                        {letter.reason.code},
                        {letter.subject},
                        {letter.payload},
                        {format_instant(letter.arrival)},
                        {weir::format("{}", letter.position)}});
  }
  return out;
}

CaseOutcome CaseWorker::outcome() const {
  CaseOutcome out;
  out.rows = ports_;
  for (const auto& [node, sink] : sinks_) out.rows[{node, 0}] = sink.rows;
  out.dead_letters = letters();
  out.error = error_;
  for (std::size_t i = 0; i < arrivals_.size(); ++i) out.acknowledged += acknowledged_[i] && !arrivals_[i].time_only();
  if (process_ == nullptr || process_->lane == nullptr) return out;
  out.counters = counters();
  out.counters_of_commits = committed_before_;
  for (const Counters::Line& line : process_->counters_of_commits.lines()) add(out.counters_of_commits, line);
  out.sizes = process_->lane->sizes();
  out.end = process_->lane->at().place.arrival;
  out.due = process_->lane->due();
  return out;
}

}  // namespace weir
