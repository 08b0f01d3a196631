#include "core/runtime/executor.hpp"

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "core/observe/attempt.hpp"
#include "core/observe/condition.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"
#include "core/runtime/lane.hpp"
#include "core/runtime/pieces.hpp"
#include "core/runtime/stream_clock.hpp"

namespace weir {
namespace {

namespace flow = oneapi::tbb::flow;

constexpr Duration first_backoff = 100 * millisecond;
constexpr Duration last_backoff = 5 * second;
constexpr Duration longest_wait = 100 * millisecond;
constexpr std::size_t pull_messages = 4096;
constexpr std::size_t pull_bytes = 1u << 20;  // what is decoded of it should still fit the processor's caches

}  // namespace

// The puller and the worker never join in, so all threads but the one that oneTBB takes for granted are its own.
struct LaneThreads::Impl {
  tbb::global_control allowed{tbb::global_control::max_allowed_parallelism,
                              static_cast<std::size_t>(tbb::this_task_arena::max_concurrency()) + 1};
  tbb::task_arena arena{tbb::this_task_arena::max_concurrency(), 0};
};

LaneThreads::LaneThreads() : impl_{std::make_unique<Impl>()} {}
LaneThreads::~LaneThreads() = default;

struct LaneRun::Impl {
  struct Piece {
    Piece(Credits& credits, MessagesPtr pulled) : messages{std::move(pulled)}, held{credits, weight(*messages)} {}
    MessagesPtr messages;
    HeldByMessages held;
    Position last = 0;  // of its last message
    Decoded decoded;
    bool more = false;  // its step is under way
  };
  using PiecePtr = std::shared_ptr<Piece>;
  /// What a step made, or a part of it.
  struct Part {
    PiecePtr piece;
    ChainOutput output = {};
    std::optional<HeldByRows> held = {};
    bool last = true;  // of its piece
  };
  using PartPtr = std::shared_ptr<Part>;
  /// Puts from inside its body: a function_node lets its next body begin before it passes on what the last one
  /// returned, so pieces could overtake each other.
  using Decode = flow::multifunction_node<PiecePtr, std::tuple<PiecePtr>>;
  using Step = flow::multifunction_node<PiecePtr, std::tuple<PartPtr>>;
  using Encode = flow::multifunction_node<PartPtr, std::tuple<PartPtr>>;

  Impl(const Surroundings& a, tbb::task_arena& arena, LaneId lane)
      : around{a},
        id{lane},
        source_node{a.pipeline.nodes[a.pipeline.source()]},
        claims{claims_of(source_node)},
        machine{{a.pipeline, a.registry, a.counters, a.clock, claims, a.sinks}, lane.partition},
        source_context{{a.pipeline, a.registry, a.counters, a.clock},
                       source_node,
                       lane.partition,
                       machine.keys(),
                       machine.fields()},
        source{source_node.op->make_source(source_node.settings, source_context)},
        graph{arena.execute([] { return std::make_unique<flow::graph>(); })},
        decode{*graph, flow::serial,
               [this](const PiecePtr& piece, Decode::output_ports_type& next) {
                 guarded("decode", *piece, [&] { return run_decode(*piece); });
                 std::get<0>(next).try_put(piece);
               }},
        step{*graph, flow::serial,
             [this](const PiecePtr& piece, Step::output_ports_type& next) {
               if (piece) to_step.push_back(piece);
               run_steps(next);
             }},
        encode{*graph, flow::serial, [this](const PartPtr& part, Encode::output_ports_type&) {
                 guarded("encode", *part->piece, [&] { return run_encode(*part); });
                 if (part->last) in_flight.leave();
               }} {
    flow::make_edge(flow::output_port<0>(decode), step);
    flow::make_edge(flow::output_port<0>(step), encode);
    if (around.inspection != nullptr) let_look(*around.inspection);
  }

