#include "core/runtime/lane.hpp"

#include <algorithm>
#include <limits>

namespace weir {

Lane::Lane(Surroundings around, Partition partition)
    : around_{std::move(around)},
      partition_{partition},
      chain_{around_.pipeline, around_.registry,          around_.counters,  around_.clock,
             partition,        around_.source.partitions, around_.part_cells} {}

Result<std::vector<std::string>> Lane::load(const LaneStart& start) {
  start_ = start;
  if (start.state.empty()) return {};
  return chain_.load(start.state);
}

Result<void> Lane::begin(Position after, const StreamIdentity& stream) {
  at_ = start_.at;
  at_.place.position = after;
  at_.fingerprint = around_.pipeline.fingerprint;
  at_.stream = stream;
  at_.numbering = numbering(around_.source.replayable, start_, at_);
  numberings_.clear();
  for (const Node& node : around_.pipeline.nodes) numberings_.push_back(numbering_of(node, at_.numbering));
  count_ = MessageCount{partition_, start_, after};
  // Progress at position 0 is none, so what the first message leads to is given whole: it is a step of its own.
  if (after == 0) start_.borders.insert(start_.borders.begin(), 1);
  for (const LaneStart::Emitted& sink : start_.emitted) chain_.skip(sink.node, sink.behind, sink.rows);
  chain_.leave_out_until(start_.written);
  start_.state = {};  // as large as what was made of it
  return chain_.start(after, start_.arrival());
}

std::vector<MessagesPtr> Lane::cut(MessagesPtr messages, std::size_t most) const {
  return weir::cut(std::move(messages), start_.borders, most);
}

Position Lane::border_after(Position position) const {
  const auto border = std::ranges::upper_bound(start_.borders, position);
  return border == start_.borders.end() ? std::numeric_limits<Position>::max() : *border;
}

Result<Decoded> Lane::decode(MessagesPtr messages) {
  const Message& first = messages->items.front();
  const Message& last = messages->items.back();
  const auto consumed = count_.add(first.sequence, last.sequence, messages->items.size());
  if (!consumed) return std::unexpected(consumed.error());
  const Place place{.position = last.sequence, .stamp = last.arrival, .consumed = *consumed};
  Decoded decoded = chain_.decode(std::move(messages));
  decoded.place = place;
  decoded.place.arrival = decoded.batch->reached;
  return decoded;
}

Result<Decoded> Lane::pass(BatchPtr samples) {
  const Origin& origin = samples->origin;
  const auto consumed = count_.add(origin.after + 1, origin.last, origin.last - origin.after);
  if (!consumed) return std::unexpected(consumed.error());
  Decoded decoded;
  decoded.place = {origin.last, samples->reached, samples->reached, *consumed};
  decoded.keys = chain_.keys()->size();
  decoded.fields = chain_.fields()->size();
  decoded.batch = std::move(samples);
  return decoded;
}

Result<ChainOutput> Lane::step(const Decoded& decoded) {
  next_ = decoded.place;
  const bool reminder = start_.reminded != no_time && next_.arrival <= start_.reminded;
  if (reminder) next_.arrival = start_.reminded;
  replaying_ = reminder || replays(next_.position);
  ChainOutput out;
  const auto done = chain_.step(decoded, replaying_, out);
  return given(done, std::move(out));
}

Result<ChainOutput> Lane::go_on() {
  ChainOutput out;
  const auto done = chain_.go_on(out);
  return given(done, std::move(out));
}

Result<ChainOutput> Lane::given(Result<void> done, ChainOutput out) {
  while (done && out.more && (replaying_ || at_.place.position == 0)) done = chain_.go_on(out);
  if (!done) return std::unexpected(done.error());
  out.replaying = replaying_;
  if (!out.batches.empty()) out.event = chain_.latest_tick();
  if (out.more) {
    out.place = at_.place;
    out.place.latest_tick = latest_tick();
    return out;
  }
  next_.latest_tick = latest_tick();
  out.place = at_.place = next_;
  return out;
}

/// A replay gives the same ticks again, so nobody asks for it there.
Timestamp Lane::latest_tick() const {
  return around_.source.replayable ? no_time : std::max(at_.place.latest_tick, chain_.latest_tick());
}

LaneStep Lane::encode(ChainOutput output) const {
  LaneStep step;
  step.partition = partition_;
  step.place = output.place;
  step.emitted = std::move(output.emitted);
  step.event = output.event;
  step.bytes = message_overhead;
  step.dead_letters = std::move(output.dead_letters);
  for (const SinkBatch& part : output.batches) {
    const auto sink = std::ranges::find(around_.sinks, part.node, &std::pair<std::size_t, const Sink*>::first);
    if (probe_) probe_({part.node, 0}, part.batch);
    const Timestamp since = statistics_ != nullptr ? statistics_->now() : no_time;
    Encoded encoded = sink->second->encode(part.batch);
    if (statistics_ != nullptr) statistics_->took(part.node, 0, 0, since);
    encoded.partition = partition_;
    encoded.last = step.place.position;
    encoded.number = part.number;
    encoded.numbering = numberings_[part.node];
    step.bytes += encoded.bytes.capacity() + (encoded.batch ? encoded.batch->bytes() : 0);
    if (encoded.batch && encoded.batch->messages) step.bytes += weight(*encoded.batch->messages);
    step.rows.push_back({part.node, std::move(encoded)});
  }
  for (const auto& letter : step.dead_letters) step.bytes += letter.payload.size() + message_overhead;
  return step;
}

void Lane::watch(Probe probe) {
  probe_ = std::move(probe);
  chain_.watch([this](PortRef from, const BatchPtr& batch) {
    if (!replaying_) probe_(from, batch);
  });
}

void Lane::measure(NodeStatistics& statistics) {
  statistics_ = &statistics;
  chain_.measure(statistics_);
}

}  // namespace weir
