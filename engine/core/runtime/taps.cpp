#include "core/runtime/taps.hpp"

#include <algorithm>
#include <chrono>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "core/runtime/pieces.hpp"

namespace weir {
namespace {

constexpr std::chrono::seconds farewell{1};

std::size_t bytes_held_by(const Batch& batch) { return batch.bytes() + (batch.messages ? weight(*batch.messages) : 0); }

}  // namespace

Tap::~Tap() {
  const std::scoped_lock lock{taps_.mutex_};
  std::erase(taps_.taps_, this);
  taps_.looking_.store(taps_.taps_.size(), std::memory_order_relaxed);
  taps_.changed_.notify_all();
}

Tap::Seen Tap::take(Duration wait) {
  std::unique_lock lock{taps_.mutex_};
  taps_.changed_.wait_for(lock, std::chrono::nanoseconds{wait},
                          [this] { return seen_.over || !seen_.batches.empty() || !seen_.news.empty(); });
  const bool over = seen_.over;
  bytes_ = 0;
  return std::exchange(seen_, Seen{.batches = {}, .missed = 0, .news = {}, .over = over});
}

Result<std::unique_ptr<Tap>> Taps::open(const std::string& place) {
  const std::scoped_lock lock{mutex_};
  if (places_.empty()) return fail(Error::Kind::unreachable, "the pipeline has ended");
  const auto found = std::ranges::find(places_, place, &std::pair<std::string, SchemaPtr>::first);
  if (found == places_.end()) {
    std::vector<std::string> known;
    for (const auto& [name, schema] : places_) known.push_back(name);
    const std::string meant = suggest(place, known);
    return fail(Error::Kind::invalid,
                weir::format("there is no node or port {}{}{}", quoted(place), meant.empty() ? "" : "; ", meant));
  }
  if (taps_.size() >= most) {
    return fail(Error::Kind::exhausted,
                weir::format("{} others look into this worker already, which is the most; end one of them", most));
  }
  std::unique_ptr<Tap> tap{new Tap{*this, place, found->second}};
  taps_.push_back(tap.get());
  looking_.store(taps_.size(), std::memory_order_relaxed);
  return tap;
}

void Taps::hand_out(const Pipeline& pipeline, PortRef from, const BatchPtr& batch) {
  if (batch->rows == 0) return;
  const std::string place = place_of(pipeline, from);
  const std::scoped_lock lock{mutex_};
  for (Tap* tap : taps_) {
    if (tap->place_ != place || tap->seen_.over) continue;
    auto& waiting = tap->seen_.batches;
    const std::size_t bytes = bytes_held_by(*batch);
    if (!waiting.empty() && (waiting.size() >= Tap::most_batches || tap->bytes_ + bytes > Tap::most_bytes)) {
      tap->seen_.missed += batch->rows;
      continue;
    }
    waiting.push_back(batch);
    tap->bytes_ += bytes;
    if (waiting.size() == 1) changed_.notify_all();
  }
}

void Taps::runs(const Pipeline& pipeline) {
  const std::scoped_lock lock{mutex_};
  places_.clear();
  for (std::size_t i = 0; i < pipeline.nodes.size(); ++i) {
    const Node& node = pipeline.nodes[i];
    if (node.role == Role::sink) places_.emplace_back(node.id, node.input);
    for (Port port = 0; port < node.outputs.size(); ++port)
      places_.emplace_back(place_of(pipeline, {i, port}), node.outputs[port]);
  }
  for (Tap* tap : taps_) {
    tap->seen_.over |= !std::ranges::contains(places_, tap->place_, &std::pair<std::string, SchemaPtr>::first);
    tap->seen_.news.push_back(tap->seen_.over ? weir::format("reloaded: there is no {} any more", quoted(tap->place_))
                                              : "reloaded: what follows is of the pipeline as it is now");
  }
  changed_.notify_all();
}

void Taps::end(const std::string& why) {
  std::unique_lock lock{mutex_};
  places_.clear();
  for (Tap* tap : taps_) {
    tap->seen_.news.push_back(why);
    tap->seen_.over = true;
  }
  changed_.notify_all();
  changed_.wait_for(lock, farewell, [this] { return taps_.empty(); });
}

}  // namespace weir
