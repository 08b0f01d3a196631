#include "console/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <sstream>

#include "console/memory.hpp"
#include "core/observe/counted.hpp"

namespace weir {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr Gauge all_gauges[] = {
    {"weir_pulled_position", "stream sequence of the last message pulled"},
    {"weir_waiting_messages", "messages in the stream that are not pulled yet"},
    {"weir_replaying", "1 while a lane replays after a crash"},
    {"weir_committed_position", "stream sequence up to which rows are committed"},
    {"weir_watermark_delay_seconds",
     "wall time less the arrival time up to which this worker has committed; 0 while the stream has nothing else"},
    {"weir_lag_messages",
     "messages, markers among them, that the streams of all partitions hold beyond what is committed, of all owners; "
     "every worker tells the same; absent while a sink or the source does not answer, see /lag"},
    {"weir_lag_seconds", "how long the first of those messages has been in its stream; 0 if there is none"},
    {"weir_state_keys", "keys that a node holds"},
    {"weir_state_bytes", "bytes of state that a node holds"},
    {"weir_ready", "1 if the worker is ready"},
    {"weir_lanes", "partitions that this worker holds"},
    {"weir_in_flight_bytes", "bytes pulled and not yet committed"},
    {"weir_in_flight_limit_bytes", "bound on weir_in_flight_bytes"},
    {"process_resident_memory_bytes", "resident memory"},
};

/// Families by name, in the order of first use.
class Families {
 public:
  explicit Families(std::string pipeline) : pipeline_{std::move(pipeline)} {}

  void add(const std::string& name, MetricType type, const std::string& help, double value,
           std::vector<ClientMetric::Label> labels = {}) {
    MetricFamily& family = find(name, type, help);
    ClientMetric metric;
    metric.label.push_back({"pipeline", pipeline_});
    for (auto& label : labels) metric.label.push_back(std::move(label));
    if (type == MetricType::Counter) metric.counter.value = value;
    if (type == MetricType::Gauge) metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  void gauge(std::string_view name, double value, std::vector<ClientMetric::Label> labels = {}) {
    const auto known = std::ranges::find(gauges(), name, &Gauge::name);
    assert(known != gauges().end() && "a gauge that is listed");
    add(std::string{name}, MetricType::Gauge, std::string{known->help}, value, std::move(labels));
  }
  void add(const Histogram& histogram) {
    const auto& [name, doc, bounds] = histogram.what();
    const Histogram::Values values = histogram.values();
    ClientMetric metric;
    metric.label.push_back({"pipeline", pipeline_});
    metric.histogram.sample_count = values.at_most.back();
    metric.histogram.sample_sum = values.sum;
    for (std::size_t i = 0; i < values.at_most.size(); ++i)
      metric.histogram.bucket.push_back(
          {values.at_most[i], i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
    find("weir_" + name, MetricType::Histogram, doc).metric.push_back(std::move(metric));
  }
  MetricFamily& find(const std::string& name, MetricType type, const std::string& help) {
    const auto [it, added] = index_.emplace(name, families_.size());
    if (added) families_.push_back({name, help, type, {}});
    return families_[it->second];
  }
  const std::vector<MetricFamily>& all() const { return families_; }

 private:
  std::string pipeline_;
  std::map<std::string, std::size_t> index_;
  std::vector<MetricFamily> families_;
};

/// How much passes the nodes, and what it takes.
void add_work(Families& out, const Counters& work) {
  for (const auto& line : work.lines()) {
    std::vector<ClientMetric::Label> labels{{"node", line.node}};
    if (!line.reason.empty()) labels.push_back({"port", line.reason});
    const bool is_time = line.name == counted::node_busy_seconds.name;
    out.add("weir_" + line.name + "_total", MetricType::Counter, line.doc,
            is_time ? seconds(static_cast<Duration>(line.value)) : static_cast<double>(line.value), std::move(labels));
  }
}

void add_lanes(Families& out, const Pipeline& pipeline, const Worker::Status& status, Timestamp now) {
  std::map<std::size_t, Transform::Size> sizes;
  for (const auto& lane : status.lanes) {
    const ClientMetric::Label partition{"partition", std::to_string(lane.partition)};
    out.gauge("weir_pulled_position", static_cast<double>(lane.pulled), {partition});
    out.gauge("weir_waiting_messages", static_cast<double>(lane.waiting), {partition});
    out.gauge("weir_replaying", lane.replaying ? 1 : 0, {partition});
    for (const auto& [node, size] : lane.sizes) {
      sizes[node].keys += size.keys;
      sizes[node].bytes += size.bytes;
    }
  }
  for (const auto& place : status.committed) {
    const ClientMetric::Label partition{"partition", std::to_string(place.partition)};
    out.gauge("weir_committed_position", static_cast<double>(place.position), {partition});
    if (place.reached == no_time) continue;
    // A source that can't be reached does not know what waits.
    const bool idle = std::ranges::any_of(status.lanes, [&](const LaneRun::Status& lane) {
      return lane.partition == place.partition && lane.condition.empty() && lane.waiting == 0 &&
             lane.pulled <= place.position;
    });
    out.gauge("weir_watermark_delay_seconds", idle ? 0 : seconds(now - place.reached), {partition});
  }
  for (const auto& [node, size] : sizes) {
    const ClientMetric::Label label{"node", pipeline.nodes[node].id};
    out.gauge("weir_state_keys", static_cast<double>(size.keys), {label});
    out.gauge("weir_state_bytes", static_cast<double>(size.bytes), {label});
  }
}

}  // namespace

std::span<const Gauge> gauges() { return all_gauges; }

std::string render_metrics(const Pipeline& pipeline, const Counters& counters, const Counters& work,
                           const Worker::Status& status, Timestamp now, const std::optional<Lag>& lag) {
  Families out{pipeline.name};
  out.gauge("weir_ready", status.ready ? 1 : 0);
  out.gauge("weir_lanes", static_cast<double>(status.lanes.size()));
  out.gauge("weir_in_flight_bytes", static_cast<double>(status.in_flight));
  out.gauge("weir_in_flight_limit_bytes", static_cast<double>(status.in_flight_limit));
  out.gauge("process_resident_memory_bytes", static_cast<double>(resident_bytes()));
  add_lanes(out, pipeline, status, now);
  if (lag && lag->unanswered.empty()) {
    out.gauge("weir_lag_messages", static_cast<double>(lag->messages));
    out.gauge("weir_lag_seconds", seconds(lag->age));
  }
  for (const auto& line : counters.lines()) {
    std::vector<ClientMetric::Label> labels;
    if (!line.node.empty()) labels.push_back({"node", line.node});
    if (!line.reason.empty()) labels.push_back({"reason", line.reason});
    out.add("weir_" + line.name + "_total", MetricType::Counter, line.doc, static_cast<double>(line.value),
            std::move(labels));
  }
  for (const Histogram* histogram : counters.histograms()) out.add(*histogram);
  add_work(out, work);
  std::ostringstream text;
  prometheus::TextSerializer{}.Serialize(text, out.all());
  return text.str();
}

}  // namespace weir
