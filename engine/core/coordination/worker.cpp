#include "core/coordination/worker.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <weir/units.hpp>

#include "core/checkpoint/shared_store.hpp"
#include "core/coordination/custody.hpp"
#include "core/coordination/inbox.hpp"
#include "core/coordination/lanes.hpp"
#include "core/coordination/worker_events.hpp"
#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"
#include "core/observe/trouble.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"

namespace weir {
namespace {

constexpr Duration idle_commit_every = second;  // for positions without rows
constexpr Duration long_commit = 5 * second;    // a server that is well takes less
constexpr Duration first_backoff = 100 * millisecond;
constexpr Duration last_backoff = 10 * second;
constexpr Duration meet_every = second;
constexpr Duration meet_soon = 50 * millisecond;  // while others are to let partitions go

/// Whether somebody may put it right while the worker waits; a defect of ours, or a program that reads no more, stays.
bool can_be_mended(const Error& error) {
  return error.kind != Error::Kind::internal && error.kind != Error::Kind::stopped;
}

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
      : pipeline{p}, registry{r}, counters{c}, clock{k}, name{std::move(n)}, inspection{i}, credits{p.memory} {}

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
    store = std::make_unique<SharedStore>(op->make_store(pipeline.store_settings, *contexts.back()));
    const bool by_store = shared_by_store(pipeline) && store->lease() != 0;
    snapshots = std::make_unique<Snapshots>(*store, pipeline.kept_name(), by_store);
    box = dead_letter_file(pipeline.dead_letters, pipeline.kept_name());
    std::vector<Outlet> outlets;
    for (const auto& [number, sink] : sinks) {
      const Node& node = pipeline.nodes[number];
      if (node.input) {
        if (auto bound = sink->bind_schema(node.input); !bound) return bound;
      }
      outlets.push_back({number, sink.get(), claims_of(node), node.id});
    }
    if (by_store) leases = std::make_unique<StoreLeases>(*store, pipeline.kept_name(), name + "-" + fence, clock);
    cycle = std::make_unique<CommitCycle>(pipeline, std::move(outlets), *snapshots, *box, counters, leases.get());
    return {};
  }

  Result<void> open(const std::stop_token& drain) {
    // One that does not answer is the claims' to wait for.
    if (auto fits = check_source(); !fits && fits.error().kind != Error::Kind::unreachable) return fits;
    if (auto opened = patiently(drain, [&] { return store->open(); }); !opened) return opened;
    if (auto opened = patiently(drain, [&] { return cycle->open(); }); !opened) return opened;
    auto made = std::make_unique<Lanes>(surroundings(), *cycle, *snapshots, fence);
    custody = std::make_unique<Custody>(
        pipeline, *made, *cycle, credits, clock,
        [this](LaneId lane, Snapshot snapshot) { to_store.put({lane, std::move(snapshot)}); });
    const std::scoped_lock lock{mutex};
    lanes = std::move(made);
    return {};
  }

  /// What is to be done at the start, again and again until its service answers.
  Result<void> patiently(const std::stop_token& drain, const std::function<Result<void>()>& what) {
    for (Duration pause = first_backoff;; pause = std::min(2 * pause, last_backoff)) {
      auto done = what();
      const bool again = !done && done.error().kind == Error::Kind::unreachable && !whole && !fails_fast;
      start_trouble.is(again ? done.error().message : "");
      if (!again || !clock.wait(pause, drain)) return done;
    }
  }

  /// Before this worker has a share, and the others less.
  Result<void> check_source() {
    const Node& node = pipeline.nodes[pipeline.source()];
    NodeContext context{{pipeline, registry, counters, clock}, node};
    return attempt(node.id, [&] { return node.op->make_source(node.settings, context)->check(); });
  }

