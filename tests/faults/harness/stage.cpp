#include "faults/harness/stage.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "fakes/shifted_clock.hpp"
#include "integration/fleet_job.hpp"
#include "integration/stream_reading.hpp"

namespace weir::faults {
namespace {

constexpr const char* pipeline_text = R"({{
  "name": "{0}", "limits": {{ "keys": 1000 }}, "shutdown_timeout": "{16}s",
  "state": {{ "store": "jetstream-kv", "url": "{1}", "bucket": "{2}", "replicas": {11}, "every": "500ms" }},
  "nodes": [
    {{ "id": "{3}", "source": "nats", "url": "{1}", "stream": "{4}", "partitions": {5},
       "replicas": {11}, "subject": "vehicle.{{key}}.telemetry" }},{6}{7},
    {{ "id": "of_one", "transform": "filter", "from": "signals", "where": "field == '{13}'" }},
    {{ "id": "now", "sink": "jetstream-kv", "from": "of_one", "url": "{1}", "bucket": "{14}" }},
    {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{8}", "table": "vehicle_second", "lease": "{9}ms",
       {10} }},
    {{ "id": "copies", "sink": "nats", "from": "rows", "url": "{1}", "stream": "{12}", "replicas": {11},
       "subject": "copies.{{key}}", {10} }},
    {{ "id": "trips", "sink": "timescale", "from": "rows.sessions", "url": "{8}", "table": "session",
       "lease": "{9}ms" }}{15} ] }})";

constexpr const char* another_database = R"(,
    {{ "id": "twin", "sink": "timescale", "from": "rows", "url": "{}", "table": "vehicle_second", "lease": "{}ms",
       {} }})";

// Where everything passes it still is another pipeline, whose state is another one.
constexpr const char* another_transform = R"(
    {{ "id": "signals", "transform": "filter", "from": "raw", "where": "field != '{}'" }},)";

std::unique_ptr<fakes::PostgresServer> start_database() {
  try {
    return std::make_unique<fakes::PostgresServer>(true, false, std::vector<std::string>{}, true);
  } catch (const std::exception&) {
    return std::make_unique<fakes::PostgresServer>(false, false, std::vector<std::string>{},
                                                   true);  // no TimescaleDB here
  }
}

/// The first line that a command prints.
std::string first_line(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "?";
  std::array<char, 200> line{};
  const bool any = std::fgets(line.data(), line.size(), pipe) != nullptr;
  ::pclose(pipe);
  std::string out = any ? line.data() : "?";
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

namespace {
thread_local std::function<void()> meanwhile;
}

void pause(Duration length) {
  if (const auto other = std::exchange(meanwhile, {})) other();
  system_clock().wait(length, {});
}

void at_next_pause(std::function<void()> what) { meanwhile = std::move(what); }

Worker::Worker(const NatsServers& nats_servers, const fakes::PostgresServer& database_server,
               const fakes::PostgresServer* second_server)
    : nats{nats_servers.ports()}, database{fakes::port_of(database_server.url())} {
  nats.follow_messages();
  if (second_server != nullptr) second = std::make_unique<Proxy>(fakes::port_of(second_server->url()));
}

std::size_t Worker::said(const std::string& text) const {
  const std::string all = process->log();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = all.find(text, at)) != std::string::npos; at += text.size()) ++count;
  return count;
}

Stage::Stage(std::uint32_t partition_count, std::size_t worker_count, Sabotage sabotage, std::size_t nats_count,
             std::size_t database_count)
    : partitions{partition_count},
      usual_workers{worker_count},
      nats{nats_count},
      database{start_database()},
      second{database_count > 1 ? start_database() : nullptr},
      sabotage_{std::move(sabotage)} {
  while (workers.size() < usual_workers) add_worker();
}

Worker& Stage::add_worker() {
  auto worker = std::make_unique<Worker>(nats, *database, second.get());
  if (!sabotage_.text.empty()) {
    std::string by = sabotage_.by;
    by.resize(sabotage_.text.size(), ' ');
    (sabotage_.at_nats ? worker->nats : worker->database).rewrite(sabotage_.text, by);
  }
  worker->file = directory_.file(weir::format("worker-{}.json", ++made_));
  worker->log = directory_.file(weir::format("worker-{}.log", made_));
  worker->clock = directory_.file(weir::format("worker-{}.clock", made_));
  fakes::set_clock(worker->clock, 0);
  write(*worker);
  start(*worker);
  return *workers.emplace_back(std::move(worker));
}

void Stage::start(Worker& worker) const {
  if (worker.process && worker.process->runs()) return;  // another fault has started it
  if (worker.process)
    worker.process->start();
  else
    worker.process = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", "-q", worker.file},
                                                          worker.log, fakes::with_clock(worker.clock));
}

void Stage::kill(Worker& worker) {
  worker.process->end(SIGKILL);
  ++deeds["kill -9"];
}

