#include "core/coordination/worker.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <weir/units.hpp>

#include "core/checkpoint/renamed_pipeline.hpp"
#include "core/checkpoint/store_ledger.hpp"
#include "core/coordination/inbox.hpp"
#include "core/coordination/lanes.hpp"
#include "core/coordination/worker_loop.hpp"
#include "core/observe/attempt.hpp"
#include "core/observe/condition.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"

namespace weir {
namespace {

constexpr Duration long_commit = 5 * second;  // a server that is well takes less
constexpr Duration heartbeat_every = second;
constexpr Duration heartbeat_soon = 50 * millisecond;  // while others are to let partitions go

std::string random_text() {
  std::random_device random;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", random(), random());
  return text;
}

}  // namespace

std::string new_worker_name() {
  char host[65] = "weir";
  (void)gethostname(host, sizeof host - 1);
  return std::string{host} + "-" + random_text().substr(0, 8);
}

struct Worker::Impl {
  Impl(const Pipeline& p, const Registry& r, Counters& c, const Clock& k, std::string n, Inspection* i)
      : pipeline{p}, registry{r}, counters{c}, clock{k}, name{std::move(n)}, inspection{i}, credits{p.in_flight} {
    for (const HistogramSpec& one : counted::histograms()) counters.histogram(one);  // told from the first page on
  }

  // Making.

  void make_sinks() {
    const NodeContext::Shared shared{pipeline, registry, counters, clock, name};
    for (std::size_t i = 0; i < pipeline.nodes.size(); ++i) {
      const Node& node = pipeline.nodes[i];
      if (node.role != Role::sink) continue;
      contexts.push_back(std::make_unique<NodeContext>(shared, node));
      sinks.emplace_back(i, node.op->make_sink(node.settings, *contexts.back()));
    }
  }

  Result<void> make_cycle() {
    make_sinks();
    const std::string store_name = pipeline.store.empty() ? "memory" : pipeline.store;
    const Operator* op = registry.find(Role::store, store_name);
    if (op == nullptr) return fail(Error::Kind::invalid, "no store \"" + store_name + "\"");
    contexts.push_back(std::make_unique<NodeContext>(NodeContext::Shared{pipeline, registry, counters, clock},
                                                     pipeline.nodes[pipeline.source()]));
    store = op->make_store(pipeline.store_settings, *contexts.back());
    const bool by_store = shared_by_store(pipeline) && store->lease() != 0;
    snapshots = std::make_unique<Snapshots>(*store, pipeline.kept_name(), by_store);
    box = dead_letter_file(pipeline.dead_letters, pipeline.kept_name(), pipeline.letter_bounds, clock);
    std::vector<CommitSink> commit_sinks;
    for (const auto& [number, sink] : sinks) {
      const Node& node = pipeline.nodes[number];
      if (node.input) {
        if (auto bound = sink->bind_schema(node.input); !bound) return bound;
      }
      commit_sinks.push_back({number, sink.get(), claims_of(node), node.id});
    }
    ledger = std::make_unique<StoreLedger>(*store, *snapshots, claims_of(pipeline.nodes[pipeline.source()]).partitions,
                                           StoreLedger::Instance{name, fence}, clock);
    cycle = std::make_unique<CommitCycle>(pipeline, std::move(commit_sinks), *snapshots, *box, counters, *ledger);
    return {};
  }

  Result<void> open(const std::stop_token& drain) {
    // One that does not answer is waited for when partitions are acquired.
    if (auto fits = check_source(); !fits && fits.error().kind != Error::Kind::unreachable) return fits;
    const auto open_store = [&] { return store->open().and_then([this] { return check_name(); }); };
    if (auto opened = patiently(drain, open_store); !opened) return opened;
    if (auto opened = patiently(drain, [&] { return cycle->open(); }); !opened) return opened;
    const auto tell = [this](event::Any event) { inbox.put(std::move(event)); };
    auto made = std::make_unique<Lanes>(surroundings(), *cycle, *snapshots, fence, tell);
    auto turning = std::make_unique<WorkerLoop>(pipeline, *cycle, *made, credits, clock, whole);
    turning->on_commit = [this](const WorkerLoop::Committed& done) { note_commit(done); };
    const std::scoped_lock lock{mutex};
    lanes = std::move(made);
    loop = std::move(turning);
    return {};
  }

