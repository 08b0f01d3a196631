/// Buckets of JetStream KV: named values, and watching them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "clients/nats_jetstream.hpp"
#include "clients/nats_pull.hpp"

namespace weir::nats {

/// What a bucket is made with if it is absent, and what one that is there must be.
struct BucketConfig {
  std::string name;  ///< letters, digits, '_' and '-'
  bool create = true;
  std::optional<std::int64_t> replicas = {};  ///< not given: any number will do
  bool lasting = false;                       ///< it must keep what it was given until that is removed
  std::size_t largest = 0;                    ///< it must take values of so many bytes
};

/// The user's mistakes in the settings of access and in the bucket's name, which `setting` gives (none if it is left
/// out).
std::vector<Error> bucket_problems(const Settings& settings, const std::string& setting);

/// Makes the bucket if it is absent. Answers how long it keeps a value, 0: for ever. Error::changed if it may not be
/// made, or differs.
Result<Duration> ensure_bucket(JetStream& jetstream, const BucketConfig& config);

/// Whether the text can be one token of a key, by the rule of all clients of buckets: of a text beyond it they would
/// neither get nor watch the value.
bool is_bucket_token(std::string_view text);

/// Subject of a key, and the stream behind the bucket.
std::string bucket_subject(std::string_view bucket, std::string_view key);
std::string bucket_stream(std::string_view bucket);

/// Reads and writes single values. Threads: any.
///
/// Not by nats.c's kvStore_*(), tried with 3.14 and 25,000 keys: kvStore_Get() is answered by any replica, which may be
/// behind (21,000 a second; the leader 5,200); js_CreateKeyValue() and kvStore_Update() hide the server's error code,
/// so an outage, a refusal and a conflict differ by their texts alone; kvStore_Keys() has every key sent to a consumer
/// of its own (239 ms; one request for the stream's subjects 36 ms).
class Bucket {
 public:
  /// The JetStream must outlive it. The bucket must be there.
  Bucket(JetStream& jetstream, std::string name) : jetstream_{jetstream}, name_{std::move(name)} {}

  /// Stores a value, returns when the server has it.
  Result<void> put(std::string_view key, std::string_view value);

  struct Value {
    std::string bytes;
    std::uint64_t revision = 0;
    bool removed = false;  ///< what is there is the mark of a removal
    Timestamp stored = no_time;
  };
  /// The newest value, from the leader: never a stale one. Nothing if there is none.
  Result<std::optional<Value>> get(std::string_view key);
  /// The same; the mark that a removal has left is a value too. Who writes under a revision needs the mark's.
  Result<std::optional<Value>> newest(std::string_view key);
  /// Stores a value if the newest one has this revision; 0: if there is none. Answers its revision; nothing if another
  /// was there.
  Result<std::optional<std::uint64_t>> put_if(std::string_view key, std::string_view value, std::uint64_t revision);
  /// Removes a value and all traces of it.
  Result<void> remove(std::string_view key);
  /// Names that begin with `prefix`, sorted.
  Result<std::vector<std::string>> names(std::string_view prefix);
  /// Wall time where the values are stored.
  Result<Timestamp> time();

 private:
  JetStream& jetstream_;
  std::string name_;
};

/// Follows every change of a bucket in order, beginning with what is in it. kvStore_Watch() does so too, but of a
/// bucket that was deleted and recreated it neither says so nor hears any more (tried with nats.c 3.14, for 36 s); this
/// answers Error::changed. Threads: one at a time.
class BucketWatch {
 public:
  BucketWatch(JetStream& jetstream, const std::string& bucket, const Clock& clock);

  Result<void> start();

  struct Update {
    std::string_view key;
    std::string_view value;  ///< valid during the call
    std::uint64_t revision = 0;
    Timestamp stored = no_time;
    bool removed = false;  ///< by a user or by the server, for its age
  };
  /// Passes on what is waiting, up to a few thousand updates; if nothing is, waits for at most `wait`. Answers how many
  /// there were.
  Result<std::size_t> follow(const std::function<void(const Update&)>& each, Duration wait,
                             const std::stop_token& stop);

  /// Whether the bucket still is the one that was followed, by the server's word. Error::changed: no.
  Result<void> check() const { return reader_.check(); }
  /// Updates that the server has beyond the last one followed.
  std::uint64_t behind() const { return behind_; }
  std::uint64_t restarts() const { return reader_.restarts(); }

 private:
  std::size_t prefix_;  ///< length of "$KV.<bucket>."
  OrderedReader reader_;
  std::vector<Delivery> deliveries_;
  std::uint64_t behind_ = 0;
};

}  // namespace weir::nats
