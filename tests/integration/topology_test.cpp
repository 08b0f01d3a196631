/// Topologies without a stream, as processes on real servers: core NATS, and current values shared in a bucket. What
/// was published is received or counted by reason, and the rows are those that the reference makes of what was
/// received.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <queue>
#include <sstream>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/postgres.hpp"
#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "reference/completion.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
Operator weir_operator_codecs_json();
}  // namespace weir

namespace weir::integration {
namespace {

/// A number that a worker told at its end, "<node>.<counter>{reason} n", summed over reasons.
std::uint64_t told(const fakes::WeirProcess& worker, const std::string& counter) {
  std::istringstream log{worker.log()};
  std::uint64_t sum = 0;
  for (std::string line; std::getline(log, line);) {
    const auto at = line.find(" " + counter);
    const auto end = at + 1 + counter.size();
    if (at != std::string::npos && end < line.size() && (line[end] == ' ' || line[end] == '{'))
      sum += std::stoull(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

/// Vehicles whose samples are sent when they are measured or, every fifth of them, up to 1.2 s later.
class Fleet {
 public:
  Fleet(const std::string& url, int vehicles) : peer{url}, vehicles_{vehicles} {}

  /// Drives for so long and until everything was sent. `meanwhile` is called every 20 ms.
  void drive(Duration length, const std::function<void()>& meanwhile) {
    const Timestamp start = system_clock().now() / millisecond * millisecond;
    for (Timestamp measured = start; measured < start + length || !waiting_.empty();) {
      const Timestamp now = system_clock().now();
      for (; measured <= now && measured < start + length; measured += 100 * millisecond)
        measure_all(static_cast<int>((measured - start) / (100 * millisecond)), measured);
      for (; !waiting_.empty() && waiting_.top().at <= now; waiting_.pop()) send(waiting_.top());
      peer.connection->flush(5 * second).value();
      meanwhile();
      system_clock().wait(20 * millisecond, {});
    }
  }

  std::uint64_t published = 0;
  std::map<std::string, Timestamp> newest;  ///< event time by "<key>.<field>"
  fakes::NatsPeer peer;

 private:
  struct Measured {
    Timestamp at = 0;  ///< when it is sent
    std::string key, field;
    Timestamp time = 0;
    double x = 0, y = 0;
    bool operator<(const Measured& other) const { return at > other.at; }
  };

  void measure_all(int step, Timestamp time) {
    for (int v = 0; v < vehicles_; ++v, time += microsecond) {
      const std::string key = "v" + std::to_string(v);
      measure({0, key, "speed", time, 50.0 + v + step % 7, 0});
      if (step % 2 == 0) measure({0, key, "position", time, 52.5 + step * 1e-4, 13.4 + v * 1e-3});
      if (step % 5 == 0) measure({0, key, "charge", time, 80 - step * 0.01, 0});
      if (step % 10 == 0) measure({0, key, "power", time, 1, 0});
    }
  }
  void measure(Measured sample) {
    ++count_;
    sample.at = sample.time + (count_ % 5 == 0 ? count_ * 7919 % 1200 * millisecond : 0);
    waiting_.push(std::move(sample));
  }

  void send(const Measured& m) {
    const Sample sample{.key = m.key,
                        .field = m.field,
                        .time = m.time,
                        .x = m.x,
                        .y = m.y,
                        .z = std::nan(""),
                        .kind = m.field == "position" ? Sample::Kind::point : Sample::Kind::number};
    peer.publish("vehicle." + m.key + "." + m.field, codec_->encode({&sample, 1}, true, true).value());
    ++published;
    auto& last = newest[m.key + "." + m.field];
    last = std::max(last, m.time);
  }

  int vehicles_;
  Timestamp count_ = 0;
  std::priority_queue<Measured> waiting_;
  std::unique_ptr<Codec> codec_ = fakes::make_codec(weir_operator_codecs_flatbuffers());
};

/// A pipeline's worker writes everything that it received, with its arrival, into the table "heard".
class Hearing {
 public:
  explicit Hearing(const std::string& url)
      : connection_{std::make_unique<postgres::Connection>(postgres::Connection::open({url, "test"}).value())} {
    // Numbered, as a heap does not keep the order in which rows came: a COPY leaves free pages to those that follow.
    ask(R"(CREATE TABLE heard (key text, field text, "time" timestamptz NOT NULL, x float8, y float8,
                               z float8, text text, number bigserial))");
  }

  /// Nodes that do so behind a source. How long after its event time a sample arrived is in z, which nobody else uses.
  static std::string nodes(const std::string& source, const std::string& url) {
    return weir::format(R"(
      {{ "id": "stamped", "transform": "map", "from": "{0}", "set": {{ "z": "arrival - time" }} }},
      {{ "id": "heard", "sink": "timescale", "from": "stamped", "url": "{1}", "table": "heard", "hypertable": "never" }})",
                        source, url);
  }

  std::vector<std::vector<std::string>> ask(const std::string& sql) const {
    std::vector<std::vector<std::string>> out;
    const auto rows = connection_->run(sql);
    if (!rows) throw std::runtime_error{rows.error().message};
    for (const auto& row : *rows) {
      auto& line = out.emplace_back();
      for (const auto& value : row) line.push_back(value.value_or("NULL"));
    }
    return out;
  }
  std::uint64_t count(const std::string& table) const {
    if (ask("SELECT to_regclass('" + table + "')")[0][0] == "NULL") return 0;
    return std::stoull(ask("SELECT count(*) FROM " + table)[0][0]);
  }

  /// Waits until a table has grown no more for so long.
  void settle(const std::string& table, Duration quiet) const {
    std::uint64_t before = 0;
    Timestamp since = system_clock().steady();
    for (const Timestamp end = since + minute; system_clock().steady() < end;) {
      system_clock().wait(100 * millisecond, {});
      const std::uint64_t rows = count(table);
      if (rows != std::exchange(before, rows)) since = system_clock().steady();
      if (rows > 0 && system_clock().steady() - since > quiet) return;
    }
    ADD_FAILURE() << table << " never came to rest";
  }

  /// In the order in which it was received; then nothing for a while.
  std::vector<reference::Input> inputs() const {
    std::vector<reference::Input> out;
    for (const auto& row :
         ask("SELECT key, field, (extract(epoch FROM time) * 1000000)::bigint, x, y, z::bigint FROM heard "
             "ORDER BY number")) {
      reference::Sample sample{.key = row[0], .field = row[1], .time = std::stoll(row[2]) * microsecond};
      sample.value.x = std::stod(row[3]);
      if (row[4] != "NULL") sample.value.y = std::stod(row[4]);
      sample.arrival = sample.time + std::stoll(row[5]);
      const Timestamp arrival = sample.arrival;
      out.push_back({std::move(sample), arrival});
    }
    if (!out.empty()) out.push_back({std::nullopt, out.back().reached + minute});
    return out;
  }

  /// The table has exactly the rows that the reference makes.
  void compare(const std::string& table, const reference::JoinSettings& settings,
               const std::vector<RowColumn>& columns) const {
    const auto joined = reference::window_join(inputs(), settings);
    auto rows = reference::complete(joined.rows, settings.fields, columns, false);
    std::ranges::sort(rows, {}, [](const reference::Row& row) { return std::pair{row.key, row.tick}; });
    ASSERT_GT(rows.size(), 50u) << "too little to show anything";
    std::string names;
    for (const RowColumn& column : columns) {
      for (const char* part : {"_lat", "_lon"}) {
        if (column.kind == FieldKind::point) names += ", " + column.field + part;
      }
      if (column.kind != FieldKind::point) names += ", " + column.field;
    }
    const auto found = ask(weir::format(
        "SELECT key, (extract(epoch FROM time) * 1000000)::bigint{} FROM {} ORDER BY key COLLATE \"C\", time", names,
        table));
    ASSERT_EQ(found.size(), rows.size());
    for (std::size_t i = 0; i < rows.size() && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(weir::format("row {}: {} {}", i, rows[i].key, rows[i].tick));
      EXPECT_EQ(found[i][0], rows[i].key);
      EXPECT_EQ(std::stoll(found[i][1]) * microsecond, rows[i].tick);
      std::size_t at = 2;
      for (std::size_t c = 0; c < columns.size(); ++c) {
        const reference::Cell& cell = rows[i].cells[c];
        expect_cell(found[i][at++], cell.quality != Quality::null, cell.value.x);
        if (columns[c].kind == FieldKind::point)
          expect_cell(found[i][at++], cell.quality != Quality::null, cell.value.y.value_or(0));
      }
    }
  }

 private:
  static void expect_cell(const std::string& found, bool known, double value) {
    EXPECT_EQ(found != "NULL", known);
    if (known && found != "NULL") {
      EXPECT_NEAR(std::stod(found), value, 1e-9);
    }
  }

  std::unique_ptr<postgres::Connection> connection_;
};

RowColumn column(std::string field, Fill fill, Duration max_gap) {
  RowColumn out;
  out.field = std::move(field);
  out.fill = fill;
  out.kind = fill == Fill::geo ? FieldKind::point : FieldKind::number;
  out.max_gap = out.max_age = max_gap;
  return out;
}

TEST(CoreNats, gives_the_rows_of_what_the_worker_received) {
  fakes::Servers servers{"nats timescale"};
  fakes::TemporaryDirectory files;
  const std::string& database = servers.url("PG_URL");
  const Hearing hearing{database};
  const std::string pipeline =
      files.write("core.json", weir::format(R"({{ "name": "core", "limits": {{ "keys": 100 }}, "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{}", "subject": "vehicle.{{key}}.{{field}}" }}, {},
      {{ "id": "last", "transform": "keyed-last-value", "from": "signals" }},
      {{ "id": "rows", "transform": "window-join", "from": "last", "every": "500ms", "wait": "600ms" }},
      {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{}", "table": "rows",
         "columns": {{ "speed": {{}}, "charge": {{ "fill": "step" }}, "position": {{ "fill": "geo" }} }} }} ] }})",
                                            servers.nats(), hearing.nodes("signals", database), database));
  fakes::WeirProcess worker{{"run", pipeline}, files.file("log")};
  ASSERT_TRUE(worker.says("partition 0: starts")) << worker.log();
  Fleet fleet{servers.nats(), 10};
  constexpr std::uint64_t corrupt = 7;
  for (std::uint64_t i = 0; i < corrupt; ++i) fleet.peer.publish("vehicle.v1.speed", std::string(i, 'x'));
  fleet.drive(6 * second, [] {});
  hearing.settle("rows", 2 * second);
  EXPECT_EQ(worker.end(SIGTERM), 0) << worker.log();

  EXPECT_EQ(told(worker, "signals.received") + told(worker, "signals.dropped"), fleet.published + corrupt);
  EXPECT_EQ(told(worker, "signals.samples"), fleet.published) << worker.log();
  EXPECT_EQ(told(worker, "signals.invalid"), corrupt);
  EXPECT_EQ(hearing.count("weir_dead_letters"), corrupt);
  EXPECT_EQ(hearing.count("heard"), fleet.published);
  EXPECT_GT(told(worker, "rows.late"), 0u) << "nothing was late: too easy";
  EXPECT_EQ(told(worker, "db.rows"), hearing.count("rows"));
  reference::JoinSettings settings;
  settings.fields = {"speed", "charge", "position"};
  settings.every = 500 * millisecond;
  settings.wait = 600 * millisecond;
  hearing.compare("rows", settings,
                  {column("speed", Fill::linear, 5 * second), column("charge", Fill::step, 5 * second),
                   column("position", Fill::geo, 5 * second)});
}