  /// What is to be done at the start, again and again until its service answers.
  Result<void> patiently(const std::stop_token& drain, const std::function<Result<void>()>& what) {
    for (Duration pause = WorkerLoop::first_backoff;; pause = std::min(2 * pause, WorkerLoop::last_backoff)) {
      auto done = what();
      const bool again = !done && done.error().kind == Error::Kind::unreachable && !whole && !fails_fast;
      if (done || again) start_condition.is(again ? done.error().message : "");
      if (!again || !clock.wait(pause, drain)) return done;
    }
  }

  /// Before this worker has a share, and the others less.
  Result<void> check_source() {
    const Node& node = pipeline.nodes[pipeline.source()];
    NodeContext context{{pipeline, registry, counters, clock}, node};
    return attempt(node.id, [&] { return node.op->make_source(node.settings, context)->check(); });
  }

  /// Sinks that keep progress see by themselves whose it is.
  Result<void> check_name() {
    const bool by_sink = std::ranges::any_of(
        pipeline.nodes, [](const Node& node) { return node.role == Role::sink && claims_of(node).transactional; });
    if (by_sink || !store->durable() || !claims_of(pipeline.nodes[pipeline.source()]).replayable) return {};
    return check_renamed(pipeline, *store);
  }

  LaneRun::Surroundings surroundings() {
    LaneRun::Surroundings around{pipeline, registry, counters, clock, credits, {}, {}, inspection};
    for (const auto& [number, sink] : sinks) around.sinks.emplace_back(number, sink.get());
    return around;
  }

  void note_commit(const WorkerLoop::Committed& done) {
    const Timestamp now = clock.now();
    counters.histogram(counted::commit_seconds).observe(seconds(done.duration));
    counters.histogram(counted::commit_rows).observe(static_cast<double>(done.report.rows));
    for (const auto& lane : done.report.committed) {
      if (lane.earliest != no_time)
        counters.histogram(counted::commit_latency_seconds).observe(seconds(now - lane.earliest));
      if (lane.event != no_time) counters.histogram(counted::event_latency_seconds).observe(seconds(now - lane.event));
    }
    const std::scoped_lock lock{mutex};
    for (const auto& lane : done.report.committed) {
      auto& known = committed[lane.partition];
      known = {lane.partition, lane.position, lane.reached != no_time ? lane.reached : known.reached};
    }
    totals.rows += done.report.rows;
    totals.commits += 1;
    totals.commit_time = done.duration;
    totals.commit_time_total += totals.commit_time;
  }

  // Threads beside the loop.

  void renew_leases(std::size_t index, std::stop_token stop) {
    CommitSinks& commit_sinks = cycle->sinks();
    Condition& condition = lease_conditions.at(index);
    while (clock.wait(commit_sinks.lease(index) / 3, stop)) {
      const auto held = loop->held();  // a lane that comes after the answer has an acquisition of its own
      auto lost = attempt("renew", [&] { return commit_sinks.renew(index); });
      condition.is(lost ? "" : lost.error().message);
      if (!lost) continue;
      for (const LaneId lane : held) {
        if (std::ranges::contains(*lost, lane.partition)) inbox.put(event::Lost{lane});
      }
    }
  }

  /// Without an answer everything stays as it is; renewing says why. One that another instance has displaced ends.
  void send_heartbeats(std::stop_token stop) {
    while (clock.wait(hurry ? heartbeat_soon : heartbeat_every, stop)) {
      auto members = attempt("heartbeat", [&] { return cycle->sinks().heartbeat(); });
      if (members) {
        inbox.put(event::Heartbeat{*std::move(members)});
      } else if (members.error().kind == Error::Kind::changed) {
        const std::scoped_lock lock{mutex};
        displaced = members.error();
      }
    }
  }

