/// A private PostgreSQL server for tests; ends with the object, or with the test's process.
#pragma once

#include <string>
#include <vector>

#include <weir/types.hpp>

#include "fakes/temporary_directory.hpp"

namespace weir::fakes {

/// Threads   one.
class PostgresServer {
 public:
  /// Starts one with TimescaleDB, or plain. `settings` are lines of postgresql.conf. Throws std::runtime_error, which
  /// says why, if it can't.
  /// `own_clock`: it has a wall clock of its own, which set_clock() sets; the program needs weir_shifted_clock then.
  explicit PostgresServer(bool timescale = true, bool fsync = false, const std::vector<std::string>& settings = {},
                          bool own_clock = false);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  /// Of a database whose superuser we are.
  const std::string& url() const { return url_; }
  /// The query's values, separated by blanks; NULL is "NULL". Throws on errors.
  std::string ask(const std::string& sql) const;

  /// Where its data and log lie.
  std::string directory() const { return directory_.path() + "/" + server_; }

  /// From now on its wall clock is so much ahead of everybody's.
  void set_clock(Duration ahead) const;

  void stop();   ///< an orderly end
  void kill();   ///< as a crash would
  void start();  ///< again, with the same data and port

 private:
  std::string run(const std::string& arguments) const;

  TemporaryDirectory directory_;
  std::string server_;
  std::string options_;
  std::string clock_;  ///< file that says how far ahead its clock is; empty: it has none of its own
  std::string url_;
};

}  // namespace weir::fakes
