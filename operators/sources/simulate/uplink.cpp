#include "sources/simulate/uplink.hpp"

#include <algorithm>
#include <utility>

namespace weir::fleet {
namespace {

constexpr std::size_t prefetched = 4;  // entries ahead: memory is far away, and vehicles come in any order

/// Several independent chances from one draw.
class Dice {
 public:
  explicit Dice(std::uint64_t bits) : bits_{bits} {}
  bool operator()(double share) {
    const double rolled = static_cast<double>(bits_ & 0xFFFFF) * 0x1p-20;
    bits_ >>= 20;
    return rolled < share;
  }

 private:
  std::uint64_t bits_;
};

bool any(const Faults& f) {
  return f.batch_missing > 0 || f.batch_late > 0 || f.batch_repeated > 0 || f.sample_missing > 0 || f.sample_late > 0 ||
         f.sample_zeroed > 0;
}

Duration part_of(Duration length, double share) { return static_cast<Duration>(static_cast<double>(length) * share); }

}  // namespace

Uplink::Uplink(const Link& link, const Codec& codec)
    : link_{link},
      codec_{codec},
      seed_{mix(link.plan.seed, 0x11)},
      faulty_{any(link.faults)},
      fleet_{link.plan},
      calendar_{link.plan.start} {
  if (faulty_) first_late_.resize(link.plan.vehicles);
  for (std::uint32_t i = 0; i < link.plan.vehicles; ++i) {
    const Duration phase = part_of(link.frame, unit(bits(i, 1)));
    if (fleet_.next(i) < link_.end) schedule(i, link.plan.start + phase - link.frame);
  }
}

/// Time from the radio to the server.
Duration Uplink::delay(std::uint32_t vehicle) const {
  return 5 * millisecond + part_of(50 * millisecond, unit(bits(vehicle, 2)));
}

/// Decides up to when the vehicle's next message reaches, after one that reached to `cut`.
void Uplink::schedule(std::uint32_t vehicle, Timestamp cut) {
  const Timestamp next = fleet_.next(vehicle);
  cut = link_.frame == 0 ? next + 1 : cut + link_.frame * ((next - cut) / link_.frame + 1);
  cut = std::min(fleet_.linked(vehicle, std::min(cut, link_.end)), link_.end);
  calendar_.push({cut + delay(vehicle), vehicle, 0});
}

Result<const Sent*> Uplink::peek() {
  while (shown_ == ready_.size()) {
    ready_.clear();
    shown_ = 0;
    if (calendar_.empty()) return nullptr;
    const Entry entry = calendar_.pop();
    if (const Entry* coming = calendar_.glance(prefetched)) fleet_.prefetch(coming->vehicle);
    if (entry.held != 0) {
      ready_.push_back(std::move(held_[entry.held - 1]));
      free_held_.push_back(entry.held - 1);
    } else if (auto sent = wake(entry); !sent) {
      return std::unexpected(std::move(sent.error()));
    }
  }
  return &ready_[shown_];
}

Result<void> Uplink::wake(const Entry& entry) {
  const std::uint32_t vehicle = entry.vehicle;
  const Timestamp cut = entry.at - delay(vehicle);
  readings_.clear();
  parts_ = 0;
  fleet_.drive(vehicle, cut, readings_);
  const bool last = fleet_.next(vehicle) >= link_.end;
  const bool burst = !readings_.empty() &&
                     readings_.back().time - readings_.front().time > 2 * std::max<Duration>(link_.frame, second);
  if (faulty_) spoil(vehicle, cut, last || !fleet_.driving(vehicle));
  if (!last) schedule(vehicle, cut);

  const bool whole = readings_.size() == 1 || (!burst && !link_.by_sensor && link_.frame > 0);
  if (whole) return send(entry, readings_);
  sorted_.clear();
  for (std::size_t i = 0; i < sensor_count; ++i) {
    std::ranges::copy_if(readings_, std::back_inserter(sorted_),
                         [&](const Reading& r) { return r.sensor == Sensor{static_cast<std::uint8_t>(i)}; });
  }
  const std::span<const Reading> all{sorted_};
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    ++end;
    while (link_.frame > 0 && end < all.size() && all[end].sensor == all[begin].sensor) ++end;
    if (auto sent = send(entry, all.subspan(begin, end - begin)); !sent) return sent;
  }
  return {};
}

