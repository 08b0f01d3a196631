#include "cli/top_model.hpp"

#include <rapidjson/document.h>

#include <algorithm>
#include <map>
#include <set>

#include <weir/format.hpp>

namespace weir::cli {
namespace {

using Json = rapidjson::Value;

/// A member, or one that is null.
const Json& member(const Json& object, const char* name) {
  static const Json none;
  if (!object.IsObject()) return none;
  const auto found = object.FindMember(name);
  return found == object.MemberEnd() ? none : found->value;
}
std::string text(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.IsString() ? std::string{value.GetString(), value.GetStringLength()} : std::string{};
}
std::uint64_t count(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.IsUint64() ? value.GetUint64() : 0;
}
double real(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.IsNumber() ? value.GetDouble() : 0;
}
bool flag(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.IsBool() && value.GetBool();
}
Partition partition(const Json& object) { return static_cast<Partition>(count(object, "partition")); }

template <typename Each>
void each(const Json& object, const char* name, Each&& take) {
  const Json& list = member(object, name);
  if (!list.IsArray()) return;
  for (const Json& item : list.GetArray()) take(item);
}

Result<rapidjson::Document> parsed(std::string_view json, const char* name) {
  rapidjson::Document document;
  document.Parse(json.data(), json.size());
  if (document.HasParseError() || !member(document, name).IsString())
    return fail(Error::Kind::invalid, "what answers there is no worker of weir, or one of another version");
  return document;
}

WorkerReport::Node read_node(const Json& json) {
  WorkerReport::Node node;
  node.id = text(json, "id");
  node.op = text(json, "operator");
  node.source = text(json, "role") == "source";
  node.sink = text(json, "role") == "sink";
  node.batches = count(json, "batches");
  node.rows_in = count(json, "rows_in");
  node.invalid = count(json, "invalid");
  node.keys = count(json, "keys");
  node.bytes = count(json, "bytes");
  node.busy = real(json, "busy");
  if (const Json& out = member(json, "rows_out"); out.IsObject()) {
    for (const auto& port : out.GetObject())
      node.rows_out.emplace_back(port.name.GetString(), port.value.IsUint64() ? port.value.GetUint64() : 0);
  }
  return node;
}

/// What grew meanwhile, a second. A restarted worker counts from 0.
class Growth {
 public:
  explicit Growth(double seconds) : seconds_{seconds} {}
  template <typename Number>
  double of(Number before, Number now) const {
    const Number grown = now >= before ? now - before : now;
    return seconds_ > 0 ? static_cast<double>(grown) / seconds_ : 0;
  }

