#include "core/observe/counted.hpp"

#include <weir/completion.hpp>

namespace weir::counted {

const CounterSpec messages{"messages", "messages decoded"};
const CounterSpec bytes{"bytes", "bytes of payload decoded"};
const CounterSpec samples{"samples", "samples decoded"};
const CounterSpec untimed_samples{"untimed_samples",
                                  "samples whose payload told no time: their arrival is their event time"};
const CounterSpec empty_messages{"empty_messages", "messages decoded that held no sample"};
const CounterSpec invalid{"invalid", "messages and samples sent to the dead letters, by reason"};
const CounterSpec unconnected_rows{"unconnected_rows", "rows of ports that no node reads"};
const CounterSpec discarded_state_bytes{
    "discarded_state_bytes", "bytes of state that a snapshot held of a node that is not there any more, by reason"};
const CounterSpec rows{"rows", "rows made durable"};
const CounterSpec rejected{"rejected", "rows that the sink would not take, by reason"};
const CounterSpec suppressed_rows{
    "suppressed_rows",
    "rows that were not written, by reason; before_restart: their ticks may have been written before the worker ended, "
    "and the source gives nothing again"};
const CounterSpec cells{"cells", Completion::cells_doc};
const CounterSpec empty_rows{"empty_rows", Completion::empty_rows_doc};
const CounterSpec commits{"commits", "commits that succeeded"};
const CounterSpec commit_retries{"commit_retries", "commits that failed and were tried again"};
const CounterSpec dead_letters{"dead_letters", "dead letters made durable"};
const CounterSpec unkept{"dead_letters_over_limit",
                         "dead letters that were not kept, as \"limits\" bound them, by reason"};
const CounterSpec node_batches{"node_batches", "batches that a node has worked at, those of a replay too"};
const CounterSpec node_rows_in{"node_rows_in", "rows that a node was given (a source: messages), likewise"};
const CounterSpec node_rows_out{"node_rows_out", "rows that left a node, by port, likewise"};
const CounterSpec node_busy_seconds{"node_busy_seconds",
                                    "time that lanes worked at a node: decoding of a source, completing and encoding "
                                    "of a sink; each lane may add a second a second"};

namespace {

const std::vector<double> durations{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                    0.5,   1,      2.5,   5,    10,    30,   60,  300};
const std::vector<double> amounts{1, 10, 100, 1e3, 1e4, 1e5, 1e6};
const std::vector<double> sizes{1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

}  // namespace

const HistogramSpec commit_seconds{"commit_seconds", "duration of commits that succeeded", durations};
const HistogramSpec commit_rows{"commit_rows", "rows of commits that succeeded", amounts};
const HistogramSpec commit_latency_seconds{
    "commit_latency_seconds", "from the arrival of the earliest batch of a partition's commit to its end", durations};
const HistogramSpec event_latency_seconds{
    "event_latency_seconds", "from the newest tick, or event, of a partition's commit to its end", durations};
const HistogramSpec fetch_seconds{"fetch_seconds", "how long the source took for messages that were there", durations};
const HistogramSpec snapshot_seconds{"snapshot_seconds", "duration of writes of a lane's state", durations};
const HistogramSpec snapshot_bytes{"snapshot_bytes", "size of a lane's state as it was written", sizes};
const HistogramSpec restore_seconds{"restore_seconds", "from the acquisition of a partition until its lane is ready",
                                    durations};

const std::vector<HistogramSpec>& histograms() {
  static const std::vector<HistogramSpec> all{commit_seconds,        commit_rows,    commit_latency_seconds,
                                              event_latency_seconds, fetch_seconds,  snapshot_seconds,
                                              snapshot_bytes,        restore_seconds};
  return all;
}

std::vector<CounterSpec> of(Role role) {
  switch (role) {
    case Role::source:
      return {messages, bytes, samples, untimed_samples, empty_messages, invalid, unkept, unconnected_rows};
    case Role::transform:
      return {invalid, unkept, unconnected_rows, discarded_state_bytes};
    case Role::sink:
      return {rows, rejected, suppressed_rows, cells, empty_rows};
    default:
      return {};
  }
}

std::vector<CounterSpec> of_pipeline() { return {commits, commit_retries, dead_letters}; }

std::vector<CounterSpec> work() { return {node_batches, node_rows_in, node_rows_out, node_busy_seconds}; }

std::size_t declare(Counters& counters, std::string_view node, const CounterSpec& what, std::string_view reason) {
  return counters.declare(node, what.name, what.doc, reason);
}

}  // namespace weir::counted
