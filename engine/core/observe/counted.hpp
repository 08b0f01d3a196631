/// What the engine itself counts of nodes and pipelines, beside what operators count by their Specs.
#pragma once

#include <vector>

#include <weir/spec.hpp>

#include "core/observe/counters.hpp"

namespace weir::counted {

// Of sources.
extern const CounterSpec messages, bytes, samples, untimed_samples, empty_messages;
// Of sources and transforms.
extern const CounterSpec invalid, unkept, unconnected_rows;
// Of transforms that are no more.
extern const CounterSpec discarded_state_bytes;
// Of sinks; the last two of those with `columns`.
extern const CounterSpec rows, rejected, suppressed_rows, cells, empty_rows;
// Of the pipeline.
extern const CounterSpec commits, commit_retries, dead_letters;

// What a lane does at each node, see NodeStatistics: the last one in nanoseconds, told in seconds.
extern const CounterSpec node_batches, node_rows_in, node_rows_out, node_busy_seconds;

// Of the pipeline.
extern const HistogramSpec commit_seconds, commit_rows, commit_latency_seconds, event_latency_seconds, fetch_seconds,
    snapshot_seconds, snapshot_bytes, restore_seconds;
const std::vector<HistogramSpec>& histograms();

/// Of a node of this role, whatever its operator.
std::vector<CounterSpec> of(Role role);
std::vector<CounterSpec> of_pipeline();
std::vector<CounterSpec> work();

/// Counters::declare() for one of these.
std::size_t declare(Counters& counters, std::string_view node, const CounterSpec& what, std::string_view reason = {});

}  // namespace weir::counted
