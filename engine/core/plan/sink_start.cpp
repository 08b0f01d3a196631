#include "core/plan/sink_start.hpp"

#include <algorithm>
#include <ranges>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir {
namespace {

constexpr char awaited_mark = '?';  // no id has it

bool has_progress(const SinkPlace& sink) { return sink.keeps && sink.kept.place.position > 0; }

/// What all of them forgot. One that never had anything counts only where no other does.
std::uint32_t resets_of(std::span<const SinkPlace> sinks) {
  std::optional<std::uint32_t> least;
  for (const SinkPlace& sink : sinks) {
    if (has_progress(sink) || sink.kept.resets > 0) least = std::min(least.value_or(UINT32_MAX), sink.kept.resets);
  }
  return least.value_or(0);
}

/// The furthest of those that have progress and say so of a sink; null: none.
const Progress* furthest_of(std::span<const SinkPlace> sinks, const auto& says_so) {
  const Progress* furthest = nullptr;
  for (const SinkPlace& sink : sinks) {
    const bool further = furthest == nullptr || sink.kept.place.position > furthest->place.position;
    if (has_progress(sink) && further && says_so(sink.kept)) furthest = &sink.kept;
  }
  return furthest;
}

SinkStart start_of(const SinkPlace& sink, std::span<const SinkPlace> sinks) {
  if (has_progress(sink)) return {SinkAction::resume, sink.kept};
  const auto mentions = [&](SinkMention mention) {
    return [&sink, mention](const Progress& one) { return mention_of(sink.id, one.sinks) == mention; };
  };
  const Progress* furthest = furthest_of(sinks, [](const Progress&) { return true; });
  if (furthest == nullptr) return {};
  const bool reset = sink.keeps && sink.kept.resets > 0;
  const Progress* known = furthest_of(sinks, mentions(SinkMention::known));
  if (known != nullptr && !reset)
    return sink.keeps ? SinkStart{SinkAction::lost} : SinkStart{SinkAction::resume, *known};
  const bool awaited = furthest_of(sinks, mentions(SinkMention::awaited)) != nullptr;
  const bool first = awaited || (sink.begins ? *sink.begins == SinkBegins::stream : reset);
  if (first) return {};
  SinkStart start{SinkAction::begin_now, *furthest};
  start.at.place.emitted = 0;
  return start;
}

}  // namespace

std::vector<SinkStart> starts_of(std::vector<SinkPlace> sinks, const Progress& latest) {
  const std::size_t count = sinks.size();
  if (latest.place.position > 0 && latest.resets >= resets_of(sinks))
    sinks.push_back({.id = {}, .keeps = true, .kept = latest});
  const std::uint32_t resets = resets_of(sinks);
  std::vector<SinkStart> out;
  for (const SinkPlace& sink : sinks | std::views::take(count)) {
    out.push_back(start_of(sink, sinks));
    out.back().at.resets = resets;
  }
  return out;
}

std::string rename_problem(const Pipeline& pipeline, const RenamedSink& sink) {
  const Node& node = sink.node;
  for (const Peer& peer : sink.peers) {
    if (!pipeline.renamed_from.empty() && peer.pipeline == pipeline.name && peer.node == node.kept_id()) {
      return weir::format(
          "sink {0} has progress of pipeline {1}, {2} {3}: take out \"renamed_from\": {2}, or forget what is not "
          "wanted with `weir progress reset`",
          quoted(node.id), quoted(pipeline.name), quoted(pipeline.renamed_from),
          sink.has_progress ? "has, too" : "has none");
    }
    if (peer.pipeline != pipeline.kept_name()) continue;
    if (!node.renamed_from.empty() && peer.node == node.id) {
      return weir::format(
          "sink {0} has progress under its own id, {1} {2}: take out \"renamed_from\": {1}, or forget what is not wanted "
          "with `weir progress reset --node`",
          quoted(node.id), quoted(node.renamed_from), sink.has_progress ? "has, too" : "has none");
    }
    const bool gone = !std::ranges::contains(pipeline.nodes, peer.node, &Node::kept_id);
    if (gone && peer.same_table && !sink.has_progress) return renamed_words(node.id, peer.node, true);
  }
  return {};
}

std::string renamed_words(std::string_view id, std::string_view old, bool has_progress) {
  const std::string_view what = has_progress ? "progress for the same table" : "state of the same operator";
  const std::string first_step =
      has_progress
          ? weir::format("take out the old node and forget its progress (`weir progress reset --node {}`, old file)",
                         old)
          : "reload a file without the old node";
  return weir::format(
      "{0} is new, and {1}, which is gone, has {2}: if it was renamed, write \"renamed_from\": {1} there; if not, take "
      "two steps: {3}, then add the new one",
      quoted(id), quoted(old), what, first_step);
}

SinkMention mention_of(std::string_view id, std::string_view sinks) {
  for (const auto& part : sinks | std::views::split(' ')) {
    const std::string_view word{part};
    if (word == id) return SinkMention::known;
    if (word.ends_with(awaited_mark) && word.substr(0, word.size() - 1) == id) return SinkMention::awaited;
  }
  return SinkMention::none;
}

void add_mention(std::string_view id, bool known, std::string& sinks) {
  if (!sinks.empty()) sinks += ' ';
  sinks += id;
  if (!known) sinks += awaited_mark;
}

}  // namespace weir
