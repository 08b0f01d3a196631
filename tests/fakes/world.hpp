/// A pipeline whose stream, table and store are plain variables: what the engine makes of them can be looked at, and
/// they outlive the worker.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weir/shapes.hpp>

#include "core/coordination/worker.hpp"
#include "fakes/bare_ledger.hpp"
#include "fakes/map_store.hpp"

namespace weir::fakes {

/// What outlives a worker in these tests: the stream, the table with its progress, and the store.
struct World {
  std::mutex mutex;
  Position messages = 0;  // in the stream
  bool endless = false;   // the source idles at the end instead of ending
  bool unreachable = false;
  bool forbidden = false;              // the server lets nobody read the stream
  std::atomic<Duration> slow_pull{0};  // how long a pull takes
  Position first = 1;                  // of the messages that the stream still has
  std::set<Position> deleted;          // of those
  std::function<Timestamp(Position)> arrival_of = [](Position n) { return static_cast<Timestamp>(n) * second; };
  StreamIdentity stream{"S", 1};
  bool changes = false;             // the next pull says so
  bool replayable = true;           // the source gives out again what follows any position
  bool starts_new = false;          // the source's `start`: what is in the stream already is passed over
  std::vector<std::string> rows;    // the table
  std::vector<Timestamp> arrivals;  // of the rows that were encoded
  Progress progress;
  bool down = false;         // the table does not answer
  bool denied = false;       // the table denies access
  bool answer_lost = false;  // of the next commit that succeeds
  bool not_renewed = false;  // leases can't be renewed
  bool taken = false;        // another worker has the lease of the partition
  int refused_claims = 0;    // because of that
  int fence = 0;             // of the last acquisition; another worker's acquisition raises it
  bool owned = false;        // acquired, and not given back
  int commits = 0;           // that succeeded
  Duration slow = 0;         // how long a commit takes
  Duration lease = 0;        // 0: none
  Members members;           // as the table answers who asks, if there are leases
  bool left = false;         // the worker said that it is no longer there
  Position acknowledged = 0;
  Position first_pulled = 0;           // by the last source that pulled anything
  std::set<std::uint32_t> numberings;  // of rows that were written
  bool store_fails = false;
  bool durable = true;
  MapStore::Values values;             // the store
  Position committed_when_stored = 0;  // what the table had when its last value came
  std::atomic<int> breaks_at{-1};      // the transform throws at this number
  std::atomic<int> marks{0};
  std::atomic<int> refused_marks{0};  // so many marks fail first
};

inline World* world = nullptr;  // operators are made by the registry and have no other way to it

/// Message n says n. Idle at the end; a mark adds a marker.
class StreamSource final : public Source {
 public:
  explicit StreamSource(const Settings&) {}
  Result<Position> open(Position after) override {
    const std::scoped_lock lock{world->mutex};
    if (world->unreachable) return fail(Error::Kind::unreachable, "the stream does not answer");
    if (world->forbidden) return fail(Error::Kind::refused, "not permitted to read the stream");
    if (after > 0 && after + 1 < world->first) return fail(Error::Kind::changed, "messages were deleted", "stream");
    stream_ = world->stream;
    next_ = std::max(after + 1, world->first);
    if (after == 0 && world->starts_new) next_ = world->messages + 1;
    return next_ - 1;
  }
  Result<std::optional<Timestamp>> arrival_at(Position position) override {
    const std::scoped_lock lock{world->mutex};
    if (position > world->messages) return fail(Error::Kind::changed, "the stream ends before it");
    if (world->deleted.contains(position)) return std::nullopt;
    return world->arrival_of(position);
  }
  Result<Pulled> pull(const Budget&, std::stop_token stop) override {
    if (world->slow_pull != 0) system_clock().wait(world->slow_pull, stop);
    const std::scoped_lock lock{world->mutex};
    if (std::exchange(world->changes, false)) return fail(Error::Kind::changed, "the stream was recreated", "stream");
    if (next_ > world->messages) {
      if (!world->endless) return Pulled{Pulled::State::end, {}};
      world->mutex.unlock();
      system_clock().wait(millisecond, stop);
      world->mutex.lock();
      return Pulled{};
    }
    struct Held {
      std::vector<std::string> texts;
    };
    auto held = std::make_shared<Held>();
    auto messages = std::make_shared<Messages>();
    const Position last = std::min(world->messages, next_ + 6);
    held->texts.reserve(last - next_ + 1);
    for (Position n = next_; n <= last; ++n) {
      if (world->deleted.contains(n)) continue;
      held->texts.push_back(std::to_string(n));
      Message message;
      message.subject = "s";
      message.key = "k";
      message.field = "f";
      message.payload = held->texts.back();
      message.sequence = n;
      message.arrival = world->arrival_of(n);
      messages->items.push_back(message);
    }
    messages->owner = held;
    if (std::exchange(fresh_, false)) world->first_pulled = next_;
    next_ = last + 1;
    if (messages->items.empty()) return Pulled{};
    return Pulled{Pulled::State::messages, messages};
  }
  Result<void> mark(Timestamp) override {
    ++world->marks;
    if (world->refused_marks > 0) {
      --world->refused_marks;
      return fail(Error::Kind::unreachable, "markers may not be written");
    }
    return {};
  }
  void committed(Position position) override { world->acknowledged = position; }
  StreamIdentity identity() const override { return stream_; }

