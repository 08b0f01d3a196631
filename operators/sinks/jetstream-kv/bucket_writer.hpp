/// Writes values into their bucket, each under the revision that it replaces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_publisher.hpp"
#include "sinks/jetstream-kv/newest_values.hpp"

namespace weir::jetstream_kv {

/// Publishes by compare-and-set, so that a value from another worker that is newer stays. Follows the bucket to know
/// what others write: a hint that saves conflicts, nothing more.
///
/// kvStore_Update() does the same for one value and waits for its answer: 9,000 values a second where the asynchronous
/// publisher writes 93,000 (one run, nats.c 3.14), and it tells a conflict from another failure by a text alone.
///
/// Threads   one.
class BucketWriter {
 public:
  /// Connects, and makes the bucket if it is absent. Error: unreachable, or what the bucket lacks.
  static Result<std::unique_ptr<BucketWriter>> open(const nats::Access& access, const std::string& connection,
                                                    const std::string& bucket, const Clock& clock);

  /// Writes what waits, and returns when nothing does. After an error nobody knows what is in the bucket: open another
  /// writer. Blocks as long as the server answers within 10 s and others' newer values come in between, for two
  /// minutes at most.
  Result<void> write(NewestValues& values);

  const nats::Connection& connection() const { return *connection_; }

 private:
  /// Subjects, and the revisions that were tried.
  using Conflicts = std::vector<std::pair<std::string, std::uint64_t>>;

  BucketWriter(std::string bucket, const Clock& clock) : bucket_{std::move(bucket)}, clock_{clock} {}
  Result<void> watch();
  Result<std::size_t> follow(NewestValues& values, Duration wait);
  Result<void> follow_all(NewestValues& values);
  Result<bool> catch_up(NewestValues& values);
  Result<void> publish(NewestValues& values);
  Result<Conflicts> outcomes(NewestValues& values);
  Result<void> resolve(NewestValues& values, Conflicts conflicts);

  std::string bucket_;
  const Clock& clock_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::JetStream> jetstream_;
  std::unique_ptr<nats::Publisher> publisher_;
  std::unique_ptr<nats::BucketWatch> watch_;
  bool caught_up_ = false;  ///< what was in the bucket at the beginning is known
};

}  // namespace weir::jetstream_kv
