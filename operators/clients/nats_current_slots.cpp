#include "clients/nats_current_slots.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_subject.hpp"

namespace weir::nats {
namespace {

/// Catches the time of a stored value.
class TimeOf final : public SampleSink {
 public:
  void add(const Sample& sample) override { time = sample.time.value_or(no_time); }
  void refuse(std::string) override {}  // of a value that is no sample there is no time
  Timestamp time = no_time;
};

std::size_t hash_of(std::string_view payload) { return std::hash<std::string_view>{}(payload); }

}  // namespace

void CurrentSlots::gather(Values&& fresh, std::uint64_t number, Timestamp now) {
  drop_done();  // what waits again must stand in waiting_ once
  // Many offers may come at once; which of them brought a value is not known.
  const std::uint64_t oldest = gathered_ + 1;
  gathered_ = number;
  for (auto& [id, value] : fresh) {
    const auto [known, added] = ids_.try_emplace(id);
    if (added) known->second.place = add_slot(id);
    known->second.used = now;
    Place* const place = known->second.place;
    if (place == nullptr) {
      ++counts_.refused;
      continue;
    }
    Slot& slot = place->second;
    const bool waits = slot.since != 0;
    counts_.coalesced += waits ? 1 : 0;
    if (waits && slot.waiting.time > value.time) continue;
    if (!waits) waiting_.push_back(place);
    if (!waits) slot.since = oldest;
    bytes_.fetch_sub(slot.waiting.text.size(), std::memory_order_relaxed);
    slot.waiting = std::move(value);
    bytes_.fetch_add(slot.waiting.text.size(), std::memory_order_relaxed);
  }
}

/// Null if there can't be a subject.
CurrentSlots::Place* CurrentSlots::add_slot(std::uint64_t id) {
  bytes_.fetch_add(id_bytes, std::memory_order_relaxed);
  const auto [key, field] = config_.names(id);
  if (!is_bucket_token(key) || !is_bucket_token(field)) {
    config_.warn(weir::format(
        "{} is not published: key and field are part of the bucket's keys, which are made of letters, digits, \"-\", "
        "\"_\", \"/\" and \"=\"",
        quoted(weir::format("{}.{}", key, field))));
    return nullptr;
  }
  auto subject = bucket_subject(config_.bucket, weir::format("{}.{}", key, field));
  if (subject.size() > longest_subject) {
    config_.warn(
        weir::format("{}... is not published: key and field have {} bytes together, in bucket {} they may have {}",
                     key.substr(0, 40), key.size() + field.size(), config_.bucket,
                     longest_subject - (subject.size() - key.size() - field.size())));
    return nullptr;
  }
  Place& place = *slots_.try_emplace(std::move(subject), Slot{.id = id, .waiting = {}}).first;
  bytes_.fetch_add(bytes_of(place), std::memory_order_relaxed);
  return &place;
}

bool CurrentSlots::each_waiting(const std::function<bool(const Write&)>& write) {
  drop_done();
  for (Place* const place : waiting_) {
    auto& [subject, slot] = *place;
    const Current& value = slot.waiting;
    if (slot.revision != 0 && value.time < slot.time) {
      ++counts_.superseded;
      done(slot);
      continue;
    }
    const auto [key, field] = config_.names(slot.id);
    const Sample sample{.key = key,
                        .field = field,
                        .time = value.time,
                        .x = value.x,
                        .y = value.y,
                        .z = value.z,
                        .text = value.text,
                        .kind = value.kind};
    const auto payload = config_.codec->encode({&sample, 1}, true, true);
    if (!payload) {
      refuse(*place, payload.error());
      continue;
    }
    slot.sent = hash_of(*payload);
    // At the same time the later one stays, whoever wrote it; what is there already need not be written again.
    if (slot.revision != 0 && slot.time == value.time && slot.payload == slot.sent) {
      ++counts_.superseded;
      done(slot);
      continue;
    }
    if (!write({subject, *payload, slot.revision})) return false;
  }
  return true;
}

std::size_t CurrentSlots::waiting() {
  drop_done();
  return waiting_.size();
}

std::uint64_t CurrentSlots::durable() const {
  std::uint64_t up_to = gathered_;
  for (const Place* place : waiting_) {
    if (const auto since = place->second.since; since != 0) up_to = std::min(up_to, since - 1);
  }
  return up_to;
}

/// Its value waits no longer, for whatever reason.
void CurrentSlots::done(Slot& slot) {
  slot.since = 0;
  bytes_.fetch_sub(slot.waiting.text.size(), std::memory_order_relaxed);
  std::string{}.swap(slot.waiting.text);
}

void CurrentSlots::written(std::string_view subject, std::uint64_t revision) {
  const auto found = slots_.find(subject);
  if (found == slots_.end()) return;
  Slot& slot = found->second;
  done(slot);
  slot.revision = revision;
  slot.time = slot.waiting.time;
  slot.payload = slot.sent;
  ++counts_.written;
}

void CurrentSlots::refuse(std::string_view subject, const std::string& why) {
  if (const auto found = slots_.find(subject); found != slots_.end()) refuse(*found, why);
}

void CurrentSlots::refuse(Place& place, const std::string& why) {
  Slot& slot = place.second;
  done(slot);
  ++counts_.refused;
  if (std::exchange(slot.told, true)) return;
  const auto [key, field] = config_.names(slot.id);
  config_.warn(weir::format("{}.{} is not published: {}", key, field, why));
}

void CurrentSlots::know(std::string_view subject, std::uint64_t revision, std::string_view value) {
  const auto found = slots_.find(subject);
  if (found == slots_.end() || revision <= found->second.revision) return;
  Slot& slot = found->second;
  TimeOf stored;
  const auto [key, field] = config_.names(slot.id);
  const Message message{.subject = subject, .payload = value, .key = key, .field = field};
  slot.time = config_.codec->decode(message, stored) ? stored.time : no_time;
  slot.revision = revision;
  slot.payload = hash_of(value);
}

std::uint64_t CurrentSlots::revision(std::string_view subject) const {
  const auto found = slots_.find(subject);
  return found == slots_.end() ? 0 : found->second.revision;
}

void CurrentSlots::distrust(std::string_view subject) {
  if (const auto found = slots_.find(subject); found != slots_.end()) found->second.revision = 0;
}

void CurrentSlots::distrust() {
  for (auto& [subject, slot] : slots_) slot.revision = 0;
}

void CurrentSlots::prune(Timestamp now) {
  if (pruned_ != no_time && now - pruned_ < std::min(config_.forget, minute)) return;
  pruned_ = now;
  drop_done();
  std::size_t taken = 0;
  for (auto known = ids_.begin(); known != ids_.end();) {
    const auto [place, used] = known->second;
    const bool old = now - used >= config_.forget && (place == nullptr || place->second.since == 0);
    if (!old) taken += id_bytes + (place == nullptr ? 0 : bytes_of(*place));
    if (old && place != nullptr) slots_.erase(slots_.find(place->first));
    known = old ? ids_.erase(known) : std::next(known);
  }
  bytes_.store(taken, std::memory_order_relaxed);
}

void CurrentSlots::drop_done() {
  std::erase_if(waiting_, [](const Place* place) { return place->second.since == 0; });
}

}  // namespace weir::nats