  // The last body may still be on its way out when every piece has left; what it uses must outlive it.
  ~Impl() { graph->wait_for_all(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void let_look(Inspection& inspection) {
    statistics.emplace(around.pipeline, inspection.work, around.clock);
    machine.measure(*statistics);
    machine.watch([this, &taps = inspection.taps](PortRef from, const BatchPtr& batch) {
      taps.offer(around.pipeline, from, batch);
    });
  }

  // Node bodies. Nothing may be thrown out of one: an escaping exception cancels the graph.

  /// What stands before a piece that fails goes its way to the end; what stands behind it goes no further.
  template <typename Body>
  void guarded(const char* node, const Piece& piece, Body body) {
    if (piece.last >= fails_at.load(std::memory_order_acquire)) return;
    auto done = attempt(node, body);
    if (done) return;
    Position first = fails_at.load();
    while (piece.last < first && !fails_at.compare_exchange_weak(first, piece.last)) continue;
    fail_lane(std::move(done.error()));
  }

  Result<void> run_decode(Piece& piece) {
    auto decoded = machine.decode(std::move(piece.messages));
    if (!decoded) return std::unexpected(decoded.error());
    piece.decoded = std::move(*decoded);
    for (const auto& notice : piece.decoded.notices) log::warn("{}/{}: {}", source_node.id, id.partition, notice);
    return {};
  }

  /// Works off what waits, as long as there is credit: a thread that stood still here would be missing elsewhere, so
  /// what is left waits until the gate calls.
  void run_steps(Step::output_ports_type& next) {
    while (!to_step.empty() && gate.may_work()) {
      const PiecePtr piece = to_step.front();
      auto part = std::make_shared<Part>(piece);
      guarded("transforms", *piece, [&] { return run_step(*piece, *part); });
      if (part->last) to_step.pop_front();
      std::get<0>(next).try_put(std::move(part));
    }
  }

  Result<void> run_step(Piece& piece, Part& part) {
    auto output = std::exchange(piece.more, false) ? machine.go_on() : machine.step(piece.decoded);
    if (!output) return std::unexpected(output.error());
    piece.more = output->more;
    part.last = !piece.more;
    part.output = std::move(*output);
    part.held.emplace(around.credits, bytes_of(part.output));
    if (piece.more) return {};
    piece.decoded.batch = nullptr;  // the raw messages are not needed any more
    due.store(machine.due().value_or(end_of_time), std::memory_order_release);
    stepped.store(piece.last, std::memory_order_release);
    reached.store(part.output.place.arrival, std::memory_order_release);
    note_sizes();
    snapshot_if_wanted(piece.last);
    return {};
  }

  /// Between steps. That nothing is missing in a replay shows at its end: no snapshot before.
  void snapshot_if_wanted(Position position) {
    if (position < replay_until || position == saved || !snapshot_wanted.exchange(false)) return;
    saved = position;
    around.events.snapshot(id, machine.save());
  }

  Result<void> run_encode(Part& part) {
    if (part.output.replaying) return {};
    LaneStep made = machine.encode(std::move(part.output));
    part.held->pass_on(made.bytes);
    around.events.step(id, std::move(made));
    return {};
  }

  // The pulling thread.

  void pull_all() {
    const auto done = attempt(source_node.id, [&] { return pull_loop(stopping.get_token()); });
    if (!done && done.error().kind != Error::Kind::stopped) fail_lane(done.error());
    in_flight.wait_until_none();  // what was pulled before is whole
    std::unique_lock lock{failure_mutex};
    std::optional<Error> why = failure;
    lock.unlock();
    around.events.ended(id, std::move(why));
  }

  Result<void> pull_loop(std::stop_token stop) {
    Duration backoff = first_backoff;
    Budget budget;
    budget.bytes = pull_bytes;
    budget.messages = pull_messages;
    while (!stop.stop_requested()) {
      if (!around.credits.wait(stop, around.events.credits_exhausted) || !in_flight.wait_for_room(stop)) break;
      budget.wait = patience();
      const Timestamp asked = around.clock.steady();
      auto pulled = source->pull(budget, stop);
      if (!pulled) {
        if (pulled.error().kind != Error::Kind::unreachable)
          return std::unexpected(with_way_out(id.partition, std::move(pulled.error())));
        condition.is(pulled.error().message);
        around.clock.wait(backoff, stop);
        backoff = std::min(backoff * 2, last_backoff);
        continue;
      }
      const bool came = pulled->state == Pulled::State::messages;
      if ((came && std::exchange(mark_failed, false)) || backoff != first_backoff) condition.is({});
      backoff = first_backoff;
      waiting.store(source->waiting(), std::memory_order_relaxed);
      if (pulled->state == Pulled::State::end) break;
      if (came) {
        around.counters.histogram(counted::fetch_seconds).observe(seconds(around.clock.steady() - asked));
        if (auto went = put(pulled->messages, stop); !went) return went;
      } else {
        idle();
      }
    }
    return {};
  }

  /// How long a pull may wait: not beyond what is due next.
  Duration patience() const {
    const Timestamp when = marks() ? due.load(std::memory_order_acquire) : end_of_time;
    return when == end_of_time ? longest_wait : std::clamp(stream_clock.patience(when), millisecond, longest_wait);
  }

  Result<void> put(const MessagesPtr& messages, const std::stop_token& stop) {
    const auto wrong = claims.writable ? stream_clock.unbelievable(*messages, replay_until) : std::nullopt;
    MessagesPtr before = wrong ? first_of(messages, *wrong) : messages;
    for (MessagesPtr& part : machine.cut(std::move(before))) {
      (void)in_flight.wait_for_room(stop);  // a stop ends the waiting only: what was pulled may not come again
      pulled_up_to.store(part->items.back().sequence, std::memory_order_release);
      auto piece = std::make_shared<Piece>(around.credits, std::move(part));
      piece->last = piece->messages->items.back().sequence;
      if (claims.writable) stream_clock.heard(*piece->messages);
      in_flight.enter();
      decode.try_put(std::move(piece));
    }
    return wrong ? stream_clock.refuse(messages->items[*wrong], source->identity().stream) : Result<void>{};
  }

  bool marks() const { return claims.writable || claims.clocked; }

  /// The stream is idle. Once all is stepped, a snapshot has what came last, and arrival time moves on to what is due.
  void idle() {
    const Position at = stepped.load(std::memory_order_acquire);
    if (at != pulled_up_to.load()) return;
    snapshot_if_wanted(at);
    if (!marks()) return;
    const Timestamp when = due.load(std::memory_order_acquire);
    if (stream_clock.until(when) > 0 && std::exchange(mark_failed, false)) condition.is({});
    if (!stream_clock.asks(when)) return;
    auto marked = source->mark(when);
    if (!marked) condition.is(marked.error().message);
    if (std::exchange(mark_failed, !marked) && marked) condition.is({});
  }

  // Bookkeeping.

  void note_sizes() {
    const Timestamp now = around.clock.steady();
    if (sizes_at != no_time && now - sizes_at < second) return;
    sizes_at = now;
    auto now_sizes = machine.sizes();
    const std::scoped_lock lock{status_mutex};
    sizes = std::move(now_sizes);
  }

  /// The first says why. What stands before it in the stream goes its way to the end before anybody is told.
  void fail_lane(Error error) {
    {
      const std::scoped_lock lock{failure_mutex};
      if (!failure) failure = std::move(error);
    }
    stopping.request_stop();
  }

  Surroundings around;
  LaneId id;
  Position replay_until = 0;
  const Node& source_node;
  const Claims claims;                       // of the source; where it is writable, its server stamps the messages
  std::optional<NodeStatistics> statistics;  // if anybody may ask
  Lane machine;
  NodeContext source_context;
  std::unique_ptr<Source> source;
  std::unique_ptr<flow::graph> graph;  // belongs to the arena in which it was made
  Decode decode;
  Step step;
  Encode encode;
  std::deque<PiecePtr> to_step;  // of the node `step`
  Condition condition{source_node.id + "/" + std::to_string(id.partition)};
  InFlight in_flight;

  std::atomic<Timestamp> due{end_of_time};
  std::atomic<Position> stepped{0}, pulled_up_to{0}, saved{0};           // saved: by the newest snapshot
  std::atomic<Position> fails_at{std::numeric_limits<Position>::max()};  // of the last message of a piece
  std::atomic<Timestamp> reached{no_time};
  std::atomic<std::uint64_t> waiting{0};
  std::atomic<bool> snapshot_wanted{false};
  bool mark_failed = false;  // and so the condition is
  StreamClock stream_clock{around.clock, id.partition};
  Timestamp sizes_at = no_time;

  std::mutex failure_mutex;
  std::optional<Error> failure;  // why the lane can't go on
  std::stop_source stopping;     // by whoever has it, or as it failed
  CreditGate gate{around.credits, stopping.get_token(), around.events.credits_exhausted,
                  [this] { step.try_put(nullptr); }};

  mutable std::mutex status_mutex;
  std::vector<std::pair<std::size_t, Transform::Size>> sizes;

  std::once_flag joined;
  std::jthread puller;  // last: stops before anything it uses is gone
};

LaneRun::LaneRun(const Surroundings& around, LaneThreads& threads, LaneId lane)
    : impl_{std::make_unique<Impl>(around, threads.impl_->arena, lane)} {}

LaneRun::~LaneRun() {
  impl_->fails_at.store(0);  // what is still in flight is of no use to anybody
  stop();
  finish();
}

Result<Position> LaneRun::open(const LaneStart& start) {
  impl_->replay_until = start.replay_until;
  const auto empty = impl_->machine.load(start);
  if (!empty) return std::unexpected(empty.error());
  for (const std::string& node : *empty)
    log::warn(
        "{}: the snapshot has no state of this node; it starts empty, and if it had another id, what waited there was "
        "given up",
        node);
  Source& source = *impl_->source;
  auto opened = attempt(impl_->source_node.id, [&] { return source.open(start.after); });
  if (auto same = same_stream_name(source.identity(), impl_->id.partition, start); !same)
    return std::unexpected(same.error());
  if (!opened && start.committed() != 0) return std::unexpected(with_way_out(impl_->id.partition, opened.error()));
  if (!opened) return opened;
  if (auto same = same_stream(source, impl_->id.partition, *opened, start); !same) return std::unexpected(same.error());
  if (impl_->claims.writable) {
    const Timestamp kept = start.kept.empty() ? no_time : start.kept.back().place.arrival;
    auto sane = impl_->stream_clock.check(std::max(kept, start.arrival()), start.committed());
    if (!sane) return std::unexpected(sane.error());
  }
  if (auto begun = impl_->machine.begin(*opened, source.identity()); !begun) return std::unexpected(begun.error());
  impl_->stepped.store(*opened);
  impl_->saved.store(*opened);
  impl_->pulled_up_to.store(*opened);
  impl_->due.store(impl_->machine.due().value_or(end_of_time));
  return opened;
}

LaneId LaneRun::id() const { return impl_->id; }
const Progress& LaneRun::begins() const { return impl_->machine.at(); }

void LaneRun::run() {
  impl_->puller = std::jthread{[this] { impl_->pull_all(); }};
}

void LaneRun::stop() { impl_->stopping.request_stop(); }
void LaneRun::finish() {
  std::call_once(impl_->joined, [this] {
    if (impl_->puller.joinable()) impl_->puller.join();
  });
  impl_->in_flight.wait_until_none();
}

Snapshot LaneRun::snapshot() const { return impl_->machine.save(); }
void LaneRun::want_snapshot() { impl_->snapshot_wanted.store(true); }
void LaneRun::committed(Position position) {
  const auto told = attempt(impl_->source_node.id, [&] { impl_->source->committed(position); });
  if (!told) impl_->fail_lane(told.error());
}

LaneRun::Status LaneRun::status() const {
  Status out;
  out.partition = impl_->id.partition;
  out.pulled = impl_->pulled_up_to.load();
  out.stepped = impl_->stepped.load();
  out.reached = impl_->reached.load();
  out.waiting = impl_->waiting.load();
  out.condition = impl_->condition.text();
  out.replaying = out.stepped < impl_->replay_until;
  const std::scoped_lock lock{impl_->status_mutex, impl_->failure_mutex};
  out.failed = impl_->failure.has_value();
  out.sizes = impl_->sizes;
  return out;
}

}  // namespace weir
