#include "sinks/jetstream-kv/newest_values.hpp"

#include <algorithm>
#include <cmath>
#include <expected>
#include <optional>

#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_subject.hpp"

namespace weir::jetstream_kv {
namespace {

/// Catches the time of a stored value.
class TimeOf final : public SampleSink {
 public:
  void add(const Sample& sample) override { time = sample.time.value_or(no_time); }
  void refuse(Reason) override {}  // of a value that is no sample there is no time
  Timestamp time = no_time;
};

std::size_t hash_of(std::string_view payload) { return std::hash<std::string_view>{}(payload); }

/// Why a bucket can't have such a key.
Reason no_key(std::string_view key, std::string_view field) {
  if (nats::is_bucket_token(key) && nats::is_bucket_token(field)) {
    return {"key_too_long", weir::format("key and field have {} bytes together, a subject of the bucket at most {}",
                                         key.size() + field.size(), nats::longest_subject)};
  }
  return {"not_a_bucket_key", weir::format("{}; key and field may have letters, digits, \"-\", \"_\", \"/\" and \"=\"",
                                           quoted(weir::format("{}.{}", key, field)))};
}

/// Key and field of a subject, as add_slot() made it: neither has a '.'.
std::pair<std::string_view, std::string_view> names_in(std::string_view subject) {
  const auto field = subject.rfind('.');
  const auto key = subject.rfind('.', field - 1);
  return {subject.substr(key + 1, field - key - 1), subject.substr(field + 1)};
}

/// Whether a codec may object to a value.
bool is_doubtful(const SampleValue& value) {
  if (value.kind == SampleValue::Kind::text) return false;
  return value.kind == SampleValue::Kind::nothing || !std::isfinite(value.x) || !std::isfinite(value.y);
}

std::expected<std::string, std::string> payload_of(const Codec& codec, std::string_view subject, const Batch& batch,
                                                   std::size_t row) {
  using enum SampleValue::Kind;
  const SampleRows rows{batch};
  const SampleValue value = rows.value(row);
  if (value.kind == nothing) return std::unexpected("a sample without a value");
  const auto [key, field] = names_in(subject);
  const auto kind = value.kind == point  ? Sample::Kind::point
                    : value.kind == text ? Sample::Kind::text
                                         : Sample::Kind::number;
  const Sample sample{.key = key,
                      .field = field,
                      .time = rows.time(row),
                      .x = value.x,
                      .y = value.y,
                      .z = value.z,
                      .text = value.text,
                      .kind = kind};
  return codec.encode({&sample, 1}, true, true);
}

}  // namespace

void NewestValues::take(const Encoded& rows, Timestamp now) {
  drop_done();  // what waits again must stand in waiting_ once
  const SampleRows in{*rows.batch};
  Lane& lane = lane_of(rows.partition, in);
  for (std::size_t row = 0; row < in.size(); ++row) {
    if (!in.timed(row)) {
      reject(rows, row, "no_event_time");
      continue;
    }
    const Timestamp time = in.time(row);
    if (time > in.arrival[row] + config_.max_ahead) {
      reject(rows, row, {"ahead_of_arrival", "by more than max_ahead, " + format_duration(config_.max_ahead)});
      continue;
    }
    const std::uint32_t key = in.keys.ids[row], field = in.fields.ids[row];
    const auto [known, added] = lane.places.try_emplace(std::uint64_t{key} << 32 | field);
    if (added) known->second = add_slot(lane.keys->at(key), lane.fields->at(field));
    if (known->second == nullptr) {
      reject(rows, row, no_key(lane.keys->at(key), lane.fields->at(field)));
      continue;
    }
    // What can't be written must not take the place of what can.
    if (is_doubtful(in.value(row))) {
      if (auto payload = payload_of(*config_.codec, known->second->first, *rows.batch, row); !payload) {
        reject(rows, row, {"not_encodable", std::move(payload.error())});
        continue;
      }
    }
    Slot& slot = known->second->second;
    slot.used = now;
    if (slot.rows == nullptr) {
      waiting_.push_back(known->second);
    } else {
      ++counts_.coalesced;
      if (slot.waiting > time) continue;
    }
    slot.rows = &rows;
    slot.row = row;
    slot.waiting = time;
  }
}

NewestValues::Lane& NewestValues::lane_of(Partition partition, const SampleRows& rows) {
  Lane& lane = lanes_[partition];
  // A lane that starts again has other numbers.
  if (lane.keys != rows.keys.dictionary || lane.fields != rows.fields.dictionary)
    lane = {rows.keys.dictionary, rows.fields.dictionary, {}};
  return lane;
}

/// Null if the bucket can't have such a key.
NewestValues::Place* NewestValues::add_slot(std::string_view key, std::string_view field) {
  if (!nats::is_bucket_token(key) || !nats::is_bucket_token(field)) return nullptr;
  auto subject = nats::bucket_subject(config_.bucket, weir::format("{}.{}", key, field));
  if (subject.size() > nats::longest_subject) return nullptr;
  return &*slots_.try_emplace(std::move(subject)).first;
}

bool NewestValues::each_waiting(const std::function<bool(const Write&)>& write) {
  drop_done();
  for (Place* const place : waiting_) {
    auto& [subject, slot] = *place;
    if (slot.revision != 0 && slot.waiting < slot.time) {
      ++counts_.superseded;
      done(slot);
      continue;
    }
    const auto payload = payload_of(*config_.codec, subject, *slot.rows->batch, slot.row);
    if (!payload) {
      reject(subject, {"not_encodable", payload.error()});
      continue;
    }
    slot.sent = hash_of(*payload);
    // At the same time the later one stays, whoever wrote it; what is there already need not be written again.
    if (slot.revision != 0 && slot.time == slot.waiting && slot.payload == slot.sent) {
      ++counts_.superseded;
      done(slot);
      continue;
    }
    if (!write({subject, *payload, slot.revision})) return false;
  }
  return true;
}

std::size_t NewestValues::waiting() {
  drop_done();
  return waiting_.size();
}

void NewestValues::forget_all() {
  for (Place* const place : waiting_) done(place->second);
  waiting_.clear();
  for (auto& [subject, slot] : slots_) slot.revision = 0;
  counts_ = {};
  rejected_.clear();
}

void NewestValues::written(std::string_view subject, std::uint64_t revision) {
  const auto found = slots_.find(subject);
  if (found == slots_.end()) return;
  Slot& slot = found->second;
  done(slot);
  slot.revision = revision;
  slot.time = slot.waiting;
  slot.payload = slot.sent;
  ++counts_.written;
}

void NewestValues::reject(std::string_view subject, const Reason& reason) {
  const auto found = slots_.find(subject);
  if (found == slots_.end() || found->second.rows == nullptr) return;
  reject(*found->second.rows, found->second.row, reason);
  done(found->second);
}

void NewestValues::reject(const Encoded& rows, std::size_t row, Reason reason) {
  rejected_.push_back({rows.batch, row, std::move(reason)});
}

void NewestValues::know(std::string_view subject, std::uint64_t revision, std::string_view value) {
  const auto found = slots_.find(subject);
  if (found == slots_.end() || revision <= found->second.revision) return;
  Slot& slot = found->second;
  TimeOf stored;
  const auto [key, field] = names_in(subject);
  const Message message{.subject = subject, .payload = value, .key = key, .field = field};
  slot.time = config_.codec->decode(message, stored) ? stored.time : no_time;
  slot.revision = revision;
  slot.payload = hash_of(value);
}

std::uint64_t NewestValues::revision(std::string_view subject) const {
  const auto found = slots_.find(subject);
  return found == slots_.end() ? 0 : found->second.revision;
}

void NewestValues::distrust(std::string_view subject) {
  if (const auto found = slots_.find(subject); found != slots_.end()) found->second.revision = 0;
}

void NewestValues::prune(Timestamp now) {
  if (pruned_ != no_time && now - pruned_ < std::min(config_.forget, minute)) return;
  pruned_ = now;
  drop_done();
  lanes_.clear();  // and with them the tables of lanes that are gone
  std::erase_if(slots_, [&](const Place& place) {
    return place.second.rows == nullptr && now - place.second.used >= config_.forget;
  });
}

/// Its row waits no longer, for whatever reason.
void NewestValues::done(Slot& slot) {
  slot.rows = nullptr;
  any_done_ = true;
}

void NewestValues::drop_done() {
  if (!std::exchange(any_done_, false)) return;
  std::erase_if(waiting_, [](const Place* place) { return place->second.rows == nullptr; });
}

}  // namespace weir::jetstream_kv