 private:
  StreamIdentity stream_;
  Position next_ = 1;
  bool fresh_ = true;
};

class NumberCodec final : public Codec {
 public:
  explicit NumberCodec(const Settings&) {}
  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    if (message.payload == "13") return std::unexpected(Reason{"unlucky", "13"});
    Sample sample;
    sample.x = std::stod(std::string{message.payload});
    out.add(sample);
    return {};
  }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    return std::unexpected("no");
  }
};

/// Adds up what it sees: state that must survive.
class Sum final : public Transform {
 public:
  explicit Sum(const Settings& settings)
      : fails_at_{settings.integer("fails_at")}, silent_above_{settings.integer("silent_above")} {}
  Result<Schemas> bind_schema(const Schemas& inputs) override { return Schemas{inputs[0]}; }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) return {};
    auto sums = std::vector<double>{};
    auto keep = std::vector<std::uint8_t>{};
    for (const double x : in->columns[samples::x].float64s()) {
      if (const auto number = static_cast<std::int64_t>(x); number == fails_at_ || number == world->breaks_at)
        throw std::runtime_error("this breaks");
      sum_ += x;
      sums.push_back(sum_);
      keep.push_back(static_cast<std::int64_t>(x) <= silent_above_);
    }
    auto batch = std::make_shared<Batch>(*in);
    batch->columns[samples::x] = Column::float64(std::move(sums));
    out.emit(batch->select(keep));
    return {};
  }
  std::optional<Timestamp> due() const override { return 0; }
  void save(StateWriter& out) const override { out.put(sum_); }
  Result<void> load(StateReader& in) override {
    sum_ = in.get<double>();
    return {};
  }

 private:
  std::int64_t fails_at_, silent_above_;
  double sum_ = 0;
};

class TableSink final : public Sink, public BareLedger {
 public:
  explicit TableSink(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override {
    const std::scoped_lock lock{world->mutex};
    written_.clear();
    return world->down ? no_answer() : world->denied ? denied() : Result<void>{};
  }
  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    world->arrivals.insert(world->arrivals.end(), rows->arrival.begin(), rows->arrival.end());
    for (const double x : rows->columns[samples::x].float64s())
      out.bytes += std::to_string(static_cast<std::int64_t>(x)) + "\n";
    return out;
  }
  Result<void> write(const Encoded& rows) override {
    const std::scoped_lock lock{world->mutex};
    world->numberings.insert(rows.numbering);
    written_ += rows.bytes;
    return {};
  }
  bool write_dead_letter(const DeadLetter& letter) override {
    written_ += "dead " + letter.payload + " " + letter.reason.text() + "\n";
    return true;
  }
  Ledger* ledger() override { return this; }
  Result<Progress> acquire(Partition) override {
    const std::scoped_lock lock{world->mutex};
    if (world->down) return no_answer();
    if (world->taken) {
      ++world->refused_claims;
      return fail(Error::Kind::held, "another worker owns it");
    }
    fence_ = ++world->fence;
    world->owned = true;
    return world->progress;
  }
  void release(Partition) override {
    const std::scoped_lock lock{world->mutex};
    fence_ = 0;
    world->owned = false;
  }
  Duration lease() const override { return world->lease; }
  Result<Members> heartbeat() override {
    const std::scoped_lock lock{world->mutex};
    world->left = false;
    return world->members;
  }
  void leave() override { world->left = true; }
  Result<std::vector<Partition>> renew() override {  // on a connection of its own
    const std::scoped_lock lock{world->mutex};
    if (world->not_renewed) return fail(Error::Kind::unreachable, "no answer to the control connection");
    return world->taken && fence_ != 0 ? std::vector<Partition>{0} : std::vector<Partition>{};
  }
  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    std::unique_lock lock{world->mutex};
    if (const Duration slow = world->slow; slow != 0) {
      lock.unlock();
      system_clock().wait(slow, {});
      lock.lock();
    }
    if (world->down || fence_ != world->fence) {
      written_.clear();
      if (world->down) return no_answer();
      return Committed{.refused = {0}};
    }
    if (world->denied) return denied();
    for (std::size_t begin = 0; begin < written_.size();) {
      const auto end = written_.find('\n', begin);
      world->rows.push_back(written_.substr(begin, end - begin));
      begin = end + 1;
    }
    written_.clear();
    world->progress = lanes[0].next;
    ++world->commits;
    if (std::exchange(world->answer_lost, false)) return no_answer();
    return Committed{};
  }

 private:
  static std::unexpected<Error> denied() { return fail(Error::Kind::refused, "permission denied for table t"); }
  static std::unexpected<Error> no_answer() { return fail(Error::Kind::unreachable, "the table does not answer"); }

  std::string written_;
  int fence_ = 0;  // 0: the partition is not this sink's
};

