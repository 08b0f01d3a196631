#include "console/status_json.hpp"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <map>

#include "console/memory.hpp"
#include "core/observe/counted.hpp"

namespace weir {
namespace {

using Json = rapidjson::Writer<rapidjson::StringBuffer>;

void text(Json& json, std::string_view value) {
  json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}
void text(Json& json, const char* name, std::string_view value) {
  json.Key(name);
  text(json, value);
}
void number(Json& json, const char* name, std::uint64_t value) {
  json.Key(name);
  json.Uint64(value);
}
void seconds(Json& json, const char* name, Duration value) {
  json.Key(name);
  json.Double(weir::seconds(value));
}
void flag(Json& json, const char* name, bool value) {
  json.Key(name);
  json.Bool(value);
}

void add_node(Json& json, const Node& node, const Counters& counters, const Counters& work,
              const Transform::Size& size) {
  const auto worked = [&](const CounterSpec& what) { return work.value(node.id, what.name); };
  json.StartObject();
  text(json, "id", node.id);
  text(json, "role", to_string(node.role));
  text(json, "operator", node.name);
  number(json, "batches", worked(counted::node_batches));
  number(json, "rows_in", worked(counted::node_rows_in));
  json.Key("rows_out");
  json.StartObject();
  if (node.role == Role::sink) number(json, "main", counters.value(node.id, counted::rows.name));
  for (const auto& line : work.lines()) {
    if (line.node == node.id && line.name == counted::node_rows_out.name) number(json, line.reason.c_str(), line.value);
  }
  json.EndObject();
  seconds(json, "busy", static_cast<Duration>(worked(counted::node_busy_seconds)));
  number(json, "invalid",
         counters.value(node.id, counted::invalid.name) + counters.value(node.id, counted::rejected.name));
  number(json, "keys", size.keys);
  number(json, "bytes", size.bytes);
  json.EndObject();
}

void add_nodes(Json& json, const Pipeline& pipeline, const Counters& counters, const Counters& work,
               const Worker::Status& status) {
  std::map<std::size_t, Transform::Size> sizes;
  for (const auto& lane : status.lanes) {
    for (const auto& [node, size] : lane.sizes) {
      sizes[node].keys += size.keys;
      sizes[node].bytes += size.bytes;
    }
  }
  json.Key("nodes");
  json.StartArray();
  for (std::size_t i = 0; i < pipeline.nodes.size(); ++i) add_node(json, pipeline.nodes[i], counters, work, sizes[i]);
  json.EndArray();
}

void add_lanes(Json& json, const Worker::Status& status) {
  json.Key("lanes");
  json.StartArray();
  for (const auto& lane : status.lanes) {
    const auto committed = std::ranges::find(status.committed, lane.partition, &Worker::Status::Committed::partition);
    json.StartObject();
    number(json, "partition", lane.partition);
    number(json, "pulled", lane.pulled);
    number(json, "stepped", lane.stepped);
    number(json, "committed", committed == status.committed.end() ? 0 : committed->position);
    number(json, "waiting", lane.waiting);
    flag(json, "replaying", lane.replaying);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace

std::vector<std::string> why_not_ready(const Worker::Status& status) {
  auto why = status.conditions;
  why.append_range(status.broken);
  if (status.draining) why.emplace_back("draining");
  if (!status.ready && why.empty())
    why.emplace_back(status.started ? "others still have partitions that are to be this worker's" : "starting");
  return why;
}

Readiness readiness(const Worker::Status& status) {
  std::string text;
  for (const std::string& why : why_not_ready(status)) text += (text.empty() ? "" : "\n") + why;
  if (!text.empty()) return {false, text};
  return {true, status.standby ? "standby" : "ready"};
}

std::string status_json(const Pipeline& pipeline, const Counters& counters, const Counters& work,
                        const Worker::Status& status, const std::string& worker) {
  rapidjson::StringBuffer buffer;
  Json json{buffer};
  json.StartObject();
  text(json, "name", pipeline.name);
  text(json, "fingerprint", pipeline.fingerprint);
  text(json, "worker", worker);
  flag(json, "ready", status.ready);
  flag(json, "standby", status.standby);
  json.Key("conditions");
  json.StartArray();
  for (const std::string& condition : why_not_ready(status)) text(json, condition);
  json.EndArray();
  number(json, "rows", status.rows);
  number(json, "commits", status.commits);
  seconds(json, "last_commit", status.commit_time);
  seconds(json, "commit_time", status.commit_time_total);
  number(json, "dead_letters", counters.value("", counted::dead_letters.name));
  number(json, "in_flight", status.in_flight);
  number(json, "in_flight_limit", status.in_flight_limit);
  number(json, "resident", resident_bytes());
  number(json, "workers", status.workers);
  add_nodes(json, pipeline, counters, work, status);
  add_lanes(json, status);
  json.Key("pipeline");
  json.RawValue(pipeline.shown.data(), pipeline.shown.size(), rapidjson::kObjectType);
  json.EndObject();
  return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
}

}  // namespace weir