 private:
  double seconds_;
};

std::uint64_t out_of(const WorkerReport::Node& node, std::string_view port) {
  const auto found = std::ranges::find(node.rows_out, port, &std::pair<std::string, std::uint64_t>::first);
  return found == node.rows_out.end() ? 0 : found->second;
}

void add_node(TopFrame& frame, const WorkerReport::Node& now, const WorkerReport::Node* before, const Growth& grown) {
  auto line = std::ranges::find(frame.nodes, now.id, &TopFrame::Node::id);
  if (line == frame.nodes.end()) line = frame.nodes.insert(frame.nodes.end(), {.id = now.id, .op = now.op});
  line->invalid += now.invalid;
  line->keys += now.keys;
  line->bytes += now.bytes;
  if (before == nullptr) return;
  const double out = grown.of(out_of(*before, "main"), out_of(now, "main"));
  line->in += grown.of(before->rows_in, now.rows_in);
  line->out += out;
  line->batches += grown.of(before->batches, now.batches);
  line->busy += grown.of(before->busy, now.busy);
  for (const auto& [port, rows] : now.rows_out) {
    if (port == "main") continue;
    auto other = std::ranges::find(line->other, port, &std::pair<std::string, double>::first);
    if (other == line->other.end()) other = line->other.insert(other, {port, 0.0});
    other->second += grown.of(out_of(*before, port), rows);
  }
  if (now.source) frame.samples += out;
  if (now.sink) frame.rows += out;
}

std::string partitions_of(const WorkerReport& report) {
  std::string out;
  for (std::size_t i = 0; i < report.lanes.size(); ++i) {
    std::size_t last = i;
    while (last + 1 < report.lanes.size() && report.lanes[last + 1].partition == report.lanes[last].partition + 1)
      ++last;
    out += (out.empty() ? "" : " ") + std::to_string(report.lanes[i].partition);
    if (last > i) out += "-" + std::to_string(report.lanes[last].partition);
    i = last;
  }
  return out.empty() ? "none" : out;
}

void add_worker(TopFrame& frame, const std::string& address, const WorkerReport& now, const WorkerReport* before,
                const Growth& grown) {
  ++frame.heard;
  frame.sharing = std::max<std::size_t>(frame.sharing, now.workers);
  frame.dead_letters += now.dead_letters;
  TopFrame::Worker line{.name = now.name, .address = address, .partitions = partitions_of(now), .state = {}};
  line.heard = true;
  line.ready = now.ready;
  line.state = now.ready ? "ready" : now.conditions.empty() ? "not ready" : now.conditions.front();
  line.in_flight = now.in_flight;
  line.in_flight_limit = now.in_flight_limit;
  line.resident = now.resident;
  line.commit = now.last_commit;
  if (before != nullptr) {
    line.commits = grown.of(before->commits, now.commits);
    if (line.commits > 0) line.commit = grown.of(before->commit_time, now.commit_time) / line.commits;
  }
  for (const std::string& condition : now.conditions) frame.conditions.push_back(now.name + ": " + condition);
  for (const WorkerReport::Node& node : now.nodes) {
    const WorkerReport::Node* was = nullptr;
    if (before != nullptr) {
      const auto found = std::ranges::find(before->nodes, node.id, &WorkerReport::Node::id);
      if (found != before->nodes.end()) was = &*found;
    }
    add_node(frame, node, was, grown);
  }
  frame.workers.push_back(std::move(line));
}

/// All that is known of them, by partition.
void add_parts(TopFrame& frame, const Glance& now) {
  std::map<Partition, TopFrame::Part> parts;
  if (now.lag) {
    frame.lag = {now.lag->messages, now.lag->seconds};
    for (const LagReport::Part& part : now.lag->parts) {
      parts[part.partition] = {.partition = part.partition,
                               .owner = part.owner,
                               .position = part.position,
                               .lag = std::pair{part.messages, part.seconds}};
    }
  }
  for (const Glance::Worker& worker : now.workers) {
    if (!worker.report) continue;
    for (const WorkerReport::Lane& lane : worker.report->lanes) {
      TopFrame::Part& part = parts[lane.partition];
      part.partition = lane.partition;
      if (part.owner.empty()) part.owner = worker.report->name;
      part.position = std::max(part.position, lane.committed);
      if (part.owner != worker.report->name) continue;
      part.waiting = lane.waiting;
      part.replaying = lane.replaying;
    }
  }
  for (auto& [number, part] : parts) frame.parts.push_back(std::move(part));
}

}  // namespace

Result<WorkerReport> read_report(std::string_view json) {
  const auto document = parsed(json, "worker");
  if (!document) return std::unexpected(document.error());
  WorkerReport out;
  out.pipeline = text(*document, "name");
  out.name = text(*document, "worker");
  out.ready = flag(*document, "ready");
  out.commits = count(*document, "commits");
  out.dead_letters = count(*document, "dead_letters");
  out.in_flight = count(*document, "in_flight");
  out.in_flight_limit = count(*document, "in_flight_limit");
  out.resident = count(*document, "resident");
  out.workers = count(*document, "workers");
  out.last_commit = real(*document, "last_commit");
  out.commit_time = real(*document, "commit_time");
  each(*document, "conditions", [&](const Json& one) {
    if (one.IsString()) out.conditions.emplace_back(one.GetString());
  });
  each(*document, "nodes", [&](const Json& one) { out.nodes.push_back(read_node(one)); });
  each(*document, "lanes", [&](const Json& one) {
    out.lanes.push_back({partition(one), count(one, "committed"), count(one, "waiting"), flag(one, "replaying")});
  });
  std::ranges::sort(out.lanes, {}, &WorkerReport::Lane::partition);
  return out;
}

Result<LagReport> read_lag(std::string_view json) {
  const auto document = parsed(json, "pipeline");
  if (!document) return std::unexpected(document.error());
  LagReport out{.messages = count(*document, "messages"), .seconds = real(*document, "seconds"), .parts = {}};
  each(*document, "partitions", [&](const Json& one) {
    out.parts.push_back(
        {partition(one), text(one, "owner"), count(one, "position"), count(one, "messages"), real(one, "seconds")});
  });
  return out;
}

TopFrame frame_of(const Glance& before, const Glance& now) {
  TopFrame frame;
  const Growth grown{static_cast<double>(now.at - before.at) / static_cast<double>(second)};
  std::set<std::string> met;
  for (const Glance::Worker& worker : now.workers) {
    const auto& report = worker.report;
    if (!report) {
      frame.workers.push_back(
          {.name = "", .address = worker.address, .partitions = "", .state = report.error().message});
      frame.conditions.push_back(report.error().message);
      continue;
    }
    if (!met.insert(report->name).second) continue;  // by another of its addresses
    if (frame.pipeline.empty()) frame.pipeline = report->pipeline;
    const auto was = std::ranges::find_if(
        before.workers, [&](const Glance::Worker& one) { return one.report && one.report->name == report->name; });
    add_worker(frame, worker.address, *report, was == before.workers.end() ? nullptr : &*was->report, grown);
  }
  add_parts(frame, now);
  if (!now.lag) frame.no_lag = now.lag.error().message;
  const auto slowest = std::ranges::max_element(frame.nodes, {}, &TopFrame::Node::busy);
  if (slowest != frame.nodes.end() && slowest->busy > 0) slowest->slowest = true;
  return frame;
}

}  // namespace weir::cli