  LaneRun::Surroundings surroundings() {
    LaneRun::Surroundings around{pipeline, registry, counters, clock, credits, {}, {}, inspection};
    for (const auto& [number, sink] : sinks) around.sinks.emplace_back(number, sink.get());
    around.events.step = [this](LaneId lane, LaneStep step) { inbox.put(event::Stepped{lane, std::move(step)}); };
    around.events.snapshot = [this](LaneId lane, Snapshot snapshot) { to_store.put({lane, std::move(snapshot)}); };
    around.events.ended = [this](LaneId lane, std::optional<Error> error) {
      inbox.put(event::Ended{lane, std::move(error)});
    };
    around.events.credits_exhausted = [this] { inbox.put(event::Exhausted{}); };
    return around;
  }

  // The loop's events.

  void handle(event::Stepped& stepped) {
    LaneStep& step = stepped.step;
    credits.give_back(lanes->has(stepped.lane) ? cycle->take(std::move(step)) : step.bytes);
  }
  void handle(event::Ended& ended) { custody->ended(ended.lane, ended.error); }
  void handle(event::Stored& stored) { custody->stored(stored.lane, std::move(stored.name), stored.position); }
  void handle(event::Exhausted&) { commit_now = true; }
  void handle(event::Lost& lost) { custody->lost(lost.partition); }
  void handle(event::Met& met) { custody->met(met.crew); }

  // Committing.

  bool commit_is_due(Timestamp now) const {
    if (now < next_try || (!cycle->pending() && !custody->ends_any())) return false;
    if (commit_now || custody->wants_commit() || cycle->pending_rows() >= pipeline.commit_rows) return true;
    // The first rows after a pause need not wait for others; under load a commit has whatever came since the last one.
    if (cycle->pending_rows() > 0) return now - last_commit >= pipeline.commit_every;
    return now - last_commit >= idle_commit_every;
  }

  Result<void> commit() {
    const Timestamp before = clock.steady();
    committing_since = before;
    auto report = attempt("commit", [&] { return cycle->commit(); });
    committing_since = no_time;
    last_commit = clock.steady();
    if (!report) {
      commit_now = true;                                                             // what was due is
      if (can_be_mended(report.error())) commit_trouble.is(report.error().message);  // what else it may be ends the run
      next_try = last_commit + backoff;
      backoff = std::min(backoff * 2, last_backoff);
      return std::unexpected(report.error());
    }
    commit_trouble.is({});
    backoff = first_backoff;
    next_try = 0;
    credits.give_back(report->bytes);
    // Where not everything was taken, as little succeeded before, who waits for memory doesn't ask once more.
    commit_now = credits.used() >= credits.limit() && cycle->has_steps();
    custody->committed(*report);
    const std::scoped_lock lock{mutex};
    for (const auto& lane : report->committed) {
      auto& known = committed[lane.partition];
      known = {lane.partition, lane.position, lane.reached != no_time ? lane.reached : known.reached};
    }
    totals.rows += report->rows;
    totals.commits += 1;
    totals.commit_time = last_commit - before;
    totals.commit_time_total += totals.commit_time;
    return {};
  }

  // Threads beside the loop.

  void store_snapshots(std::stop_token stop) {
    while (!stop.stop_requested()) {
      for (event::Taken& taken : to_store.take(second, stop)) {
        const auto written =
            attempt("store", [&] { return snapshots->write(taken.lane.partition, fence, taken.snapshot); });
        if (!written) {
          log::warn("partition {}: snapshot not written: {}; the next one comes in time", taken.lane.partition,
                    written.error().message);
        }
        inbox.put(event::Stored{taken.lane, written.value_or(""), taken.snapshot.at.position});
      }
    }
  }

  void renew_leases(std::size_t outlet, std::stop_token stop) {
    Outlets& outlets = cycle->outlets();
    Trouble& trouble = lease_troubles.at(outlet);
    while (clock.wait(outlets.lease(outlet) / 3, stop)) {
      auto lost = attempt("renew", [&] { return outlets.renew(outlet); });
      trouble.is(lost ? "" : lost.error().message);
      if (!lost) continue;
      for (const Partition partition : *lost) inbox.put(event::Lost{partition});
    }
  }

