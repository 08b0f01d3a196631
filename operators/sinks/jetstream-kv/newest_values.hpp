/// What is known of the values of a bucket, and which of them wait to be written. Decides, and asks no server.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weir/codec.hpp>
#include <weir/sample_rows.hpp>
#include <weir/sink.hpp>

namespace weir::jetstream_kv {

/// What became of rows: each ends in exactly one of these, or is rejected.
struct Counts {
  std::uint64_t written = 0;
  std::uint64_t superseded = 0;  ///< not written: the bucket had it already, or a newer one
  std::uint64_t coalesced = 0;   ///< not written: a newer row of its key and field came before the commit
};

/// Threads   one.
/// Bound     one value per key and field; what waits is overwritten by newer rows, never queued. A value without a row
///           for `forget` leaves memory.
class NewestValues {
 public:
  struct Config {
    std::string bucket;
    Duration max_ahead = 5 * second;  ///< of event time before arrival: nothing could replace such a value
    Duration forget = 24 * 60 * minute;
    const Codec* codec = nullptr;  ///< encodes a value (key and field stand outside) and reads its time back
  };

  /// What is to be written, if the subject is still at `revision` (0: if it has no value).
  struct Write {
    const std::string& subject;
    const std::string& payload;
    std::uint64_t revision;
  };

  explicit NewestValues(Config config) : config_{std::move(config)} {}
  NewestValues(const NewestValues&) = delete;
  NewestValues& operator=(const NewestValues&) = delete;

  /// Samples of which the newest of each key and field waits from now on, of the same event time the last. `rows` must
  /// stay where it is until nothing waits. `now`: by the steady clock.
  void take(const Encoded& rows, Timestamp now);
  /// Gives every value that waits and that the bucket doesn't have newer, until `write` answers false. False then.
  bool each_waiting(const std::function<bool(const Write&)>& write);
  std::size_t waiting();
  /// After a failure: the rows will be given again, or are another worker's. What the bucket has is not known any more.
  void forget_all();

  // What became of a write; `subject` may be one that is not known (any more).
  void written(std::string_view subject, std::uint64_t revision);
  /// It would be refused for ever.
  void reject(std::string_view subject, const Reason& reason);

  /// What the bucket has, by its own word; an older revision than the one known changes nothing.
  void know(std::string_view subject, std::uint64_t revision, std::string_view value);
  /// The same, as far as it is known; 0: no value, or nothing is known.
  std::uint64_t revision(std::string_view subject) const;
  /// What is known of this subject may be of a bucket that is no more: its revisions start over.
  void distrust(std::string_view subject);

  /// Lets go of what had no row for `forget`: it only saves asking the bucket. Looks once a minute, or each `forget`.
  void prune(Timestamp now);
  /// How many values it knows of.
  std::size_t size() const { return slots_.size(); }

  Counts take_counts() { return std::exchange(counts_, {}); }
  std::vector<Committed::Rejected> take_rejected() { return std::exchange(rejected_, {}); }

 private:
  struct Slot {
    const Encoded* rows = nullptr;  ///< the row that waits is in them; null: none does
    std::size_t row = 0;
    Timestamp waiting = no_time;  ///< its event time
    std::size_t sent = 0;         ///< hash of its payload
    std::uint64_t revision = 0;   ///< of the bucket's value, as far as known; 0: there is none
    Timestamp time = no_time;     ///< the same
    std::size_t payload = 0;      ///< the same; its hash
    Timestamp used = no_time;     ///< when the last row came
  };
  struct SubjectHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view subject) const { return std::hash<std::string_view>{}(subject); }
  };
  using Slots = std::unordered_map<std::string, Slot, SubjectHash, std::equal_to<>>;
  /// A slot and its subject; stays where it is.
  using Place = Slots::value_type;
  /// The places of a lane's keys and fields by their numbers, so that no row costs a subject.
  struct Lane {
    std::shared_ptr<const Dictionary> keys, fields;
    std::unordered_map<std::uint64_t, Place*> places;  ///< null: the bucket can't have such a key
  };

  Lane& lane_of(Partition partition, const SampleRows& rows);
  Place* add_slot(std::string_view key, std::string_view field);
  void reject(const Encoded& rows, std::size_t row, Reason reason);
  void done(Slot& slot);
  void drop_done();

  Config config_;
  Slots slots_;
  std::map<Partition, Lane> lanes_;
  std::vector<Place*> waiting_;  ///< and what was done since drop_done()
  bool any_done_ = false;
  Timestamp pruned_ = no_time;
  Counts counts_;
  std::vector<Committed::Rejected> rejected_;
};

}  // namespace weir::jetstream_kv
