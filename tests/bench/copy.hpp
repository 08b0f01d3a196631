/// Figure (b) of the benchmark: rows -> sink/timescale against a bare binary COPY.
#pragma once

#include <cstddef>

namespace weir::bench {

struct CopyFigures {
  double sink = 0;  ///< rows per second through encode, write and commit, with progress, on one thread
  double bare =
      0;  ///< of the same rows, encoded beforehand, by COPY into the same table, the same number per transaction
  double ratio = 0;                       ///< median over the rounds, in each of which both have their turn
  double encode = 0;                      ///< rows per second of encoding alone, on one core
  double commit_p50 = 0, commit_p99 = 0;  ///< seconds that a commit of one row takes
  std::size_t rows = 0;                   ///< written by each
};

/// Rows of a key, a time and six numbers, into a hypertable of a private server with fsync on.
CopyFigures measure_copy(std::size_t rows_per_transaction, std::size_t transactions, std::size_t rounds);

}  // namespace weir::bench
