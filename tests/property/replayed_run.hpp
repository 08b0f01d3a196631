/// A pipeline on a recording, run by a worker as `weir replay` does it, and what comes out of it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <weir/sink.hpp>

#include "core/observe/counters.hpp"
#include "core/plan/pipeline.hpp"

namespace weir::property {

/// What came out of a pipeline, as texts whose bytes are compared.
struct Outcome {
  std::map<std::pair<std::string, Partition>, std::string> rows;  ///< by sink and partition, in their order
  std::map<Partition, std::string> letters;                       ///< dead ones, in their order
  std::map<std::string, std::uint64_t> counters;                  ///< of nodes, that counted; but of rows

  void add(const std::string& sink, Partition partition, const std::string& lines);
  void add(const Sink::DeadLetter& letter);
  void add(const Counters& counted, const Pipeline& pipeline);

  /// Equal if and, but for an accident, only if the outcomes are.
  std::uint64_t hash() const;
  /// Where another one differs first, for a person.
  std::string difference(const Outcome& other) const;
};

/// A row a line, with its arrival.
std::string lines_of(const Batch& rows);

/// Every operator, the sink "witness", which takes columns or not, and the source "cut-recording": `recording` whose
/// pulls are as the run says and whose clock stands still but when it waits.
const Registry& witnessed_registry();

/// How a recording is replayed.
struct ReplayRun {
  std::string path;
  std::size_t partitions = 1;
  int threads = 1;
  std::vector<std::size_t> budgets;  ///< messages of a pull, repeated
  std::string speed = "max";
};

/// The source "signals" of a pipeline's text.
std::string source_node(const ReplayRun& run);

/// Runs it to the recording's end. One at a time. Throws std::runtime_error with what the worker says.
Outcome replay(const Pipeline& pipeline, const ReplayRun& run);

}  // namespace weir::property
