#include "core/coordination/lag.hpp"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cassert>

#include "core/checkpoint/ledgers.hpp"
#include "core/plan/keeping.hpp"

namespace weir {
namespace {

std::unexpected<Error> of_node(const std::string& node, Error error) {
  error.message = node + ": " + error.message;
  return std::unexpected(std::move(error));
}

Result<Ledgers::Answers> kept_progress(const Pipeline& pipeline, const Registry& registry) {
  Ledgers ledgers{pipeline, registry};
  return ledgers.only("").and_then([&] { return ledgers.ask(); });
}

}  // namespace

Lag lag_of(std::span<const ProgressLine> lines, std::span<const Backlog> backlogs, Timestamp now) {
  assert(lines.size() == backlogs.size());
  Lag out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Backlog& beyond = backlogs[i];
    const Duration age = beyond.oldest == no_time ? 0 : std::max<Duration>(0, now - beyond.oldest);
    out.partitions.push_back({.partition = lines[i].partition,
                              .owner = is_owned(lines[i]) ? lines[i].owner : "",
                              .position = lines[i].progress.place.position,
                              .messages = beyond.messages,
                              .age = age});
    out.messages += beyond.messages;
    out.age = std::max(out.age, age);
  }
  return out;
}

Result<Lag> measure_lag(const Pipeline& pipeline, const Registry& registry, const Clock& clock) {
  const Node& node = pipeline.nodes[pipeline.source()];
  Counters counters;
  NodeContext context{{pipeline, registry, counters, clock}, node};
  const auto source = node.op->make_source(node.settings, context);
  if (auto can = source->backlogs({}); !can) return of_node(node.id, can.error());
  auto kept = kept_progress(pipeline, registry);
  if (!kept) return std::unexpected(kept.error());
  const auto lines = lines_of(claims_of(node).partitions, kept->lines());
  std::vector<PartitionPlace> places;
  for (const ProgressLine& line : lines)
    places.push_back({line.partition, line.progress.place.position, line.progress.stream});
  const auto backlogs = source->backlogs(places);
  if (!backlogs) return of_node(node.id, backlogs.error());
  Lag out = lag_of(lines, *backlogs, clock.now());
  out.unanswered = std::move(kept->unanswered);
  return out;
}

std::string lag_json(const Pipeline& pipeline, const Lag& lag) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json{buffer};
  json.SetMaxDecimalPlaces(3);
  const auto text = [&](const std::string& value) {
    json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  const auto amounts = [&](std::uint64_t messages, Duration age) {
    json.Key("messages");
    json.Uint64(messages);
    json.Key("seconds");
    json.Double(seconds(age));
  };
  json.StartObject();
  json.Key("pipeline");
  text(pipeline.name);
  amounts(lag.messages, lag.age);
  json.Key("partitions");
  json.StartArray();
  for (const PartitionLag& one : lag.partitions) {
    json.StartObject();
    json.Key("partition");
    json.Uint(one.partition);
    json.Key("owner");
    one.owner.empty() ? static_cast<void>(json.Null()) : text(one.owner);
    json.Key("position");
    json.Uint64(one.position);
    amounts(one.messages, one.age);
    json.EndObject();
  }
  json.EndArray();
  json.Key("unanswered");
  json.StartArray();
  for (const std::string& one : lag.unanswered) text(one);
  json.EndArray();
  json.EndObject();
  return buffer.GetString();
}

}  // namespace weir
