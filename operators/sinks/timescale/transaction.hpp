/// Rows, dead letters and progress, committed together in PostgreSQL.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <weir/dead_letter.hpp>
#include <weir/sink.hpp>

#include "clients/handover.hpp"
#include "clients/postgres.hpp"
#include "sinks/timescale/load.hpp"
#include "sinks/timescale/progress_table.hpp"

namespace weir::postgres {

/// What to commit. The rows must stay where they are until commit() has returned.
struct Work {
  sql::Handover handed;
  std::vector<LaneCommit> lanes;

  bool empty() const { return handed.empty() && lanes.empty(); }
};

/// What became of it.
struct Outcome {
  std::vector<Partition> refused;
  std::vector<LeftOut> left_out;  ///< those within the quota are among the dead letters that were committed
  std::size_t over_limit = 0;     ///< dead letters that the quota left out
  std::size_t rows = 0;           ///< in the table
  std::size_t swallowed = 0;      ///< not in the table, though the server took them: a trigger returned NULL
  std::size_t bytes = 0;
};

/// Where it goes: two COPY statements, and whose dead letters they are. Every connection that is used was prepared by
/// prepare_confirmation() and ProgressTable::prepare().
struct Destination {
  std::function<Result<void>(Connection&)> check;  ///< Error::changed if the rows' table is not what it was
  std::string copy_rows;
  std::string copy_dead;
  std::string pipeline;
  std::string node;
};

/// Commits all of it at once. Lanes that are not held, or that no longer stand where the progress_table left them, are
/// refused with all that is theirs, and the others commit. Rows that are refused for their data become dead letters, as
/// far as the quota goes. Errors changed: the table was altered, nothing was written. unreachable: the outcome is
/// unknown or nothing was written; the progress_table is in doubt then.
Result<Outcome> commit(Connection& connection, ProgressTable& progress_table, const Destination& to,
                       RejectedRowQuota& quota, Work work);

}  // namespace weir::postgres
