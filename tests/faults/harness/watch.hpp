/// How far the workers have come, and how long it took them to go on after each fault.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <weir/types.hpp>

#include "clients/postgres.hpp"

namespace weir::faults {

/// Asks weir_progress all the time, by a connection of its own past the proxies.
///
/// Threads   any.
class Watch {
 public:
  /// `urls`: of the database with sink_count sinks, and perhaps of one with another.
  Watch(std::vector<std::string> urls, std::uint32_t partitions);

  /// By partition the least position of the sinks; 0 without progress. Empty: a database did not answer.
  std::vector<std::uint64_t> positions() const;

  /// A fault has begun, when the streams ended here. It is over when every partition has committed a later message.
  void begin(const std::string& kind, std::vector<std::uint64_t> ends);
  /// Waits until all faults are over; false if they are not within `patience`.
  bool all_over(Duration patience) const;
  /// Seconds that each fault of a kind took until it was over.
  std::map<std::string, std::vector<double>> recoveries() const;

 private:
  struct Open {
    std::string kind;
    Timestamp since = 0;
    std::vector<std::uint64_t> ends;
  };
  void ask(const std::stop_token& stop);
  /// What one of the databases says; the connection is opened where it is not.
  std::vector<std::uint64_t> positions_in(const std::string& url, std::optional<postgres::Connection>& connection,
                                          std::size_t sinks) const;
  void take(std::vector<std::uint64_t> positions);

  const std::vector<std::string> urls_;
  const std::uint32_t partitions_;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> positions_;
  std::vector<Open> open_;
  std::map<std::string, std::vector<double>> recoveries_;
  std::jthread thread_;
};

}  // namespace weir::faults