  /// Without an answer everything stays as it is; renewing says why.
  void meet_others(std::stop_token stop) {
    while (clock.wait(hurry ? meet_soon : meet_every, stop)) {
      if (auto crew = attempt("meet", [&] { return cycle->outlets().meet(); })) inbox.put(event::Met{*std::move(crew)});
    }
  }

  // Life.

  void note_share() {
    hurry = custody->expects_more(clock.steady());
    // What could not be committed is its next owner's: it must not keep this worker unready, or from a reload.
    if (!cycle->pending()) commit_trouble.forget();
    write_trouble.is(cycle->any_waits() ? lanes->write_trouble() : std::string{});
    // Nor must what another worker has claimed meanwhile.
    if (!custody->claims()) claim_trouble.forget();
    const std::scoped_lock lock{mutex};
    totals.workers = custody->workers();
    share = custody->wanted();
  }

  Result<void> loop(std::stop_token drain) {
    while (!drain.stop_requested()) {
      const Duration tick = std::min<Duration>(pipeline.commit_every, 50 * millisecond) / 4 + millisecond;
      const Duration wait = custody->is_due(clock.steady()) ? 0 : tick;
      for (event::Any& told : inbox.take(wait, drain)) std::visit([this](auto& one) { handle(one); }, told);
      const Timestamp now = clock.steady();
      if (commit_is_due(now)) {
        cycle->hurry();
        auto done = cycle->waits() ? Result<void>{} : commit();
        if (!done && !can_be_mended(done.error())) return done;
      }
      lanes->want_snapshots(now);
      if (auto trouble = custody->turn(now)) claim_trouble.is(*std::move(trouble));
      note_share();
      if (custody->nothing_left()) break;
    }
    return {};
  }

  /// Finishes what is in flight and commits it, with a snapshot at exactly that place.
  Result<void> drain_all() {
    const Timestamp deadline = clock.steady() + pipeline.shutdown_timeout;
    {
      const std::scoped_lock lock{mutex};
      draining = true;
    }
    custody->stop();
    lanes->stop_all();
    lanes->finish_all();
    for (event::Any& told : inbox.take(0, {})) std::visit([this](auto& one) { handle(one); }, told);
    // Rows first: a store that does not answer must not take the time that they need.
    if (auto done = commit_all(deadline); !done) return done;
    lanes->save_all(deadline);
    return commit_all(deadline);
  }

  Result<void> commit_all(Timestamp deadline) {
    backoff = first_backoff;  // there is not the time for the patience that an outage has taught
    while (cycle->pending()) {
      cycle->hurry();
      if (cycle->waits()) {
        if (clock.steady() > deadline) {
          return fail(Error::Kind::unreachable,
                      "what transforms write beside their rows did not become durable in time");
        }
        clock.wait(10 * millisecond, {});
        continue;
      }
      const auto done = commit();
      if (done && !cycle->has_steps()) break;  // what is still to be named waits for a position that it does not have
      if (done) continue;
      if (done.error().kind != Error::Kind::unreachable || clock.steady() + backoff > deadline) return done;
      clock.wait(backoff, {});
    }
    return {};
  }

  Result<void> work(std::stop_token drain) {
    if (auto made = attempt("start", [&] { return make_cycle(); }); !made) return made;
    if (auto opened = attempt("start", [&] { return open(drain); }); !opened) return opened;
    std::jthread storing{[this](std::stop_token stop) { store_snapshots(stop); }};
    // Starting many lanes takes longer than a lease.
    std::vector<std::jthread> renewing;
    {
      const std::scoped_lock lock{mutex};
      for (const std::size_t outlet : cycle->outlets().leased())
        lease_troubles.try_emplace(outlet, "leases not renewed");
    }
    for (const std::size_t outlet : cycle->outlets().leased()) {
      renewing.emplace_back([this, outlet](std::stop_token stop) { renew_leases(outlet, stop); });
    }
    if (auto claimed = attempt("claim", [&] { return patiently(drain, [&] { return custody->start(drain, whole); }); });
        !claimed)
      return claimed;
    note_share();
    std::jthread meeting{[this](std::stop_token stop) { meet_others(stop); }};
    {
      const std::scoped_lock lock{mutex};
      started = !drain.stop_requested();  // else it never came to work
    }
    if (auto looped = attempt("work", [&] { return loop(drain); }); !looped) return looped;
    if (auto drained = attempt("drain", [&] { return drain_all(); }); !drained) return drained;
    if (const auto broken = lanes->first_error()) return std::unexpected(*broken);
    return {};
  }