/// Lets faults happen to single samples. `quiet`: the vehicle says no more for a while, so nothing is put back.
void Uplink::spoil(std::uint32_t vehicle, Timestamp cut, bool quiet) {
  behind_.clear();
  bring_back(vehicle, cut, quiet);
  std::size_t kept = 0;
  for (Reading& reading : readings_) {
    Dice dice{bits(vehicle, mix(static_cast<std::uint64_t>(reading.time), static_cast<std::uint64_t>(reading.sensor)))};
    const bool spared = reading.sensor == Sensor::power;
    if (!spared && dice(link_.faults.sample_missing)) {
      ++counts_.missing;
      continue;
    }
    if (!spared && dice(link_.faults.sample_zeroed)) {
      reading.x = reading.y = reading.z = 0;
      ++counts_.zeroed;
    }
    if (!spared && dice(link_.faults.sample_late)) {
      ++counts_.late;
      quiet ? behind_.push_back(reading) : put_back(vehicle, cut, reading);
      continue;
    }
    readings_[kept++] = reading;
  }
  readings_.resize(kept);
  readings_.insert(readings_.end(), behind_.begin(), behind_.end());
}

void Uplink::put_back(std::uint32_t vehicle, Timestamp cut, const Reading& reading) {
  std::uint32_t place = static_cast<std::uint32_t>(late_.size());
  if (free_late_.empty()) {
    late_.emplace_back();
  } else {
    place = free_late_.back();
    free_late_.pop_back();
  }
  late_[place] = {reading, cut, 0};
  std::uint32_t* end = &first_late_[vehicle];
  while (*end != 0) end = &late_[*end - 1].next;
  *end = place + 1;
}

/// Readings put back in an earlier message come now; where every sample is a message, those of a second ago.
void Uplink::bring_back(std::uint32_t vehicle, Timestamp cut, bool all) {
  std::uint32_t& first = first_late_[vehicle];
  while (first != 0) {
    const LateReading& late = late_[first - 1];
    if (!all && link_.frame == 0 && cut - late.since < second) return;
    behind_.push_back(late.reading);
    free_late_.push_back(first - 1);
    first = late.next;
  }
}

Result<void> Uplink::send(const Entry& entry, std::span<const Reading> readings) {
  while (!readings.empty()) {
    const auto part = readings.first(std::min(readings.size(), largest));
    readings = readings.subspan(part.size());
    const std::uint64_t key = mix(static_cast<std::uint64_t>(entry.at), parts_++);
    Dice dice{bits(entry.vehicle, key)};
    if (faulty_ && dice(link_.faults.batch_missing)) {
      counts_.missing += part.size();
      continue;
    }
    const bool late = faulty_ && dice(link_.faults.batch_late);
    const bool again = faulty_ && dice(link_.faults.batch_repeated);
    const double share = late || again ? unit(mix(seed_, bits(entry.vehicle, key))) : 0;
    Sent sent;
    sent.at = entry.at;
    sent.vehicle = entry.vehicle;
    sent.samples = static_cast<std::uint32_t>(part.size());
    sent.sensor = part.front().sensor;
    sent.readings = part;
    if (late || again) {
      if (auto encoded = encode(sent); !encoded) return encoded;
    }
    if (again) {
      Sent copy = sent;
      copy.again = true;
      copy.at += part_of(2 * second, share);
      hold(std::move(copy));
    }
    if (late) {
      counts_.late += part.size();
      sent.at += part_of(std::max<Duration>(link_.frame, second), 1.1 + 2 * share);
      hold(std::move(sent));
    } else {
      ready_.push_back(std::move(sent));
    }
  }
  return {};
}

Result<std::string_view> Uplink::payload() {
  Sent& sent = ready_[shown_];
  if (auto encoded = encode(sent); !encoded) return std::unexpected(std::move(encoded.error()));
  return sent.payload;
}

Result<void> Uplink::encode(Sent& sent) {
  if (!sent.payload.empty()) return {};
  samples_.resize(sent.readings.size());
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    const Reading& reading = sent.readings[i];
    samples_[i] = {.field = sensor_names[static_cast<std::size_t>(reading.sensor)],
                   .time = reading.time,
                   .x = reading.x,
                   .y = reading.y,
                   .z = reading.z,
                   .kind = reading.sensor == Sensor::position ? Sample::Kind::point : Sample::Kind::number};
  }
  auto payload = codec_.encode(samples_, true, link_.by_sensor);
  if (!payload) {
    return fail(Error::Kind::invalid, "the samples do not fit this encoding: " + payload.error(), "encoding");
  }
  sent.payload = std::move(*payload);
  return {};
}

void Uplink::hold(Sent sent) {
  std::uint32_t place = static_cast<std::uint32_t>(held_.size());
  if (free_held_.empty()) {
    held_.emplace_back();
  } else {
    place = free_held_.back();
    free_held_.pop_back();
  }
  const Entry entry{sent.at, sent.vehicle, place + 1};
  sent.readings = {};
  held_[place] = std::move(sent);
  calendar_.push(entry);
}

}  // namespace weir::fleet