  // Life.

  void note_share() {
    const PartitionManager& partitions = loop->partitions();
    hurry = partitions.expects_more(clock.steady());
    const std::scoped_lock lock{mutex};
    totals.workers = partitions.workers();
    share = partitions.share();
    failures = partitions.failures();
  }

  /// Until it is to drain, or nothing is left to do.
  Result<void> turn_until(const std::stop_token& drain) {
    while (!drain.stop_requested()) {
      for (event::Any& told : inbox.take(loop->patience(), drain)) loop->handle(std::move(told));
      if (auto turned = loop->turn(); !turned) return turned;
      note_share();
      if (auto ended = note_start(); !ended) return ended;
      if (const std::scoped_lock lock{mutex}; displaced) return std::unexpected(*displaced);
      if (loop->is_finished()) break;
    }
    return {};
  }

  /// What ends the start, if anything does.
  Result<void> note_start() {
    if (started) return {};
    const auto outcome = loop->start_outcome();
    if (!outcome) return {};
    const bool unanswered = !*outcome && outcome->error().kind == Error::Kind::unreachable;
    start_error = unanswered ? std::optional{outcome->error()} : std::nullopt;
    if (unanswered && !whole && !fails_fast) return {};  // it is tried again
    const std::scoped_lock lock{mutex};
    started = outcome->has_value();
    return *outcome;
  }

  Result<void> drain_all() {
    {
      const std::scoped_lock lock{mutex};
      draining = true;
    }
    return loop->drain([this] {
      for (event::Any& told : inbox.take(0, {})) loop->handle(std::move(told));
    });
  }

  Result<void> work(std::stop_token drain) {
    if (auto made = attempt("start", [&] { return make_cycle(); }); !made) return made;
    if (auto opened = attempt("start", [&] { return open(drain); }); !opened) return opened;
    // Restoring many lanes takes longer than a lease.
    std::vector<std::jthread> renewing;
    {
      const std::scoped_lock lock{mutex};
      for (const std::size_t index : cycle->sinks().leased()) lease_conditions.try_emplace(index, "leases not renewed");
    }
    for (const std::size_t index : cycle->sinks().leased()) {
      renewing.emplace_back([this, index](std::stop_token stop) { renew_leases(index, stop); });
    }
    const auto find_members = [&] {
      return cycle->sinks().heartbeat().transform(
          [this](Members members) { loop->handle(event::Heartbeat{std::move(members)}); });
    };
    if (auto found = attempt("acquire", [&] { return patiently(drain, find_members); }); !found) return found;
    note_share();  // whether others are about to release some: then it asks again soon
    std::jthread meeting{[this](std::stop_token stop) { send_heartbeats(stop); }};
    if (auto looped = attempt("work", [&] { return turn_until(drain); }); !looped) return looped;
    if (auto drained = attempt("drain", [&] { return drain_all(); }); !drained) return drained;
    if (start_error) return std::unexpected(*start_error);
    if (const auto failed = loop->partitions().failures(); !failed.empty())
      return std::unexpected(failed.front().second);
    return {};
  }

  /// Gives the partitions back and closes everything, so that whoever comes next finds files and tables free.
  Result<void> close() {
    if (lanes) {
      lanes->close();
      cycle->release_all();
      if (!followed) cycle->sinks().leave();
    }
    std::unique_ptr<Lanes> ending;  // outside of the lock: it and the sinks may take seconds, in which status() answers
    {
      const std::scoped_lock lock{mutex};
      started = false;
      failures.clear();
      loop.reset();
      ending = std::move(lanes);
    }
    ending.reset();
    cycle.reset();
    ledger.reset();
    sinks.clear();
    store.reset();
    return {};
  }

  Result<void> run(std::stop_token drain) {
    auto worked = attempt("worker", [&] { return work(std::move(drain)); });
    auto closed = attempt("close", [&] { return close(); });
    return worked ? closed : worked;
  }

