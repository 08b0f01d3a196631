/// What the worker does where operators do what they must not, or take their time.
#include <gtest/gtest.h>

#include <thread>

#include "core/coordination/worker.hpp"
#include "core/runtime/pieces.hpp"
#include "fakes/bare_ledger.hpp"
#include "fakes/log.hpp"
#include "fakes/world.hpp"

namespace weir {
namespace {

std::atomic<const char*> throws{""};           // the call that throws
std::atomic<bool> ending{false}, held{false};  // a sink's destructor has begun; must not go on yet

void maybe_throw(std::string_view call) {
  if (call == throws.load()) throw std::runtime_error("this breaks");
}

class RiskySource final : public Source {
 public:
  explicit RiskySource(const Settings& settings) : stream_{settings} {}
  Result<Position> open(Position after) override {
    maybe_throw("source open");
    return stream_.open(after);
  }
  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    maybe_throw("pull");
    return stream_.pull(budget, std::move(stop));
  }
  Result<void> mark(Timestamp due) override {
    maybe_throw("mark");
    return stream_.mark(due);
  }
  void committed(Position position) override {
    maybe_throw("committed");
    stream_.committed(position);
  }
  StreamIdentity identity() const override { return stream_.identity(); }
  std::uint64_t waiting() const override {
    maybe_throw("waiting");
    return 0;
  }

 private:
  fakes::StreamSource stream_;
};

class RiskySink final : public Sink, public fakes::BareLedger {
 public:
  explicit RiskySink(const Settings& settings) : table_{settings} {}
  ~RiskySink() override {
    ending = true;
    while (held) system_clock().wait(millisecond, {});
  }
  Result<void> bind_schema(const SchemaPtr& schema) override { return table_.bind_schema(schema); }
  Result<void> open() override {
    maybe_throw("open");
    return table_.open();
  }
  Encoded encode(const BatchPtr& rows) const override { return table_.encode(rows); }
  Result<void> write(const Encoded& rows) override {
    maybe_throw("write");
    return table_.write(rows);
  }
  bool write_dead_letter(const DeadLetter& letter) override { return table_.write_dead_letter(letter); }
  Ledger* ledger() override { return this; }
  Result<Progress> acquire(Partition partition) override {
    maybe_throw("acquire");
    return table_.acquire(partition);
  }
  void release(Partition partition) override {
    table_.release(partition);
    maybe_throw("release");
  }
  Duration lease() const override { return table_.lease(); }
  Result<std::vector<Partition>> renew() override {
    maybe_throw("renew");
    return table_.renew();
  }
  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    maybe_throw("commit");
    return table_.commit(lanes);
  }

 private:
  fakes::TableSink table_;
};

class RiskyStore final : public fakes::MapStore {
 public:
  explicit RiskyStore(const Settings&) : MapStore{fakes::world->values} {}
  Result<void> put(std::string_view name, std::string_view value) override {
    maybe_throw("put");
    return MapStore::put(name, value);
  }
  bool durable() const override { return true; }
};

class WorkerBoundary : public fakes::WorldTest {
 public:
  ~WorkerBoundary() override { throws = ""; }

 protected:
  WorkerBoundary() {
    Spec source = Spec::source("a stream");
    source.claims([](const Settings&) {
      Claims claims;
      claims.ordered = claims.writable = claims.replayable = true;
      return claims;
    });
    Spec sink = Spec::sink("a table");
    sink.claims([](const Settings&) {
      Claims claims;
      claims.transactional = true;
      return claims;
    });
    registry_.add("sources", "risky", make_operator<RiskySource>(source));
    registry_.add("sinks", "risky", make_operator<RiskySink>(sink));
    registry_.add("stores", "risky", make_operator<RiskyStore>(Spec::store("a store")));
    auto checked = check_pipeline(R"({ "name": "p",
      "state": { "store": "risky", "every": "100ms" }, "commit": { "every": "1ms" }, "nodes": [
      { "id": "in", "source": "risky", "encoding": "number" },
      { "id": "sum", "transform": "sum", "from": "in" },
      { "id": "out", "sink": "risky", "from": "sum" } ] })",
                                  "p.json", registry_, {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    pipeline_ = std::move(*checked.pipeline);
    world_.messages = 100;
  }

  Pipeline pipeline_;
  const fakes::Log log_;
};

TEST_F(WorkerBoundary, AnExceptionIsAnErrorThatSaysWhoseItIs) {
  const struct {
    const char* call;
    std::string_view said;
  } cases[]{{"source open", "in: this breaks"}, {"pull", "in: this breaks"},    {"mark", "in: this breaks"},
            {"committed", "in: this breaks"},   {"waiting", "in: this breaks"}, {"open", "out: this breaks"},
            {"acquire", "out: this breaks"},    {"write", "out: this breaks"},  {"commit", "out: this breaks"}};
  for (const auto& [call, said] : cases) {
    SCOPED_TRACE(call);
    world_.rows.clear();
    world_.progress = {};
    world_.values.clear();
    world_.endless = said.starts_with("in");
    throws = call;
    Worker worker{pipeline_, registry_, counters_, system_clock()};
    const auto done = worker.run({});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Error::Kind::internal);
    EXPECT_EQ(done.error().message, said);
    EXPECT_TRUE(said.starts_with("out") || !world_.owned) << "given back all the same";
    EXPECT_TRUE(worker.status().lanes.empty());
  }
}

