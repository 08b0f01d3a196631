#include "core/plan/explain_change.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "core/plan/fingerprint.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/sink_start.hpp"

namespace weir {
namespace {

/// Whether what a node keeps is kept by one of these.
bool has(const Pipeline& pipeline, const Node& node) {
  return std::ranges::any_of(pipeline.nodes,
                             [&](const Node& one) { return one.role == node.role && one.kept_id() == node.kept_id(); });
}

Promise refused(std::string about, std::string why) {
  return {std::move(about), "is refused", std::move(why), Verdict::refused};
}

bool keeps_progress(const Node& node) { return node.role == Role::sink && claims_of(node).transactional; }

/// Whether a sink is new and asks for the stream from its first message on.
bool begins_first(const Pipeline& before, const Node& node) {
  return node.role == Role::sink && node.begins == SinkBegins::stream && !has(before, node);
}

/// What keeps the place of a pipeline: sinks, else its snapshots, if it has a durable store.
bool kept_by_sinks(const Pipeline& pipeline) { return std::ranges::any_of(pipeline.nodes, keeps_progress); }
bool has_snapshots(const Pipeline& pipeline, const Registry& registry) {
  return keeps_state(pipeline, pipeline.nodes[pipeline.source()], registry);
}
bool kept_by_snapshots(const Pipeline& pipeline, const Registry& registry) {
  return !kept_by_sinks(pipeline) && has_snapshots(pipeline, registry);
}

/// Whether one finds what the other has put into its store.
bool same_store(const Pipeline& before, const Pipeline& now, const Registry& registry) {
  return before.store == now.store && claims_of_store(before, registry).target == claims_of_store(now, registry).target;
}

/// What a new sink gets. `progress`: another stays that keeps progress; `snapshots`: they tell the place, too.
std::string rows_of_new(const Node& node, bool replays, bool progress, bool snapshots) {
  if (!replays) return "gets the rows from here on";
  const std::string all = "gets all rows and dead letters from the stream's first message on";
  if (node.begins == SinkBegins::stream && (keeps_progress(node) || progress))
    return all + ", and is refused where the stream no longer has that; the other sinks get none twice";
  if (!progress && snapshots)
    return "begins at the newest snapshot, where the others do: only that tells the pipeline's place, and no sink gets "
           "rows from before it";
  if (!progress) return all;
  return "begins where the furthest of the others stands, unless it was there before and goes on from its place; "
         "\"start\": \"stream\" gives it all rows";
}

/// What happens to the state. `differs`: it means something else.
Promise fate_of_state(const Pipeline& before, const Pipeline& now, bool differs, const Registry& registry) {
  const Node& source = now.nodes[now.source()];
  const bool kept = has_snapshots(before, registry);
  const bool found = kept && same_store(before, now, registry);
  const bool progress = kept_by_sinks(before);
  const bool stays =
      std::ranges::any_of(now.nodes, [&](const Node& node) { return keeps_progress(node) && has(before, node); });
  if (kept && !found) {
    return refused(
        "state",
        "it lies in the old file's store or bucket, and is looked for in another; `weir progress reset` starts over");
  }
  const auto url_of = [](const Pipeline& of) {
    return of.store_settings.has("url") ? of.store_settings.text("url") : std::string{};
  };
  if (kept && url_of(before) != url_of(now)) {
    return {
        "state", "goes on",
        "if the store at the other \"url\" holds it; else it is rebuilt from the stream's first message, and a lane "
        "whose stream no longer has that stops"};
  }
  const std::string was = claims_of(before.nodes[before.source()]).stream, is = claims_of(source).stream;
  if (was != is && !was.empty() && (progress || kept)) {
    return refused("state", "once rows are committed, as positions are of stream " + was +
                                ": another \"name\" starts over beside it");
  }
  const bool replays = claims_of(source).replayable;
  if (!replays && !kept && claims_of(source).reminds)
    return {"state", "is rebuilt", "as at every start, of the current values that are there"};
  if (!replays && !kept) return {"state", "begins empty", "as at every start, since the source gives nothing again"};
  if (!progress && !kept)
    return {"state", "is rebuilt", "as at every start, since nothing keeps the position: all rows are written again"};
  if (progress && !stays && !kept) return {"state", "starts empty", "no sink has progress under its id"};
  const std::string by_node =
      "a node of the same id and operator keeps its own; others begin empty, and what waited in one that goes is given up";
  if (replays && !stays) {
    const std::string again =
        "from the newest snapshot, as no sink has progress: what was written behind it is written again";
    return {"state", "goes on", again + (differs ? ", by the new rules; " + by_node : std::string{})};
  }
  if (!differs) return {"state", "goes on", "nothing that it depends on was changed"};
  if (!replays) return {"state", "goes on", by_node};
  if (kept && std::ranges::any_of(now.nodes, [&](const Node& node) { return begins_first(before, node); })) {
    return refused(
        "state",
        "once rows are committed, as a new sink needs them all from the old rules: add it in a step of its own");
  }
  if (kept) {
    return {"state", "goes on",
            "after a drain (reload, SIGTERM): " + by_node + "; after a crash the old file has to run once more"};
  }
  const bool of_columns = std::ranges::any_of(changes(before.fingerprint, now.fingerprint), &Change::of_columns);
  return refused(
      "state",
      weir::format("once rows are committed, as no snapshot is kept; give the old file a durable \"state\" store and "
                   "drain it first, or start over under another \"name\" or `weir progress reset`{}{}",
                   of_columns ? "; next time, " : "", of_columns ? fields_advice : ""));
}

/// Nodes that keep what another kept that is gone, and those that may be such a one and do not say it.
void add_renamed(const Pipeline& before, const Pipeline& now, std::vector<Promise>& out) {
  for (const Node& node : now.nodes) {
    const auto was = std::ranges::find(before.nodes, node.kept_id(), &Node::kept_id);
    if (was != before.nodes.end()) {
      if (was->id != node.id)
        out.push_back({node.id, "is renamed", "goes on with what " + quoted(was->id) + " keeps, and with its row ids",
                       Verdict::notable});
      continue;
    }
    for (const Node& old : before.nodes) {
      if (old.role != node.role || old.op != node.op || has(now, old)) continue;
      const bool same_table = keeps_progress(node) && claims_of(old).target == claims_of(node).target;
      const bool same_state = old.keeps_state && node.keeps_state;
      if (!same_table && !same_state) continue;
      out.push_back(refused(node.id, renamed_words(node.id, old.id, same_table)));
    }
  }
}

/// A pipeline of another name begins by itself; but not if it is the same one, which does not say it.
Promise fate_of_name(const Pipeline& before, const Pipeline& now, const Registry& registry) {
  const bool by_snapshots = kept_by_snapshots(before, registry) && kept_by_snapshots(now, registry);
  const bool same_sink =
      std::ranges::any_of(now.nodes, [&](const Node& node) { return node.role == Role::sink && has(before, node); });
  if (by_snapshots && same_sink && claims_of(now.nodes[now.source()]).replayable && same_store(before, now, registry) &&
      same_state(before.fingerprint, now.fingerprint)) {
    return refused("name", quoted(before.name) +
                               " has state in the same store, of the same source and transforms: if it was renamed, "
                               "write \"renamed_from\": " +
                               quoted(before.kept_name()) +
                               " beside \"name\"; if both are to run, give this one a store or bucket of its own");
  }
  for (const Node& node : now.nodes) {
    if (!keeps_progress(node) || node.begins == SinkBegins::stream) continue;
    const bool same_table = std::ranges::any_of(before.nodes, [&](const Node& old) {
      return keeps_progress(old) && old.op == node.op && claims_of(old).target == claims_of(node).target;
    });
    const bool same_stream =
        claims_of(before.nodes[before.source()]).stream == claims_of(now.nodes[now.source()]).stream;
    if (!same_table || !same_stream) continue;
    return refused(
        "name", quoted(before.name) + " has progress for the table of " + quoted(node.id) +
                    " and the same stream: if it was renamed, write \"renamed_from\": " + quoted(before.kept_name()) +
                    " beside \"name\"; if both are to write that table, \"start\": \"stream\" in the sink");
  }
  return {"name", "another pipeline",
          quoted(now.name) + " begins as if nothing had run; what " + quoted(before.name) + " has kept stays",
          Verdict::notable};
}

/// `"db" was edited: columns.fuel is new, columns.speed`.
std::string edited_words(const Node& was, const Node& node) {
  std::string settings;
  const auto add = [&](const std::string& name, std::string_view how) {
    settings += (settings.empty() ? ": " : ", ") + name + std::string{how};
  };
  for (const auto& [name, value] : node.written) {
    const auto before = was.written.find(name);
    if (before == was.written.end()) {
      add(name, " is new");
    } else if (before->second != value) {
      add(name, "");
    }
  }
  for (const auto& [name, value] : was.written) {
    if (!node.written.contains(name)) add(name, " is gone");
  }
  return quoted(node.id) + " was edited" + settings;
}

/// Nodes that were edited where no state depends on it, but for those of which was `told`.
void add_edited(const Pipeline& before, const Pipeline& now, const std::vector<std::string>& told,
                std::vector<Promise>& out) {
  for (const Node& node : now.nodes) {
    const auto was = std::ranges::find(before.nodes, node.kept_id(), &Node::kept_id);
    if (was == before.nodes.end() || was->written == node.written || std::ranges::contains(told, node.kept_id()))
      continue;
    std::string words = edited_words(*was, node);
    if (node.role == Role::sink && (was->op != node.op || claims_of(*was).target != claims_of(node).target)) {
      words += "; its rows so far stay in the old place";
      if (keeps_progress(node))
        words +=
            R"(; in another database or file ("url", "path") it is refused where another sink or a snapshot knows )"
            "its progress, else it gets all rows";
    } else if (node.role == Role::sink) {
      words += "; its rows so far stay as they are";
    }
    out.push_back({"changed", "freely", std::move(words)});
  }
}

}  // namespace

std::vector<Promise> explain_change(const Pipeline& before, const Pipeline& now, const Registry& registry) {
  if (before.kept_name() != now.kept_name()) return {fate_of_name(before, now, registry)};
  std::vector<Promise> out;
  add_renamed(before, now, out);
  if (std::ranges::contains(out, Verdict::refused, &Promise::verdict)) return out;
  std::vector<std::string> told;
  const auto all = changes(before.fingerprint, now.fingerprint);
  for (const Change& change : all) {
    // What the columns of a transform ask for says more than that they were edited.
    if (!change.counts && !change.edited.empty() && std::ranges::any_of(all, [&](const Change& other) {
          return other.of_columns && other.edited == change.edited;
        }))
      continue;
    const auto was = std::ranges::find(before.nodes, change.edited, &Node::kept_id);
    const auto node = std::ranges::find(now.nodes, change.edited, &Node::kept_id);
    const bool both = !change.of_columns && was != before.nodes.end() && node != now.nodes.end();
    out.push_back(
        {"changed", change.counts ? "for the state" : "freely", both ? edited_words(*was, *node) : change.words});
    told.push_back(change.edited);
  }
  add_edited(before, now, told, out);
  const bool differs = !same_state(before.fingerprint, now.fingerprint);
  out.push_back(fate_of_state(before, now, differs, registry));
  const bool replays = claims_of(now.nodes[now.source()]).replayable;
  const bool progress =
      std::ranges::any_of(now.nodes, [&](const Node& node) { return keeps_progress(node) && has(before, node); });
  const bool snapshots = has_snapshots(before, registry);
  for (const Node& node : now.nodes) {
    if (node.role == Role::sink && !has(before, node))
      out.push_back({node.id, "is new", rows_of_new(node, replays, progress, snapshots), Verdict::notable});
  }
  for (const Node& node : before.nodes) {
    if (keeps_progress(node) && !has(now, node))
      out.push_back({node.id, "is gone", "its rows stay, and its place, should it come back", Verdict::notable});
  }
  if (replays && snapshots && kept_by_sinks(before) != kept_by_sinks(now))
    out.push_back({"progress", "moves", "between the store and the sinks: end all workers of the old file first",
                   Verdict::notable});
  return out;
}

}  // namespace weir
