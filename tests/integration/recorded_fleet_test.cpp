/// A faulty fleet through JetStream into TimescaleDB by a worker that is killed again and again, recorded beside its
/// rows: a replay makes the table that the live run wrote, row by row and value by value.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <map>
#include <sstream>

#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "integration/fleet_job.hpp"
#include "integration/stream_reading.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace weir::integration {
namespace {

constexpr Partition recorded_partitions = 2;
constexpr const char* row_values = "position_lat, position_lon, position_alt, heading, speed, charge";

/// A table's rows: vehicle and microsecond, then the bits of each value ("NULL"). In order.
using RecordedTable = std::vector<std::pair<std::string, std::vector<std::string>>>;

std::string bits_of(const std::string& number) {
  if (number == "NULL") return number;
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size()) throw std::runtime_error{number + " is no number"};
  return weir::format("{:016x}", std::bit_cast<std::uint64_t>(value));
}

class RecordedFleet : public testing::Test {
 protected:
  void begin() {
    const std::string fleet = directory_.write("fleet.json", weir::format(R"({{
      "name": "fleet", "limits": {{ "keys": 1000 }}, "nodes": [
        {{ "id": "vehicles", "source": "simulate", "speed": "1x", "vehicles": 60, "for": "6s", "frame": "100ms",
           "linger": "0s", "drive": "2s", "park": "1s", "link": {{ "every": "3s", "for": "800ms" }}, "faults": {{}},
           "sensors": {{ "position": {{ "rate": "5/s" }}, "heading": {{ "rate": "5/s" }}, "speed": {{ "rate": "10/s" }},
                         "charge": {{ "rate": "2/s" }} }} }},
        {{ "id": "nats", "sink": "nats", "from": "vehicles", "url": "{}", "stream": "TELEMETRY", "partitions": {},
           "subject": "vehicle.{{key}}.telemetry", "frame": 64 }} ] }})",
                                                                          nats_.nats(), recorded_partitions));
    job_file_ = directory_.write(
        "job.json", weir::format(R"({{
      "name": "job", "limits": {{ "keys": 1000 }},
      "state": {{ "store": "jetstream-kv", "url": "{0}", "bucket": "job-state", "every": "500ms" }}, "nodes": [
        {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "TELEMETRY", "partitions": {1}, "create": true,
           "subject": "vehicle.{{key}}.telemetry" }}, {2},
        {{ "id": "tape", "sink": "recording", "from": "signals", "path": "{3}" }},
        {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{4}", "table": "vehicle_second", "lease": "1500ms",
           {5} }} ] }})",
                                 nats_.nats(), recorded_partitions, join_nodes, tape_, database_.url(), row_columns));
    job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", job_file_}, directory_.file("job.log"));
    ASSERT_TRUE(job_->says_of_each(recorded_partitions, "starts")) << job_->log();
    fleet_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", fleet}, directory_.file("fleet.log"));
  }

  static void pause(Duration length) { system_clock().wait(length, {}); }

  /// What no decoder takes, and a key that has nothing to say in this partition.
  void publish_rubbish() {
    fakes::NatsPeer peer{nats_.nats()};
    for (Partition partition = 0; partition < recorded_partitions; ++partition) {
      peer.publish(weir::format("p.{}.vehicle.7.telemetry", partition), "not a frame");
      peer.publish(weir::format("p.{}.vehicle.8.telemetry", partition), "");
    }
    ASSERT_TRUE(peer.connection->flush(10 * second).has_value());
  }

  /// Sums over the partitions.
  std::uint64_t committed() const {
    const std::string sum = database_.ask("SELECT sum(position) FROM weir_progress WHERE pipeline = 'job'");
    return sum == "NULL" ? 0 : std::stoull(sum);
  }
  std::uint64_t stored() const {
    std::uint64_t out = 0;
    for (Partition partition = 0; partition < recorded_partitions; ++partition)
      out +=
          StreamReading{nats_.nats(), weir::format("TELEMETRY-{}", partition), {partition, recorded_partitions}}.last();
    return out;
  }

  void kill_and_start() {
    const std::uint64_t before = committed();
    ASSERT_EQ(job_->end(SIGKILL), fakes::WeirProcess::killed) << job_->log();
    job_->start();
    for (int i = 0; i < 1000 && committed() == before; ++i) pause(10 * millisecond);
    ASSERT_NE(committed(), before) << "no progress\n" << job_->log();
  }

  /// Until all is committed and nothing more is due, so that no more markers come.
  void finish() {
    ASSERT_EQ(fleet_->wait(), 0) << fleet_->log();
    std::uint64_t last = 0;
    int steady = 0;
    for (int i = 0; i < 400 && steady < 20; ++i) {
      pause(50 * millisecond);
      const std::uint64_t before = std::exchange(last, stored());
      steady = last == before && committed() == last ? steady + 1 : 0;
    }
    ASSERT_EQ(steady, 20) << "committed " << committed() << " of " << last << "\n" << job_->log();
    ASSERT_EQ(job_->end(SIGTERM), 0) << job_->log();
  }

  RecordedTable live() const {
    std::istringstream all{
        database_.ask(weir::format("SELECT key || '@' || (extract(epoch FROM time) * 1000000)::bigint, {} "
                                   "FROM vehicle_second",
                                   row_values))};
    RecordedTable out;
    for (std::string row; all >> row;) {
      out.emplace_back(row, std::vector<std::string>{});
      for (std::string value; out.back().second.size() < 6 && all >> value;)
        out.back().second.push_back(bits_of(value));
    }
    std::ranges::sort(out);
    return out;
  }

  duck::Rows ask(const std::string& file, const std::string& sql) const {
    auto opened = duck::File::open(file, 256u << 20);
    if (!opened) throw std::runtime_error{opened.error().message};
    auto rows = opened->run(sql);
    if (!rows) throw std::runtime_error{rows.error().message};
    return *std::move(rows);
  }

  RecordedTable replayed(const std::string& recording, const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"replay", recording, job_file_, "-q", "--sink", "db=duckdb:" + file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    fakes::WeirProcess process{arguments, directory_.file("replay.log")};
    EXPECT_EQ(process.wait(60 * second), 0) << process.log();
    RecordedTable out;
    for (const duck::Row& row : ask(file, weir::format("SELECT key || '@' || epoch_us(time), COLUMNS([{}])::VARCHAR "
                                                       "FROM vehicle_second",
                                                       quoted_columns()))) {
      auto& [name, values] = out.emplace_back(row[0].value_or("NULL"), std::vector<std::string>{});
      for (std::size_t i = 1; i < row.size(); ++i) values.push_back(bits_of(row[i].value_or("NULL")));
    }
    std::ranges::sort(out);
    return out;
  }

  static void expect_equal(const RecordedTable& replay, const RecordedTable& live) {
    ASSERT_EQ(replay.size(), live.size());
    for (std::size_t i = 0; i < live.size(); ++i) ASSERT_EQ(replay[i], live[i]) << "row " << i;
  }

  /// Partition, position and reason of each.
  std::vector<std::string> live_letters() const {
    std::istringstream all{
        database_.ask("SELECT partition || '/' || position || '/' || ordinal || '/' || reason FROM "
                      "weir_dead_letters ORDER BY partition, position, ordinal")};
    return {std::istream_iterator<std::string>{all}, {}};
  }
  std::vector<std::string> replayed_letters(const std::string& file) const {
    std::vector<std::string> out;
    for (const duck::Row& row : ask(file,
                                    "SELECT partition || '/' || position || '/' || ordinal || '/' || reason FROM "
                                    "weir_dead_letters ORDER BY partition, position, ordinal"))
      out.push_back(row[0].value_or("NULL"));
    return out;
  }

  fakes::Servers nats_{"nats"};
  fakes::PostgresServer database_;
  fakes::TemporaryDirectory directory_;
  const std::string tape_ = directory_.file("tape.weir");
  std::string job_file_;
  std::unique_ptr<fakes::WeirProcess> job_, fleet_;

 private:
  static std::string quoted_columns() {
    std::string out{"'"};
    for (const char* at = row_values; *at != 0; ++at) {
      if (*at == ' ') continue;
      out += *at == ',' ? std::string{"','"} : std::string{*at};
    }
    return out + "'";
  }
};

