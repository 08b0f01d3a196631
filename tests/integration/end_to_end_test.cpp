/// The main job on real servers: a faulty fleet through JetStream into PostgreSQL, whatever breaks in the middle. The
/// rows in the table must be those that the reference makes of an independent reading of the stream.
#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <format>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>

#include <weir/format.hpp>

#include "fakes/certificates.hpp"
#include "fakes/nkeys.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "integration/fleet_job.hpp"
#include "integration/stream_reading.hpp"
#include "reference/completion.hpp"

namespace weir::integration {
namespace {

class EndToEnd;

/// One run of the job. What happens while the fleet drives is `disturb`'s; it must leave everything running.
struct Variant {
  const char* name;
  bool timescale;
  const char* store;
  std::function<void(EndToEnd&)> disturb;
  bool secured = false;  ///< NATS speaks TLS only, and knows its users by credentials
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

constexpr const char* fleet_text = R"({{
  "name": "fleet", "limits": {{ "keys": 1000 }},
  "nodes": [
    {{ "id": "vehicles", "source": "simulate", "speed": "1x", "vehicles": 60, "for": "6s", "frame": "100ms", "linger": "0s",
       "drive": "2s", "park": "1s", "link": {{ "every": "3s", "for": "800ms" }}, "faults": {{}},
       "sensors": {{ "position": {{ "rate": "5/s" }}, "heading": {{ "rate": "5/s" }}, "speed": {{ "rate": "10/s" }},
                     "charge": {{ "rate": "2/s" }} }} }},
    {{ "id": "nats", "sink": "nats", "from": "vehicles", "url": "{0}", "stream": "TELEMETRY",
       "subject": "vehicle.{{key}}.telemetry", "frame": 64{5} }} ] }})";

constexpr const char* job_text = R"({{
  "name": "job", "limits": {{ "keys": 1000 }},
  "state": {{ {2} "every": "500ms" }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "TELEMETRY",
       "subject": "vehicle.{{key}}.telemetry"{5} }}, {3},
    {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{1}", "table": "vehicle_second", "lease": "1500ms",
       {4} }} ] }})";

class EndToEnd : public testing::TestWithParam<Variant> {
 public:
  static void pause(Duration length) { system_clock().wait(length, {}); }

  /// Waits until the job has committed something that is not committed now.
  void wait_for_progress() {
    const std::uint64_t before = committed().value_or(0);
    for (int i = 0; i < 1000 && committed().value_or(before) == before; ++i) pause(10 * millisecond);
    EXPECT_NE(committed(), before) << "no progress\n" << job->log();
  }

  std::unique_ptr<fakes::Servers> nats;
  std::unique_ptr<fakes::PostgresServer> database;
  std::unique_ptr<fakes::WeirProcess> job, fleet;
  Login login;