  /// Gives the partitions back and closes everything, so that whoever comes next finds files and tables free.
  Result<void> close() {
    if (lanes) {
      lanes->stop_all();
      lanes->finish_all();
      cycle->release_all();
      if (!followed) cycle->outlets().leave();
    }
    custody.reset();
    std::unique_ptr<Lanes> ending;  // outside of the lock: it and the sinks may take seconds, in which status() answers
    {
      const std::scoped_lock lock{mutex};
      started = false;
      ending = std::move(lanes);
    }
    ending.reset();
    cycle.reset();
    leases.reset();
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
  std::unique_ptr<SharedStore> store;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<DeadLetterBox> box;
  std::unique_ptr<StoreLeases> leases;
  std::unique_ptr<CommitCycle> cycle;
  Inbox<event::Any> inbox;
  Inbox<event::Taken> to_store;
  std::unique_ptr<Custody> custody;

  // The loop's own.
  Timestamp last_commit = 0, next_try = 0;
  Duration backoff = first_backoff;
  bool commit_now = false;
  Trouble start_trouble{"start"}, commit_trouble{"commit"}, write_trouble{"what commits wait for"},
      claim_trouble{"claim"};
  std::map<std::size_t, Trouble> lease_troubles;  // by outlet; each its renewing thread's

  std::atomic<bool> hurry{false}, followed{false};
  std::atomic<Timestamp> committing_since{no_time};  // by the steady clock
  bool whole = false, fails_fast = false;

  mutable std::mutex mutex;  // what status() reads
  std::map<Partition, Status::Committed> committed;
  bool started = false, draining = false;
  std::size_t share = 0;  // partitions
  Status totals;

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
  out.memory = worker.credits.limit();
  const auto add = [&](const Trouble& trouble) {
    if (std::string text = trouble.text(); !text.empty()) out.troubles.push_back(std::move(text));
  };
  add(worker.start_trouble);
  out.commit_trouble = worker.commit_trouble.text();
  if (out.commit_trouble.empty()) out.commit_trouble = worker.write_trouble.text();
  if (!out.commit_trouble.empty()) out.troubles.push_back(out.commit_trouble);
  if (const Timestamp since = worker.committing_since; since != no_time) {
    const Duration taken = worker.clock.steady() - since;
    if (taken > long_commit)
      out.troubles.push_back("commit: under way for " + format_duration(taken / second * second));
  }
  add(worker.claim_trouble);
  for (const auto& [outlet, trouble] : worker.lease_troubles) add(trouble);
  if (worker.lanes) {
    out.lanes = worker.lanes->statuses();
    out.broken = worker.lanes->why_broken();
    for (std::string& text : worker.lanes->troubles()) {
      if (text != out.commit_trouble) out.troubles.push_back(std::move(text));  // each once
    }
  }
  for (const auto& [partition, place] : worker.committed) {
    // What went to another worker is that one's to tell.
    if (worker.lanes == nullptr || std::ranges::contains(out.lanes, partition, &LaneRun::Status::partition))
      out.committed.push_back(place);
  }
  out.started = worker.started;
  out.ready = worker.started && !worker.draining && out.troubles.empty() && out.broken.empty() &&
              out.lanes.size() >= worker.share;
  out.standby = out.ready && worker.share == 0;
  return out;
}

}  // namespace weir
