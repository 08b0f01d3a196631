/// The fleet of a run: faulty, driving in real time, and published until every message is acknowledged.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <weir/clock.hpp>
#include <weir/codec.hpp>

#include "faults/harness/chance.hpp"
#include "sources/simulate/uplink.hpp"

namespace weir::faults {

/// What the server said that it has stored.
struct Acknowledged {
  Partition partition = 0;
  std::uint64_t sequence = 0;
  std::size_t content = 0;  ///< content_of() it
};
std::size_t content_of(std::string_view subject, std::string_view payload);

/// A bare nats.c client: nothing of weir's own publishing takes part. A message that is not acknowledged in time is
/// published again under its id, so that it comes into its stream once.
///
/// Threads   any; the messages are published by one of its own.
/// Errors    a server that does not answer is asked again for two minutes; then hold_back() and finish() throw Stuck.
class Traffic {
 public:
  /// Begins at once. Streams must be there that take p.<k>.vehicle.*.telemetry.
  Traffic(std::string url, std::uint32_t partitions, std::uint64_t seed);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// While true the messages of all vehicles wait; then they come at once, as behind a tunnel.
  void hold(bool yes) { hold_ = yes; }
  /// The messages of this partition wait, and those of the others go on, until it is called with nothing. Returns when
  /// none of it is on its way any more, or all that waited are published.
  void hold_back(std::optional<Partition> partition);
  /// Publishes so many of the last messages again, under new ids.
  void repeat(std::size_t count) { repeats_ += count; }
  /// Publishes so many messages that nobody can use: garbage, cut short, or with a key of another partition.
  void spoil(std::size_t count) { spoiled_ += count; }

  /// Ends the drive; returns when everything is acknowledged.
  void finish();

  /// By partition the greatest sequence that was acknowledged so far.
  std::vector<std::uint64_t> last() const;
  /// After finish().
  const std::vector<Acknowledged>& acknowledged() const { return acknowledged_; }

 private:
  struct Message {
    Partition partition = 0;
    std::string subject, payload;
  };
  class Client;

  void drive();
  void follow_held_back(Client& client);
  /// Publishes what was asked for beside the drive.
  void add_extras(Client& client);
  Message spoiled();
  void publish(Client& client, Message message);
  Message made(Partition partition, std::string_view key, std::string payload) const;

  const std::string url_;
  const std::uint32_t partitions_;
  Chance chance_;
  const std::unique_ptr<Codec> codec_;
  fleet::Uplink uplink_;
  std::uint64_t published_ = 0;
  std::deque<Message> recent_, held_back_;
  std::optional<Partition> back_;  ///< whose are held back

  std::atomic<bool> hold_{false}, finish_{false}, give_up_{false}, done_{false};
  std::atomic<std::size_t> repeats_{0}, spoiled_{0};
  mutable std::mutex mutex_;
  std::optional<Partition> wanted_back_;
  bool obeyed_ = true;
  std::vector<std::uint64_t> last_;
  std::vector<Acknowledged> acknowledged_;
  std::thread thread_;
};

}  // namespace weir::faults