  const Pipeline& pipeline;
  const Registry& registry;
  Counters& counters;
  const Clock& clock;
  const std::string name;
  Inspection* const inspection;
  const std::string fence = random_text();
  Credits credits;
  std::vector<std::unique_ptr<NodeContext>> contexts;
  std::vector<std::pair<std::size_t, std::unique_ptr<Sink>>> sinks;
  std::unique_ptr<Store> store;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<DeadLetterBox> box;
  std::unique_ptr<StoreLedger> ledger;
  std::unique_ptr<CommitCycle> cycle;
  Inbox<event::Any> inbox;
  Condition start_condition{"start"};
  std::optional<Error> displaced;                     // by another instance of its name
  std::optional<Error> start_error;                   // no service has answered yet
  std::map<std::size_t, Condition> lease_conditions;  // by ledger; each its renewing thread's

  std::atomic<bool> hurry{false}, followed{false};
  bool whole = false, fails_fast = false;

  mutable std::mutex mutex;  // what status() reads
  std::map<Partition, Status::Committed> committed;
  bool started = false, draining = false;
  std::size_t share = 0;  // partitions
  std::vector<std::pair<Partition, Error>> failures;
  Status totals;

  std::unique_ptr<WorkerLoop> loop;
  std::unique_ptr<Lanes> lanes;  // last: they end before anything they tell is gone
};

Worker::Worker(const Pipeline& pipeline, const Registry& registry, Counters& counters, const Clock& clock,
               std::string name, Inspection* inspection)
    : impl_{std::make_unique<Impl>(pipeline, registry, counters, clock, std::move(name), inspection)} {}

Worker::~Worker() = default;

Result<void> Worker::run(std::stop_token drain) { return impl_->run(std::move(drain)); }

void Worker::will_be_followed(bool followed) { impl_->followed = followed; }

void Worker::must_start_whole() { impl_->whole = true; }

void Worker::fail_fast() { impl_->fails_fast = true; }

Worker::Status Worker::status() const {
  Impl& worker = *impl_;
  const std::scoped_lock lock{worker.mutex};
  Status out = worker.totals;
  out.draining = worker.draining;
  out.in_flight = worker.credits.used();
  out.in_flight_limit = worker.credits.limit();
  const auto add = [&](const Condition& condition) {
    if (std::string text = condition.text(); !text.empty()) out.conditions.push_back(std::move(text));
  };
  add(worker.start_condition);
  out.commit_condition = worker.loop ? worker.loop->commit_condition().text() : "";
  if (!out.commit_condition.empty()) out.conditions.push_back(out.commit_condition);
  if (worker.loop) {
    if (const Timestamp since = worker.loop->committing_since(); since != no_time) {
      const Duration taken = worker.clock.steady() - since;
      if (taken > long_commit)
        out.conditions.push_back("commit: under way for " + format_duration(taken / second * second));
    }
    add(worker.loop->acquire_condition());
  }
  for (const auto& [index, condition] : worker.lease_conditions) add(condition);
  for (const auto& [partition, error] : worker.failures)
    out.broken.push_back(
        weir::format("partition {}: {}", partition, PartitionManager::reason_of(partition, error.message)));
  if (worker.lanes) {
    out.lanes = worker.lanes->statuses();
    for (std::string& text : worker.lanes->conditions()) {
      if (text != out.commit_condition) out.conditions.push_back(std::move(text));  // each once
    }
  }
  for (const auto& [partition, place] : worker.committed) {
    // What went to another worker is that one's to tell.
    if (worker.lanes == nullptr || std::ranges::contains(out.lanes, partition, &LaneRun::Status::partition))
      out.committed.push_back(place);
  }
  out.started = worker.started;
  out.ready = worker.started && !worker.draining && out.conditions.empty() && out.broken.empty() &&
              out.lanes.size() >= worker.share;
  out.standby = out.ready && worker.share == 0;
  return out;
}

}  // namespace weir
