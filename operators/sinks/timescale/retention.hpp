/// Deletes what is over: dead letters, and the chunks of a hypertable where TimescaleDB's licence has no job for it.
#pragma once

#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <weir/context.hpp>

#include "clients/postgres.hpp"

namespace weir::postgres {

/// Looks at once, then every hour, on a thread and a connection of its own that is open only meanwhile: a first look at
/// a year of chunks takes long, and no lease may wait for it. Each stretch of time goes in a transaction of its own, so
/// what was dropped stays dropped. A chunk that somebody reads is left for later, and the others go. After a failure it
/// tries again in a minute; the first in a row is logged. Of several workers one does it at a time.
///
/// Threads   one makes and destroys it; destroying waits for no chunk: what is being dropped is cancelled, and left
///           for the next look.
class Retention {
 public:
  /// Each of `expired` is a query whose rows are statements to run, see TableState. `table` tells one table's from
  /// another's. The context must outlive it.
  Retention(std::string url, std::string application, std::string table, std::vector<std::string> expired,
            Context& context);

 private:
  void run(std::stop_token stop);
  Result<void> sweep(const std::stop_token& stop) const;

  std::string url_;
  std::string application_;
  std::string table_;
  std::vector<std::string> expired_;
  Context& context_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace weir::postgres