/// Follows a bucket and sees that no value's event time ever falls.
class Watch {
 public:
  Watch(fakes::NatsPeer& peer, const std::string& bucket) : watch_{*peer.jetstream, bucket, system_clock()} {
    watch_.start().value();
  }

  void follow() {
    class Time final : public SampleSink {
     public:
      void add(const Sample& sample) override { time = sample.time.value(); }
      void refuse(Reason reason) override { ADD_FAILURE() << reason.text(); }
      Timestamp time = no_time;
    };
    watch_
        .follow(
            [&](const nats::BucketWatch::Update& update) {
              Time read;
              const bool fine = codec_->decode({.payload = update.value, .key = "k", .field = "f"}, read).has_value();
              EXPECT_TRUE(fine && !update.removed) << update.key << ": " << update.value;
              const auto [known, added] = times.try_emplace(std::string{update.key}, read.time);
              EXPECT_LE(known->second, read.time) << update.key << " fell back";
              known->second = read.time;
            },
            0, {})
        .value();
  }

  std::map<std::string, Timestamp> times;

 private:
  nats::BucketWatch watch_;
  std::unique_ptr<Codec> codec_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
};

/// A ready pipeline with more nodes behind it.
std::string with_nodes(const std::string& name, const std::string& nodes) {
  std::ifstream in{std::string{WEIR_SOURCE_DIR} + "/pipelines/" + name};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  return text.insert(text.rfind(']'), ",\n" + nodes);
}

