/// What a fleet's radio links make of its readings: frames, delays, losses, repeats. The rest of source/simulate's
/// model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <weir/codec.hpp>
#include <weir/types.hpp>

#include "sources/simulate/calendar.hpp"
#include "sources/simulate/fleet.hpp"

namespace weir::fleet {

/// Shares, 0 to 1. A batch is a message. The samples of `power` are spared the faults of samples, not those of batches.
struct Faults {
  double batch_missing = 0;   ///< never sent
  double batch_late = 0;      ///< sent after the vehicle's next
  double batch_repeated = 0;  ///< sent again within two seconds
  double sample_missing = 0;  ///< left out
  double sample_late = 0;     ///< sent with the vehicle's next message, behind newer ones
  double sample_zeroed = 0;   ///< its value is 0
};

struct Link {
  Plan plan;
  Faults faults;
  Duration frame = second;      ///< a vehicle sends what it read this often; 0: each sample by itself, at once
  bool by_sensor = false;       ///< a message holds samples of one sensor
  Timestamp end = end_of_time;  ///< nothing is read at or after it
};

/// One message as it arrives.
struct Sent {
  Timestamp at = 0;  ///< when
  std::uint32_t vehicle = 0;
  std::uint32_t samples = 0;
  Sensor sensor = Sensor::position;   ///< of the samples, if the link is by sensor
  bool again = false;                 ///< a repeat
  std::span<const Reading> readings;  ///< what is in it; empty if the payload is made already
  std::string payload;                ///< empty until it is made
};

/// The messages of a fleet in the order of arrival, and equal times by vehicle. A function of the link's description
/// alone. While a link is lost its vehicle's samples wait; then they come at once, one sensor after the other.
///
/// Threads   one.
class Uplink {
 public:
  /// The codec must outlive it.
  Uplink(const Link& link, const Codec& codec);

  /// The next message, which stays until take(); null after the last. Errors as payload().
  Result<const Sent*> peek();
  /// Goes on behind the message that peek() showed.
  void take() { ++shown_; }

  /// The payload of the message that peek() showed, made only now: to pass a message over costs little. An Error if the
  /// codec can't hold the samples.
  Result<std::string_view> payload();

  /// Of samples, so far.
  struct Counts {
    std::uint64_t missing = 0;  ///< left out, alone or with their message
    std::uint64_t late = 0;     ///< put behind newer ones, alone or with their message
    std::uint64_t zeroed = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  static constexpr std::size_t largest = 512;  ///< samples in a message

  /// A vehicle is to send, or a message that was held back.
  struct Entry {
    Timestamp at = 0;
    std::uint32_t vehicle = 0;
    std::uint32_t held = 0;  ///< place in held_ and 1
    bool operator<(const Entry& other) const {
      if (at != other.at) return at < other.at;
      return vehicle != other.vehicle ? vehicle < other.vehicle : held < other.held;
    }
  };
  struct LateReading {
    Reading reading;
    Timestamp since = 0;
    std::uint32_t next = 0;  ///< place in late_ and 1
  };

  std::uint64_t bits(std::uint32_t vehicle, std::uint64_t what) const { return mix(seed_ + vehicle, what); }
  Duration delay(std::uint32_t vehicle) const;
  void schedule(std::uint32_t vehicle, Timestamp cut);
  Result<void> wake(const Entry& entry);
  void spoil(std::uint32_t vehicle, Timestamp cut, bool quiet);
  void put_back(std::uint32_t vehicle, Timestamp cut, const Reading& reading);
  void bring_back(std::uint32_t vehicle, Timestamp cut, bool all);
  Result<void> send(const Entry& entry, std::span<const Reading> readings);
  Result<void> encode(Sent& sent);
  void hold(Sent sent);

  Link link_;
  const Codec& codec_;
  std::uint64_t seed_;
  bool faulty_;
  Fleet fleet_;
  Calendar<Entry> calendar_;
  Counts counts_;

  std::vector<Sent> ready_;  ///< messages of one instant
  std::size_t shown_ = 0;    ///< the first of them that was not taken
  std::vector<Sent> held_;
  std::vector<std::uint32_t> free_held_;
  std::vector<std::uint32_t> first_late_;  ///< by vehicle: place in late_ and 1
  std::vector<LateReading> late_;
  std::vector<std::uint32_t> free_late_;

  std::uint64_t parts_ = 0;  ///< messages of this waking so far, sent or not
  std::vector<Reading> readings_, sorted_, behind_;
  std::vector<Sample> samples_;
};

}  // namespace weir::fleet