TEST_F(WorkerBoundary, AnExceptionBesideTheLoopIsToldOfAndTheLoopGoesOn) {
  world_.lease = 3 * millisecond;
  world_.endless = true;
  for (const auto& [call, said] : {std::pair{"renew", "leases not renewed: out: this breaks"},
                                   std::pair{"put", "snapshot not written: store: this breaks"}}) {
    SCOPED_TRACE(call);
    throws = call;
    Worker worker{pipeline_, registry_, counters_, system_clock()};
    std::stop_source drain;
    std::jthread feeder{[&] {
      for (int i = 0; i < 5000 && !log_.contains(said); ++i) {
        system_clock().wait(millisecond, {});
        const std::scoped_lock lock{world_.mutex};
        if (i % 10 == 0) ++world_.messages;
      }
      throws = "";
      drain.request_stop();
    }};
    const auto done = worker.run(drain.get_token());
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_TRUE(log_.contains(said));
    EXPECT_EQ(rows_without_letters(), expected(world_.progress.place.position));
  }
}

TEST_F(WorkerBoundary, AnExceptionWhileItClosesIsLoggedAndAllIsCommitted) {
  throws = "release";
  Worker worker{pipeline_, registry_, counters_, system_clock()};
  EXPECT_TRUE(worker.run({}));
  EXPECT_TRUE(log_.contains("this breaks"));
  EXPECT_EQ(rows_without_letters(), expected(100));
  EXPECT_TRUE(worker.status().lanes.empty());
}

TEST_F(WorkerBoundary, SaysHowItIsAlsoWhileASinkTakesLongToEnd) {
  ending = false;
  held = true;
  Worker worker{pipeline_, registry_, counters_, system_clock()};
  std::atomic<bool> answered{false};
  bool in_time = false;
  std::jthread asking;
  std::jthread watcher{[&] {
    while (!ending) system_clock().wait(millisecond, {});
    asking = std::jthread{[&] {
      (void)worker.status();
      answered = true;
    }};
    for (int i = 0; i < 2000 && !answered; ++i) system_clock().wait(millisecond, {});
    in_time = answered;
    held = false;
  }};
  EXPECT_TRUE(worker.run({}));
  watcher.join();
  EXPECT_TRUE(in_time);
}

/// Makes many rows of each message.
class Copies final : public Transform {
 public:
  static constexpr std::size_t copies = 100'000;
  explicit Copies(const Settings&) {}
  Result<Schemas> bind_schema(const Schemas& inputs) override { return Schemas{inputs[0]}; }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) return {};
    const std::size_t room = out.room();
    for (std::size_t rows = 0; made_ < copies && rows < room; rows += in->rows, ++made_) out.emit(in);
    if (made_ < copies) {
      out.again();
    } else {
      made_ = 0;
    }
    return {};
  }

 private:
  std::size_t made_ = 0;
};

TEST_F(WorkerBoundary, AStepThatMakesMoreThanThereIsCreditForWaitsInItsMidst) {
  world_.messages = 12;
  registry_.add("transforms", "copies", make_operator<Copies>(Spec::transform("many of one")));
  auto checked = check_pipeline(R"({ "name": "p", "nodes": [
      { "id": "in", "source": "stream", "encoding": "number" },
      { "id": "copies", "transform": "copies", "from": "in" },
      { "id": "out", "sink": "table", "from": "copies" } ] })",
                                "p.json", registry_, {});
  ASSERT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  Credits credits{1};
  fakes::TableSink sink{Settings{"out"}};
  std::mutex mutex;
  std::vector<LaneStep> steps;
  std::size_t rows = 0, parts = 0;
  LaneRun::Surroundings around{*checked.pipeline, registry_, counters_, system_clock(), credits, {}, {}};
  around.sinks.emplace_back(2, &sink);
  around.events.step = [&](LaneId, LaneStep step) {
    const std::scoped_lock lock{mutex};
    rows += rows_of(step);
    parts += !step.emitted.empty();
    steps.push_back(std::move(step));
  };
  around.events.ended = [](LaneId, const std::optional<Error>&) {};
  around.events.credits_exhausted = [] {};
  LaneThreads threads;
  LaneRun lane{around, threads, {0, 1}};
  ASSERT_TRUE(lane.open({}));
  lane.run();
  const auto commit = [&] {
    const std::scoped_lock lock{mutex};
    for (const LaneStep& step : std::exchange(steps, {})) credits.give_back(step.bytes);
    return parts;
  };
  std::size_t most = 0;
  for (int i = 0; i < 5000 && commit() < 5; ++i) {
    system_clock().wait(2 * millisecond, {});
    const std::scoped_lock lock{mutex};
    most = std::max(most, steps.size());
  }
  EXPECT_EQ(most, 1u) << "steps that nobody had committed yet";
  lane.stop();  // and nobody commits any more
  lane.finish();
  EXPECT_EQ(rows, lane.status().stepped * Copies::copies);
  EXPECT_GT(lane.status().stepped, 1u);
}

}  // namespace
}  // namespace weir