TEST(SharedCurrentValues, reach_the_table_from_two_workers_and_never_go_back) {
  fakes::Servers servers{"nats timescale"};
  fakes::TemporaryDirectory files;
  const std::string& database = servers.url("PG_URL");
  const Hearing hearing{database};
  const std::string env = files.write("env", "NATS_URL=" + servers.nats() + "\nPG_URL=" + database + "\n");
  const std::string ingest = files.write(
      "ingest.json", with_nodes("ingest.json", R"({ "id": "nowhere", "sink": "drop", "from": "signals" })"));
  const std::string aggregate =
      files.write("aggregate.json", with_nodes("aggregate.json", hearing.nodes("now", database)));
  fakes::WeirProcess one{{"run", ingest, "-e", env}, files.file("one.log")};
  fakes::WeirProcess two{{"run", ingest, "-e", env}, files.file("two.log")};
  fakes::WeirProcess rows{{"run", aggregate, "-e", env}, files.file("rows.log")};
  for (auto* worker : {&one, &two, &rows}) ASSERT_TRUE(worker->says("partition 0: starts")) << worker->log();

  Fleet fleet{servers.nats(), 40};
  Watch watch{fleet.peer, "fleet-now"};
  fleet.drive(6 * second, [&] { watch.follow(); });
  for (int i = 0; i < 250 && watch.times != fleet.newest; ++i) {
    system_clock().wait(20 * millisecond, {});
    watch.follow();
  }
  EXPECT_EQ(watch.times, fleet.newest) << "the bucket does not hold the newest values";
  hearing.settle("vehicle_now", 6 * second);
  for (auto* worker : {&one, &two, &rows}) EXPECT_EQ(worker->end(SIGTERM), 0) << worker->log();

  std::uint64_t received = 0;
  for (const auto* worker : {&one, &two}) {
    const std::uint64_t samples = told(*worker, "signals.samples");
    EXPECT_GT(samples, fleet.published / 10) << "the workers did not share";
    EXPECT_EQ(told(*worker, "signals.received"), samples);
    received += samples + told(*worker, "signals.dropped");
    std::uint64_t counted = 0;
    for (const char* what : {"published", "superseded", "coalesced", "rejected"})
      counted += told(*worker, std::string{"now."} + what);
    EXPECT_EQ(counted, samples) << worker->log();
  }
  EXPECT_EQ(received, fleet.published);
  EXPECT_GT(told(one, "now.superseded") + told(two, "now.superseded"), 0u)
      << "no older value met a newer one: too easy";
  EXPECT_EQ(told(rows, "now.received"), hearing.count("heard"));
  EXPECT_EQ(told(rows, "db.rows"), hearing.count("vehicle_now"));

  reference::JoinSettings settings;
  settings.fields = {"position", "heading", "speed", "torque", "charge"};
  settings.wait = 3 * second;
  settings.session = reference::SessionSettings{"power", 1, 0};
  hearing.compare("vehicle_now", settings,
                  {column("position", Fill::geo, 5 * second), column("heading", Fill::angle, 5 * second),
                   column("speed", Fill::linear, 5 * second), column("torque", Fill::linear, 5 * second),
                   column("charge", Fill::linear, 60 * second)});
}