TEST_F(RecordedFleet, a_replay_makes_the_table_of_the_live_run) {
  begin();
  for (const Duration later : {1500 * millisecond, 300 * millisecond, 700 * millisecond}) {
    if (HasFatalFailure()) return;
    pause(later);
    publish_rubbish();
    kill_and_start();
  }
  finish();
  if (HasFatalFailure()) return;
  const RecordedTable table = live();
  ASSERT_GT(table.size(), 300u) << "too little came through to show anything";
  const auto letters = live_letters();
  ASSERT_GE(letters.size(), 9u) << "the rubbish was taken";
  {
    SCOPED_TRACE("the sink beside the rows, killed with them");
    const std::string file = directory_.file("again.duckdb");
    expect_equal(replayed(tape_, file), table);
    EXPECT_EQ(replayed_letters(file), letters);
  }
  {
    SCOPED_TRACE("in between pauses");
    expect_equal(replayed(tape_, directory_.file("paced.duckdb"), {"--speed", "20x"}), table);
  }
  SCOPED_TRACE("recorded out of the stream afterwards");
  const std::string whole = directory_.file("whole.weir");
  fakes::WeirProcess record{{"record", "--pipeline", job_file_, "-o", whole, "-q"}, directory_.file("record.log")};
  ASSERT_EQ(record.wait(60 * second), 0) << record.log();
  const std::string file = directory_.file("whole.duckdb");
  expect_equal(replayed(whole, file), table);
  EXPECT_EQ(replayed_letters(file), letters);
}

}  // namespace
}  // namespace weir::integration
