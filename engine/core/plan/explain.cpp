#include "core/plan/explain.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/plan/keeping.hpp"

namespace weir {
namespace {

/// Everything the guarantees are derived from.
struct Facts {
  Claims source;
  bool any_transactional = false;
  bool durable_state = false;
};

std::string with_reason(std::string text, const Claims& sink) {
  return sink.because.empty() ? text : sink.because + "; " + text;
}

/// Of what a sink writes, where the source has no positions.
Promise without_replay(const Node& node, const Claims& writer, const Facts& facts) {
  if (!facts.source.acknowledges && facts.durable_state && !writer.transactional) {
    return {node.id, "best effort",
            with_reason("the source can't give again what was in flight when the worker stopped; after a crash the "
                        "state is of the last snapshot, and ticks written since are written again",
                        writer)};
  }
  if (!facts.source.acknowledges) {
    return {
        node.id, "at most once",
        with_reason(std::string{"the source can't give again what was in flight when the worker stopped"} +
                        (facts.durable_state ? "; after a crash no tick up to the newest written one gets a row" : ""),
                    writer)};
  }
  return {node.id, "at least once",
          with_reason("the source gives again what was not acknowledged, in any order and to any worker", writer)};
}

Promise promise_of(const Node& node, const Claims& sink, const Facts& facts) {
  if (sink.discards) return {node.id, "kept nowhere", "the sink counts rows and forgets them"};
  if (!facts.source.replayable) {
    // Ids are each run's own then: what the sink says of them would reassure for nothing.
    const bool by_ids = sink.idempotent && !sink.by_value;
    const Claims said = by_ids ? Claims{.because = "the ids of what it writes are new in each run"} : sink;
    return without_replay(node, said, facts);
  }
  if (sink.transactional)
    return {node.id, "exactly once", with_reason("the source replays from the committed position", sink)};
  if (sink.by_value)
    return {node.id, "effectively once", with_reason("the source gives again what was not committed", sink)};
  if (!facts.any_transactional && !facts.durable_state) {
    return {node.id, "at least once",
            with_reason("nothing keeps the position, so every start reads the stream from its `start`", sink)};
  }
  if (sink.idempotent && sink.window == 0)
    return {node.id, "effectively once", with_reason("rows written again have the same ids", sink)};
  if (sink.idempotent) {
    return {
        node.id, "at least once",
        with_reason("rows written again have the same ids, which are known for " + format_duration(sink.window), sink)};
  }
  return {node.id, "at least once",
          with_reason("rows since the last committed position are written again after a crash", sink)};
}

/// In which order the rows of several nodes meet.
void add_merges(const Pipeline& pipeline, std::vector<Promise>& out) {
  for (const Node& node : pipeline.nodes) {
    if (node.inputs.size() < 2) continue;
    std::string inputs;
    for (const PortRef input : node.inputs) inputs += (inputs.empty() ? "" : ", ") + place_of(pipeline, input);
    out.push_back({node.id, "merged",
                   weir::format("rows of {} in the order of the messages that cause them; of one message, or of one "
                                "deadline, in this order of inputs",
                                inputs)});
  }
}

void add_unread_ports(const Pipeline& pipeline, std::vector<Promise>& out) {
  for (std::size_t number = 0; number < pipeline.nodes.size(); ++number) {
    const Node& node = pipeline.nodes[number];
    for (Port port = 1; port <= node.op->spec.ports.size(); ++port) {
      const bool read = std::ranges::any_of(pipeline.nodes, [&](const Node& other) {
        return std::ranges::contains(other.inputs, PortRef{number, port});
      });
      const std::string& name = node.op->spec.ports[port - 1].name;
      if (!read) out.push_back({node.id + "." + name, "counted", "not stored: no node reads " + node.id + "." + name});
    }
  }
}

/// The columns of what transforms make, but for the standard ones.
void add_columns(const Pipeline& pipeline, std::vector<Promise>& out) {
  for (const Node& node : pipeline.nodes) {
    if (node.role != Role::transform) continue;
    const Schema& made = *node.outputs.front();
    const PortRef input = node.inputs.front();
    const bool usual = made.shape == Shape::samples || made.shape == Shape::brackets;
    if (usual || made == *pipeline.nodes[input.node].outputs[input.port]) continue;
    std::string columns;
    for (const ColumnType& column : made.columns)
      columns += weir::format("{}{} {}", columns.empty() ? "" : ", ", column.name, to_string(column.type));
    const std::string what = made.shape == Shape::other ? "columns" : std::string{to_string(made.shape)};
    out.push_back({node.id, "gives " + what, std::move(columns)});
  }
}

void add_state(const Pipeline& pipeline, const Facts& facts, std::vector<Promise>& out) {
  bool any = false;
  for (const Node& node : pipeline.nodes) {
    const std::string state = node.op->spec.state_of ? node.op->spec.state_of(node.settings) : "";
    if (state.empty()) continue;
    any = true;
    out.push_back({node.id, "state", state});
  }
  if (!any) return;
  const std::string bound =
      pipeline.key_limit == 0 ? "keys without bound" : "at most " + std::to_string(pipeline.key_limit) + " keys a lane";
  if (facts.durable_state) {
    out.push_back({"state", "kept in " + pipeline.store,
                   "a snapshot every " + format_duration(pipeline.snapshot_every) + "; " + bound});
  } else if (facts.source.replayable) {
    const std::string origin = facts.source.writable ? "the stream" : "the source";
    out.push_back({"state", "in memory",
                   "after a restart it is made again by reading " + origin + " from its first message; " + bound});
  } else if (facts.source.reminds) {
    out.push_back({"state", "in memory", "a restart rebuilds it from the current values; " + bound});
  } else {
    out.push_back({"state", "in memory", "a restart begins with none, as the source gives nothing again; " + bound});
  }
}

void add_dead_letters(const Pipeline& pipeline, std::vector<Promise>& out) {
  const Node* transactional = nullptr;  // the last of them, as when committing
  std::string own;
  for (const Node& node : pipeline.nodes) {
    if (node.role != Role::sink || !claims_of(node).transactional) continue;
    if (transactional != nullptr) own += "; rows that " + transactional->id + " refuses, beside its own";
    transactional = &node;
  }
  const DeadLetterBounds& bound = pipeline.letter_bounds;
  const std::string bounds =
      weir::format("; of each partition at most {} a minute of a key and reason, {} of a reason, {} a day; for {}",
                   bound.per_key, bound.per_reason, bound.per_day, format_duration(bound.retention));
  out.push_back(transactional != nullptr ? Promise{"dead letters", "kept in weir_dead_letters",
                                                   "beside the rows of " + transactional->id + own + bounds}
                                         : Promise{"dead letters", "kept in " + pipeline.dead_letters,
                                                   "a JSON line each, with the message's raw bytes" + bounds});
}

/// Of what state depends on: the source, transforms up to the last one with state, what columns ask of them, limits.
Promise fate_of_changes(const Pipeline& pipeline, const Facts& facts) {
  const std::string more = "; `explain --diff OLD NEW` tells what it does";
  if (!facts.source.replayable && !facts.durable_state)
    return {"a change", "goes on", "with new messages and empty state, as every start does" + more};
  if (!facts.source.replayable)
    return {"a change", "goes on", "with new messages: nodes that stay keep their state" + more};
  if (facts.durable_state)
    return {"a change", "goes on", "where the old file was drained: nodes that stay keep their state" + more};
  if (!facts.any_transactional) return {"a change", "starts over", "as every start does" + more};
  if (std::ranges::none_of(pipeline.nodes, &Node::keeps_state))
    return {"a change", "goes on", "unless it is the source's, as no node keeps state" + more};
  return {"a change", "is refused",
          "where state depends on it, once rows are committed: no store keeps state to go on from" + more};
}

/// Where a worker begins again after it ended, well or not.
void add_restart(const Facts& facts, std::vector<Promise>& out) {
  if (!facts.source.replayable || !facts.any_transactional) return;
  if (facts.durable_state) {
    out.push_back({"a restart", "goes on", "from the last snapshot, without output up to what was committed"});
  } else {
    out.push_back(
        {"a restart", "reads all again",
         "without output, from where it first began up to what was committed; it stops if the source no longer has "
         "that; a durable \"state\" store saves both"});
  }
}

/// What several workers of this pipeline do.
void add_workers(const Pipeline& pipeline, const Facts& facts, const Registry& registry, std::vector<Promise>& out) {
  if (!facts.source.partitioned && !facts.any_transactional) {
    out.push_back({"workers", "share the messages", "each takes what comes to it; none owns a vehicle"});
    return;
  }
  const auto by = shared_by(pipeline, registry);
  if (!by) {
    out.push_back({"workers", "must be one", "nothing tells a second one what the first one runs"});
    return;
  }
  const auto held = std::ranges::find_if(
      pipeline.nodes, [](const Node& node) { return node.role == Role::sink && claims_of(node).exclusive; });
  if (held != pipeline.nodes.end()) {
    out.push_back({"workers", "must be one", "no second one can open what " + held->id + " writes to; it would end"});
    return;
  }
  const bool one = facts.source.partitions == 1;
  std::string why =
      (one ? "others stand by" : "the " + std::to_string(facts.source.partitions) + " partitions, evenly") + ", by " +
      by->what + "; one that dies is missed after " + format_duration(by->lease);
  if (!facts.any_transactional)
    why += "; one that stood still for longer writes some rows again before it notices that it lost its share";
  out.push_back({"workers", one ? "one at work" : "share", std::move(why)});
}

void add_time(const Claims& source, const std::string& event, std::vector<Promise>& out) {
  if (source.writable) {
    out.push_back({"time", event, "arrival time from the stream, marked by weir when it is idle and something is due"});
  } else if (source.clocked) {
    out.push_back({"time", event, "arrival time from this worker's clock"});
  } else {
    out.push_back({"time", event, "arrival time from the source"});
  }
  if (source.replayable && source.ordered && !source.clocked) {
    out.push_back({"replay", "byte-identical", "rows are a function of the recorded stream"});
  } else {
    out.push_back(
        {"replay", "not promised",
         source.ordered ? "arrival times are the worker's own" : "workers share the stream in no fixed order"});
  }
}

}  // namespace

std::vector<Promise> explain(const Pipeline& pipeline, const Registry& registry) {
  Facts facts;
  const Node& source = pipeline.nodes[pipeline.source()];
  facts.source = claims_of(source);
  facts.durable_state = keeps_state(pipeline, source, registry);
  for (const Node& node : pipeline.nodes)
    facts.any_transactional |= node.role == Role::sink && claims_of(node).transactional;
  std::vector<Promise> out;
  for (const Node& node : pipeline.nodes) {
    if (node.role == Role::sink) out.push_back(promise_of(node, claims_of(node), facts));
  }
  if (out.size() > 1) {
    out.push_back({"sinks", "commit together",
                   "a lane has one position: while one of them does not answer, none of the others gets anything"});
  }
  add_merges(pipeline, out);
  add_columns(pipeline, out);
  add_unread_ports(pipeline, out);
  add_state(pipeline, facts, out);
  const bool whole = facts.source.partitioned && facts.source.ordered;
  out.push_back({"order", whole ? "per vehicle" : "none",
                 whole ? "rows of different vehicles interleave" : "messages of one vehicle may overtake each other"});
  const bool timeless = !tells_time(pipeline, source, registry);
  add_time(facts.source,
           timeless ? "arrival time only: " + pipeline.nodes[pipeline.source()].codec + " has no other"
                    : "event time, from the payload",
           out);
  add_dead_letters(pipeline, out);
  out.push_back({"names", "are keys",
                 "progress is kept by the pipeline's name and the sink's id: a renamed one needs \"renamed_from\""});
  add_workers(pipeline, facts, registry, out);
  add_restart(facts, out);
  out.push_back(fate_of_changes(pipeline, facts));
  return out;
}

}  // namespace weir