/// What is in the bucket at a restart was given out before: it makes state, so that later rows are whole, but no row.
TEST(SharedCurrentValues, make_no_row_again_at_a_restart) {
  fakes::Servers servers{"nats timescale"};
  fakes::TemporaryDirectory files;
  const Hearing table{servers.url("PG_URL")};
  fakes::NatsPeer peer{servers.nats()};
  ASSERT_TRUE(nats::ensure_bucket(*peer.jetstream, {.name = "now"}));
  nats::Bucket bucket{*peer.jetstream, "now"};
  const std::string file =
      files.write("now.json", weir::format(R"({{ "name": "now", "limits": {{ "keys": 100 }}, "nodes": [
      {{ "id": "now", "source": "jetstream-kv", "url": "{}", "bucket": "now", "every": "100ms" }},
      {{ "id": "last", "transform": "keyed-last-value", "from": "now" }},
      {{ "id": "rows", "transform": "window-join", "from": "last", "every": "1s", "wait": "500ms",
        "session": {{ "timeout": "60s" }} }},
      {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{}", "table": "parked", "lease": "1s",
        "columns": {{ "speed": {{ "fill": "linear" }}, "charge": {{ "fill": "linear", "max_gap": "60s" }} }} }} ] }})",
                                           servers.nats(), servers.url("PG_URL")));
  const auto put = [&](const char* key, Timestamp time, double value) {
    ASSERT_TRUE(bucket.put(key, weir::format(R"({{"time": "{}", "value": {}}})", format_rfc3339(time), value)));
  };
  const Timestamp tick = system_clock().now() / second * second;
  put("v.speed", tick - 200 * millisecond, 10);
  put("v.charge", tick - 100 * millisecond, 80);
  put("w.charge", tick - 100 * millisecond, 70);
  fakes::WeirProcess worker{{"run", file}, files.file("log")};
  const auto rows_of = [&](const char* vehicle) {
    return table.ask(weir::format("SELECT count(*), count(charge) FROM parked WHERE key = '{}'", vehicle));
  };
  const auto wait_for = [&](const char* vehicle, const char* rows) {
    for (int i = 0; i < 500 && rows_of(vehicle)[0][0] != rows; ++i) system_clock().wait(20 * millisecond, {});
    return rows_of(vehicle)[0][0] == rows;
  };
  ASSERT_TRUE(worker.says("partition 0: starts")) << worker.log();
  put("v.speed", tick + 200 * millisecond, 20);
  ASSERT_TRUE(wait_for("v", "1")) << worker.log();
  for (const int end : {SIGKILL, SIGTERM}) {
    worker.end(end);
    worker.start();
    system_clock().wait(2 * second, {});
  }
  EXPECT_EQ(rows_of("v")[0][0], "1") << "the row between its last samples was written again\n" << worker.log();

  put("w.charge", tick + 1100 * millisecond, 60);
  EXPECT_TRUE(wait_for("w", "2")) << "what it knew before the restart is gone\n" << worker.log();
  EXPECT_EQ(rows_of("w")[0][1], "2") << testing::PrintToString(table.ask("SELECT * FROM parked ORDER BY key, time"));
  EXPECT_EQ(worker.end(SIGTERM), 0) << worker.log();
}