class WorldStore final : public MapStore {
 public:
  explicit WorldStore(const Settings&) : MapStore{world->values} {}
  Result<void> put(std::string_view name, std::string_view value) override {
    const std::scoped_lock lock{world->mutex};
    if (world->store_fails) return fail(Error::Kind::unreachable, "the store does not answer");
    world->committed_when_stored = world->progress.place.position;
    return MapStore::put(name, value);
  }
  bool durable() const override { return world->durable; }
};

class WorldTest : public testing::Test {
 protected:
  WorldTest() {
    world = &world_;
    Spec source = Spec::source("a stream");
    source.claims([](const Settings&) {
      Claims claims;
      claims.ordered = claims.writable = true;
      claims.replayable = world->replayable;
      return claims;
    });
    registry_.add("sources", "stream", make_operator<StreamSource>(source));
    Spec sum = Spec::transform("adds up");
    sum.field("fails_at", kind::integer(), "throws at this number", "-1");
    sum.field("silent_above", kind::integer(), "emits nothing for numbers above it", "1000000000");
    registry_.add("transforms", "sum", make_operator<Sum>(sum));
    Spec table = Spec::sink("a table");
    table.claims([](const Settings&) {
      Claims claims;
      claims.transactional = true;
      return claims;
    });
    registry_.add("sinks", "table", make_operator<TableSink>(table));
    registry_.add("stores", "world", make_operator<WorldStore>(Spec::store("a store")));
    registry_.add("codecs", "number", make_operator<NumberCodec>(Spec::codec("a number")));
  }

  std::string snapshot_every_ = "100ms";

  Pipeline pipeline(std::string_view sum_settings = "", std::string_view root_settings = "") const {
    const std::string text = R"({ "name": "p",)" + std::string{root_settings} +
                             R"( "state": { "store": "world", "every": ")" + snapshot_every_ +
                             R"(" }, "commit": { "every": "1ms" }, "nodes": [
      { "id": "in", "source": "stream", "encoding": "number" },
      { "id": "sum", "transform": "sum", "from": "in")" +
                             std::string{sum_settings} + R"( },
      { "id": "out", "sink": "table", "from": "sum" } ] })";
    auto checked = check_pipeline(text, "p.json", registry_, {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    return std::move(*checked.pipeline);
  }

  /// The table as it must be after n messages: running sums, and the one that can't be decoded.
  static std::vector<std::string> expected(Position n) {
    std::vector<std::string> out;
    std::int64_t sum = 0;
    for (Position i = 1; i <= n; ++i) {
      if (i == 13) continue;
      sum += static_cast<std::int64_t>(i);
      out.push_back(std::to_string(sum));
    }
    return out;
  }

  std::vector<std::string> rows_without_letters() const {
    std::vector<std::string> out;
    for (const std::string& row : world_.rows) {
      if (!row.starts_with("dead")) out.push_back(row);
    }
    return out;
  }

  World world_;
  Registry registry_;
  Counters counters_;
};

}  // namespace weir::fakes