void Stage::put_to_sleep(const Worker& worker) {
  worker.process->send(SIGSTOP);
  ++deeds["SIGSTOP"];
}

void Stage::stop(Worker& worker) {
  if (!worker.process->runs()) return;  // another fault has killed it
  ++deeds["SIGTERM"];
  worker.process->send(SIGTERM);
  worker.process->send(SIGCONT);
  note_end(worker);
}

void Stage::note_end(Worker& worker) {
  if (const int code = worker.process->wait(); code != 0) ++exits[code];
}

void Stage::forget(Worker& worker) {
  sabotaged_ += worker.database.rewritten() + worker.nats.rewritten();
  std::erase_if(workers, [&](const auto& one) { return one.get() == &worker; });
}

void Stage::remove_worker(Worker& worker) {
  stop(worker);
  forget(worker);
}

void Stage::attend() {
  for (auto& worker : workers) {
    if (worker->process->runs()) continue;
    note_end(*worker);
    start(*worker);
  }
}

void Stage::stop_all() {
  for (auto& worker : workers) worker->process->send(SIGTERM);
  for (auto& worker : workers) note_end(*worker);
}

void Stage::edit(bool changed) {
  edited_ = changed;
  for (auto& worker : workers) write(*worker);
}

void Stage::touch() {
  touched_ = !touched_;
  for (auto& worker : workers) write(*worker);
}

void Stage::lose_speed(bool yes) {
  without_speed_ = yes;
  for (auto& worker : workers) write(*worker);
}

void Stage::write(Worker& worker) const {
  const std::string nats_url = weir::format("nats://127.0.0.1:{}", worker.nats.port());
  const std::string database_url = worker.database.in_place_of(database->url());
  const bool filters = edited_ || without_speed_;
  const std::string source = filters ? "raw" : "signals";
  const std::string transform = filters ? weir::format(another_transform, without_speed_ ? "speed" : "") : "";
  const Duration lease_ms = lease / millisecond;
  const std::size_t replicas = nats.count();
  const int seconds = touched_ ? 11 : 10;
  const std::string twin = second ? weir::format(another_database, worker.second->in_place_of(second->url()), lease_ms,
                                                 integration::row_columns)
                                  : "";
  directory_.write(
      worker.file.substr(worker.file.rfind('/') + 1),
      format_arguments(pipeline_text, fmt::make_format_args(pipeline_name, nats_url, bucket_name, source, stream_name,
                                                            partitions, transform, integration::join_nodes,
                                                            database_url, lease_ms, integration::row_columns, replicas,
                                                            copies_name, current_field, current_name, twin, seconds)));
}

std::string Stage::stream(Partition partition) const {
  return partitions > 1 ? weir::format("{}-{}", stream_name, partition) : stream_name;
}

std::vector<std::uint64_t> Stage::last_sequences() const {
  std::vector<std::uint64_t> out(partitions);
  try {
    for (Partition k = 0; k < partitions; ++k) out[k] = integration::StreamReading{nats.nats(), stream(k)}.last();
  } catch (const std::exception&) {  // the server is down
  }
  return out;
}

void Stage::wait_for_streams() {
  for (int i = 0; i < 600; ++i) {
    bool all = true;
    for (Partition k = 0; k < partitions && all; ++k) all = integration::StreamReading{nats.nats(), stream(k)}.exists();
    if (all) return;
    attend();  // making tables may take a busy server longer than a transaction may
    pause(50 * millisecond);
  }
  throw std::runtime_error{"the workers make no streams\n" + logs()};
}

std::vector<const fakes::PostgresServer*> Stage::databases() const {
  std::vector<const fakes::PostgresServer*> out{database.get()};
  if (second) out.push_back(second.get());
  return out;
}

std::vector<std::string> Stage::database_urls() const {
  std::vector<std::string> out;
  for (const auto* one : databases()) out.push_back(one->url());
  return out;
}

std::string Stage::versions() const {
  const char* commit = std::getenv("WEIR_COMMIT");
  std::string out = commit != nullptr && *commit != '\0' ? weir::format("commit {}, ", commit) : "";
  out += first_line("nats-server --version 2>&1");
  out += ", postgresql " + database->ask("SELECT split_part(current_setting('server_version'), ' ', 1)");
  const std::string timescale = database->ask("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'");
  return timescale.empty() ? out : out + ", timescaledb " + timescale;
}

std::uint64_t Stage::sabotaged() const {
  std::uint64_t out = sabotaged_;
  for (const auto& worker : workers) out += worker->database.rewritten() + worker->nats.rewritten();
  return out;
}

std::string Stage::logs() const {
  constexpr std::size_t most = 3000;
  std::string out;
  for (const auto& worker : workers) {
    const std::string log = worker->process->log();
    out += weir::format("--- {}\n{}\n", worker->log.substr(worker->log.rfind('/') + 1),
                        log.substr(log.size() - std::min(log.size(), most)));
  }
  return out;
}

}  // namespace weir::faults