 protected:
  void begin() {
    nats = std::make_unique<fakes::Servers>("nats", GetParam().secured ? secure() : "");
    const std::string access = GetParam().secured ? weir::format(R"(, "tls": {{ "ca": "{}" }}, "credentials": "{}")",
                                                                 login.ca, login.credentials)
                                                  : "";
    database = std::make_unique<fakes::PostgresServer>(GetParam().timescale);
    const std::string store = GetParam().store == std::string{"memory"}
                                  ? R"("store": "memory",)"
                                  : weir::format(R"("store": "{}", "url": "{}", "bucket": "job-state"{},)",
                                                 GetParam().store, nats->nats(), access);
    const auto write = [&](const char* name, const char* text) {
      return directory_.write(name, std::vformat(text, std::make_format_args(nats->nats(), database->url(), store,
                                                                             join_nodes, row_columns, access)));
    };
    job = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", write("job.json", job_text)},
                                               directory_.file("job.log"));
    ASSERT_TRUE(job->says("partition 0: starts")) << job->log();
    fleet = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", write("fleet.json", fleet_text)},
                                                 directory_.file("fleet.log"));
  }

  /// Waits until everything in the stream is in the table and nothing more is due, which the job shows by storing no
  /// more markers; then ends the job. Answers the position that it reached.
  std::uint64_t finish(const StreamReading& stream) {
    EXPECT_EQ(fleet->wait(), 0) << fleet->log();
    std::uint64_t last = 0;
    int steady = 0;
    for (int i = 0; i < 400 && steady < 20; ++i) {
      pause(50 * millisecond);
      const std::uint64_t before = std::exchange(last, stream.last());
      steady = last == before && committed() == last ? steady + 1 : 0;
    }
    EXPECT_EQ(steady, 20) << "committed " << committed().value_or(0) << " of " << last << "\n" << job->log();
    EXPECT_EQ(job->end(SIGTERM), 0) << job->log();
    return committed().value();
  }

  void compare(const std::vector<reference::Input>& inputs) const {
    const reference::JoinSettings settings = join_settings();
    const reference::Joined joined = reference::window_join(inputs, settings);
    auto rows = reference::complete(joined.rows, settings.fields, columns(), false);
    ASSERT_GT(rows.size(), 100u) << "too little came through to show anything";
    EXPECT_GT(joined.counters.at("late"), 0u) << "the fleet was not faulty";
    std::ranges::sort(rows, {}, [](const reference::Row& row) { return std::pair{row.key, row.tick}; });
    std::istringstream table{database->ask(
        "SELECT key, (extract(epoch FROM time) * 1000000000)::bigint, position_lat, position_lon, position_alt, "
        "heading, speed, charge FROM vehicle_second ORDER BY key COLLATE \"C\", time")};
    std::size_t number = 0;
    for (const reference::Row& row : rows) {
      std::string key, tick;
      table >> key >> tick;
      ASSERT_EQ(weir::format("{} {} {}", number, key, tick), weir::format("{} {} {}", number, row.key, row.tick))
          << "of " << rows.size() << " rows\n"
          << job->log();
      compare_row(table, row);
      if (HasFailure()) return;
      ++number;
    }
    std::string more;
    EXPECT_FALSE(table >> more) << "the table has more rows, from " << more << "\n" << job->log();
  }

  std::optional<std::uint64_t> committed() const {
    try {
      const std::string position = database->ask("SELECT position FROM weir_progress WHERE pipeline = 'job'");
      return position.empty() ? 0 : std::stoull(position);
    } catch (const std::exception&) {
      return {};  // the database is down
    }
  }

 private:
  /// Answers lines for the server's configuration; `login` is what they ask for.
  std::string secure() {
    certificates_.emplace();
    const fakes::Credentials credentials{directory_};
    login = {certificates_->certificate("ca"), credentials.file};
    return certificates_->server("server", false) + credentials.server_conf;
  }

  static void compare_row(std::istream& table, const reference::Row& row) {
    const reference::Cell& position = row.cells[0];
    const bool known = position.quality != Quality::null;
    compare_cell(table, known, position.value.x, 1e-9, row);
    compare_cell(table, known, position.value.y.value_or(0), 1e-9, row);
    compare_cell(table, known && position.value.z, position.value.z.value_or(0), 0, row);
    for (std::size_t c = 1; c < row.cells.size(); ++c)
      compare_cell(table, row.cells[c].quality != Quality::null, row.cells[c].value.x, 0, row);
  }

  static void compare_cell(std::istream& table, bool known, double want, double tolerance, const reference::Row& row) {
    std::string text;
    table >> text;
    ASSERT_EQ(text == "NULL", !known) << row.key << " " << row.tick << ": " << text << ", not " << want;
    if (!known) return;
    double got = 0;
    std::from_chars(text.data(), text.data() + text.size(), got);
    EXPECT_LE(std::abs(got - want), tolerance) << row.key << " " << row.tick << ": " << text << ", not " << want;
  }

  fakes::TemporaryDirectory directory_;
  std::optional<fakes::Certificates> certificates_;
};

TEST_P(EndToEnd, TheTableHasTheRowsOfTheReference) {
  begin();
  if (HasFatalFailure()) return;
  GetParam().disturb(*this);
  const StreamReading stream{nats->nats(), "TELEMETRY", {}, login};
  const std::uint64_t position = finish(stream);
  compare(stream.read(position));
}

void nothing(EndToEnd&) {}

void stop_and_start(EndToEnd& run) {
  EndToEnd::pause(2 * second);
  EXPECT_EQ(run.job->end(SIGTERM), 0) << run.job->log();
  EndToEnd::pause(second);
  run.job->start();
}

void kill_thrice(EndToEnd& run) {
  for (const Duration later : {1500 * millisecond, 300 * millisecond, 700 * millisecond}) {
    EndToEnd::pause(later);
    EXPECT_EQ(run.job->end(SIGKILL), fakes::WeirProcess::killed) << run.job->log();
    run.job->start();
    run.wait_for_progress();
  }
}

void kill_nats(EndToEnd& run) {
  EndToEnd::pause(2 * second);
  run.nats->kill("nats");
  EndToEnd::pause(second);
  run.nats->start("nats");
}

void kill_database(EndToEnd& run) {
  EndToEnd::pause(2 * second);
  run.database->kill();
  EndToEnd::pause(second);
  run.database->start();
}

INSTANTIATE_TEST_SUITE_P(Disturbed, EndToEnd,
                         testing::Values(Variant{"by_nothing", true, "jetstream-kv", nothing},
                                         Variant{"by_nothing_on_plain_postgresql", false, "memory", nothing},
                                         Variant{"by_a_stop", true, "jetstream-kv", stop_and_start},
                                         Variant{"by_a_stop_without_snapshots", false, "memory", stop_and_start},
                                         Variant{"by_kills", true, "jetstream-kv", kill_thrice},
                                         Variant{"by_kills_without_snapshots", false, "memory", kill_thrice},
                                         Variant{"by_a_killed_nats_server", true, "jetstream-kv", kill_nats},
                                         Variant{"by_a_killed_postgresql", true, "jetstream-kv", kill_database},
                                         Variant{"behind_tls_and_credentials_by_a_killed_nats_server", true,
                                                 "jetstream-kv", kill_nats, true}),
                         [](const auto& variant) { return variant.param.name; });

}  // namespace
}  // namespace weir::integration
