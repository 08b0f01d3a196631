/// What is known of the values of a bucket, and which of them wait to be written. Decides, and asks no server.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weir/codec.hpp>
#include <weir/types.hpp>

namespace weir::nats {

/// One value on its way into the bucket.
struct Current {
  std::uint64_t id = 0;  ///< the caller's number for this (key, field); always the same for the same two
  Timestamp time = no_time;
  Sample::Kind kind = Sample::Kind::number;
  double x = 0, y = 0, z = 0;
  std::string text = {};
};

/// What became of current values: each ends in exactly one of these.
struct CurrentCounts {
  std::uint64_t written = 0;
  std::uint64_t superseded = 0;  ///< not written: the bucket has it already, or a newer one
  std::uint64_t coalesced = 0;   ///< not written: a newer one came before it was its turn
  std::uint64_t refused =
      0;  ///< not written: a name for no key of a bucket or too long for one, no encoding, or too large
  std::uint64_t given_up = 0;  ///< not written: the server did not take it before the end
};

/// Threads   one at a time, but for bytes().
/// Bound     one value per id; what waits is overwritten by newer ones, never queued. An id that gets none for `forget`
///           is let go.
class CurrentSlots {
 public:
  struct Config {
    std::string bucket;
    /// What is known of a value that stays the same for so long is learnt again.
    Duration forget = 24 * 60 * minute;
    /// The two names of an id; views must stay valid.
    std::function<std::pair<std::string_view, std::string_view>(std::uint64_t id)> names;
    const Codec* codec = nullptr;  ///< encodes a value (key and field stand outside) and reads its time back
    std::function<void(std::string_view)> warn;
  };
  using Values = std::unordered_map<std::uint64_t, Current>;  ///< by id

  /// What is to be written, if the subject is still at `revision` (0: if it has no value).
  struct Write {
    const std::string& subject;
    const std::string& payload;
    std::uint64_t revision;
  };

  explicit CurrentSlots(const Config& config) : config_{config} {}  ///< `config` must outlive it
  CurrentSlots(const CurrentSlots&) = delete;
  CurrentSlots& operator=(const CurrentSlots&) = delete;

  /// Takes over what was offered up to the offer with this number; `now` by the steady clock.
  void gather(Values&& fresh, std::uint64_t number, Timestamp now);
  /// Gives every value that waits and that the bucket doesn't have newer, until `write` answers false. False then.
  bool each_waiting(const std::function<bool(const Write&)>& write);
  std::size_t waiting();
  /// All offers up to this number are written, or need not be: what waits, if only to be overwritten, is not durable.
  std::uint64_t durable() const;

  // What became of a write; `subject` may be one that is not known (any more).
  void written(std::string_view subject, std::uint64_t revision);
  /// It would be refused for ever: dropped; the next value may fit.
  void refuse(std::string_view subject, const std::string& why);

  /// What the bucket has, by its own word; an older revision than the one known changes nothing.
  void know(std::string_view subject, std::uint64_t revision, std::string_view value);
  /// The same, as far as it is known; 0: no value, or nothing is known.
  std::uint64_t revision(std::string_view subject) const;
  /// What is known of this subject, or of all, may be of a bucket that is no more: its revisions begin anew.
  void distrust(std::string_view subject);
  void distrust();
  /// Lets go of what got no value for `forget`: it only saves asking the bucket. Looks once a minute, or each `forget`.
  void prune(Timestamp now);

  /// Memory that the ids take, and what waits. Any thread.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  CurrentCounts take_counts() { return std::exchange(counts_, {}); }
  void count_coalesced(std::uint64_t values) { counts_.coalesced += values; }

 private:
  struct Slot {
    std::uint64_t id = 0;
    Current waiting;
    std::uint64_t since = 0;     ///< number of the oldest offer that waits; 0: none
    bool told = false;           ///< that a value of it was refused
    std::size_t sent = 0;        ///< hash of what was given out last
    std::uint64_t revision = 0;  ///< of the bucket's value, as far as known; 0: there is none
    Timestamp time = no_time;    ///< the same
    std::size_t payload = 0;     ///< the same; its hash
  };
  struct SubjectHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view subject) const { return std::hash<std::string_view>{}(subject); }
  };
  using Slots = std::unordered_map<std::string, Slot, SubjectHash, std::equal_to<>>;
  /// A slot and its subject; stays where it is.
  using Place = Slots::value_type;
  struct Id {
    Place* place = nullptr;  ///< null: there can't be a subject
    Timestamp used = no_time;
  };
  static constexpr std::size_t id_bytes = sizeof(std::pair<const std::uint64_t, Id>) + 2 * sizeof(void*);
  /// With the node of the table and its bucket's head.
  static std::size_t bytes_of(const Place& place) {
    return sizeof(Place) + 4 * sizeof(void*) + place.first.capacity() + place.second.waiting.text.size();
  }

  Place* add_slot(std::uint64_t id);
  void refuse(Place& place, const std::string& why);
  void done(Slot& slot);
  void drop_done();

  const Config& config_;
  Slots slots_;
  std::unordered_map<std::uint64_t, Id> ids_;
  std::vector<Place*> waiting_;  ///< and what was done since drop_done()
  std::uint64_t gathered_ = 0;   ///< number of the last offer in the slots
  Timestamp pruned_ = no_time;
  std::atomic<std::size_t> bytes_ = 0;
  CurrentCounts counts_;
};

}  // namespace weir::nats
