#include "console/tap_stream.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/spelling.hpp>

#include "core/plan/keeping.hpp"

namespace weir {

std::string TapStream::next() {
  std::string out;
  if (!first_.empty()) TapLines::say(std::exchange(first_, {}), out);
  const Tap::Seen seen = tap_->take(out.empty() ? patience : 0);
  const Timestamp now = clock_.steady();
  for (const BatchPtr& batch : seen.batches) lines_.add(*batch, now, out);
  lines_.missed(seen.missed);
  over_ = seen.over || lines_.enough();
  lines_.tell(now, over_, out);
  for (const std::string& news : seen.news) TapLines::say(news, out);
  if (out.empty() && now - spoke_ >= longest_silence) out = "\n";
  if (!out.empty()) spoke_ = now;
  return out;
}

std::string elsewhere(const TapSelection& selection, const Pipeline& pipeline, const Worker::Status& status) {
  const Claims claims = claims_of(pipeline.nodes[pipeline.source()]);
  if (!claims.partitioned || claims.partitions == 1 || status.lanes.empty()) return {};
  std::string out;
  for (const std::string& key : selection.keys) {
    const Partition partition = partition_of(key, claims.partitions);
    if (std::ranges::contains(status.lanes, partition, &LaneRun::Status::partition)) continue;
    out += weir::format("{}{} is in partition {}", out.empty() ? "" : ", ", weir::quoted(key), partition);
  }
  return out.empty() ? out
                     : out + ", which this worker does not have: waiting until it has; weir owners tells who has now";
}

}  // namespace weir
