#include "fakes/postgres_server.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "clients/postgres.hpp"
#include "fakes/shifted_clock.hpp"

namespace weir::fakes {

PostgresServer::PostgresServer(bool timescale, bool fsync, const std::vector<std::string>& settings, bool own_clock)
    : server_{timescale ? "timescale" : "postgres"}, options_{fsync ? "" : "--fast "} {
  std::string conf;
  for (const std::string& line : settings) conf += line + '\n';
  directory_.write("postgresql.conf", conf);
  if (own_clock) {
    clock_ = directory_.file("clock");
    fakes::set_clock(clock_, 0);
  }
  start();
}

PostgresServer::~PostgresServer() {
  try {
    stop();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
}

void PostgresServer::start() {
  const std::string said =
      "\n" + run(weir::format("start {} {}--while {} {}", directory_.path(), options_, ::getpid(), server_));
  const std::string key = server_ == "timescale" ? "\nPG_URL=" : "\nPLAIN_PG_URL=";
  const std::size_t at = said.find(key);
  if (at == std::string::npos) throw std::runtime_error{"deploy/servers did not say where the server is: " + said};
  url_ = said.substr(at + key.size(), said.find('\n', at + 1) - at - key.size());
}

void PostgresServer::set_clock(Duration ahead) const { fakes::set_clock(clock_, ahead); }

void PostgresServer::stop() { run("stop " + directory_.path()); }

void PostgresServer::kill() {
  run(weir::format("kill {} {}", directory_.path(), server_));
  // Orphans are ours to reap if we are a container's first process; the server would otherwise seem to live.
  while (::getpid() == 1 && ::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

std::string PostgresServer::run(const std::string& arguments) const {
  std::string before;
  if (!clock_.empty()) {
    for (const std::string& one : with_clock(clock_)) before += one + " ";
  }
  const std::string command = weir::format("{}{}/deploy/servers {} 2>&1", before, WEIR_SOURCE_DIR, arguments);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error{"can't run " + command};
  std::string said;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) said.append(buffer, n);
  if (::pclose(pipe) != 0) throw std::runtime_error{command + ": " + said};
  return said;
}

std::string PostgresServer::ask(const std::string& sql) const {
  auto connection = postgres::Connection::open({url_, "test"});
  // One that is down refuses at once; a busy machine takes its time.
  for (int tries = 0; !connection && tries < 3; ++tries) {
    const Timestamp begun = system_clock().steady();
    connection = postgres::Connection::open({url_, "test"});
    if (system_clock().steady() - begun < second) break;
  }
  if (!connection) throw std::runtime_error{connection.error().message};
  const auto rows = connection->run(sql);
  if (!rows) throw std::runtime_error{rows.error().message};
  std::string out;
  for (const auto& row : *rows) {
    for (const auto& value : row) out += (out.empty() ? "" : " ") + value.value_or("NULL");
  }
  return out;
}

}  // namespace weir::fakes