/// Nothing is acknowledged before its value is in the bucket; also where the source gives again what was not.
TEST(SharedCurrentValues, are_written_by_another_worker_when_one_dies_before) {
  fakes::Servers servers{"nats"};
  fakes::TemporaryDirectory files;
  fakes::NatsPeer peer{servers.nats()};
  fakes::ForeignStream stream{"SIGNALS", "vehicle.>"};
  ASSERT_EQ(stream.add(peer), NATS_OK);
  fakes::ForeignStream full{nats::bucket_stream("fleet-now"), nats::bucket_subject("fleet-now", ">")};
  full.config.MaxMsgsPerSubject = 1;
  full.config.MaxBytes = 10;
  full.config.Discard = js_DiscardNew;
  ASSERT_EQ(full.add(peer), NATS_OK);
  constexpr long vehicles = 20;
  const auto ingest = [&](const std::string& name, const std::string& url) {
    return files.write(name, weir::format(R"({{ "name": "ingest", "limits": {{ "keys": 1000 }}, "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "SIGNALS", "mode": "shared", "durable": "ingest",
        "ack_wait": "1s", "encoding": "json" }},
      {{ "id": "now", "sink": "jetstream-kv", "from": "signals", "url": "{1}", "bucket": "fleet-now" }} ] }})",
                                          servers.nats(), url));
  };
  fakes::WeirProcess one{{"run", ingest("one.json", servers.nats())}, files.file("one.log")};
  ASSERT_TRUE(one.says("partition 0: starts")) << one.log();
  for (long vehicle = 0; vehicle < vehicles; ++vehicle) {
    peer.publish(weir::format("vehicle.v{}.speed", vehicle), R"({ "time": 1, "value": 5 })");
    system_clock().wait(10 * millisecond, {});
  }
  const auto pending = [&] {
    jsConsumerInfo* info = nullptr;
    if (js_GetConsumerInfo(&info, peer.jetstream->handle(), "SIGNALS", "ingest", nullptr, nullptr) != NATS_OK)
      return -1L;
    const auto out = static_cast<long>(info->NumAckPending);
    jsConsumerInfo_Destroy(info);
    return out;
  };
  for (int i = 0; i < 500 && pending() != vehicles; ++i) system_clock().wait(20 * millisecond, {});
  system_clock().wait(second, {});
  EXPECT_EQ(pending(), vehicles) << "acknowledged before it was in the bucket";
  EXPECT_EQ(one.end(SIGKILL), fakes::WeirProcess::killed);

  full.config.MaxBytes = -1;
  ASSERT_EQ(full.update(peer), NATS_OK);
  fakes::WeirProcess two{{"run", ingest("two.json", servers.nats())}, files.file("two.log")};
  nats::Bucket bucket{*peer.jetstream, "fleet-now"};
  const auto written = [&] { return bucket.names("").value().size(); };
  for (int i = 0; i < 500 && written() != vehicles; ++i) system_clock().wait(20 * millisecond, {});
  ASSERT_EQ(written(), vehicles) << two.log();
  for (int i = 0; i < 500 && pending() != 0; ++i) system_clock().wait(20 * millisecond, {});
  EXPECT_EQ(pending(), 0);
  EXPECT_EQ(two.end(SIGTERM), 0) << two.log();

  fakes::WeirProcess lost{{"run", "--fail-fast", ingest("lost.json", "nats://127.0.0.1:1")}, files.file("lost.log")};
  EXPECT_EQ(lost.wait(), 69) << lost.log();
  EXPECT_THAT(lost.log(), testing::HasSubstr("now: ")) << "which node is not told";
}

}  // namespace
}  // namespace weir::integration
