/// What `weir top` shows, worked out of what the workers say. Pure: from texts to a frame.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/types.hpp>

namespace weir::cli {

/// What a worker says of itself: /pipelines/NAME, see status_json(). Counts are since it started, times in seconds.
struct WorkerReport {
  struct Node {
    std::string id, op;
    bool source = false, sink = false;
    std::uint64_t batches = 0, rows_in = 0, invalid = 0, keys = 0, bytes = 0;
    std::vector<std::pair<std::string, std::uint64_t>> rows_out;  ///< by port
    double busy = 0;
  };
  struct Lane {
    Partition partition = 0;
    Position committed = 0;
    std::uint64_t waiting = 0;
    bool replaying = false;
  };
  std::string pipeline, name;
  bool ready = false;
  std::vector<std::string> conditions;
  std::uint64_t commits = 0, dead_letters = 0, in_flight = 0, in_flight_limit = 0, resident = 0, workers = 0;
  double last_commit = 0, commit_time = 0;
  std::vector<Node> nodes;  ///< in the order in which they run
  std::vector<Lane> lanes;
};
/// Error: it is not such a text.
Result<WorkerReport> read_report(std::string_view json);

/// The pipeline's lag, as any of its workers says: /lag.
struct LagReport {
  struct Part {
    Partition partition = 0;
    std::string owner;  ///< empty: nobody
    Position position = 0;
    std::uint64_t messages = 0;
    double seconds = 0;
  };
  std::uint64_t messages = 0;
  double seconds = 0;
  std::vector<Part> parts;
};
Result<LagReport> read_lag(std::string_view json);

/// All workers at one moment.
struct Glance {
  struct Worker {
    std::string address;
    Result<WorkerReport> report;
  };
  Timestamp at = 0;  ///< steady
  std::vector<Worker> workers;
  Result<LagReport> lag;
};

/// Rates are per second between two glances; what was counted by workers that are in both.
struct TopFrame {
  struct Worker {
    std::string name = {}, address = {}, partitions = {}, state = {};
    std::uint64_t in_flight = 0, in_flight_limit = 0, resident = 0;
    double commits = 0;
    double commit = 0;   ///< seconds that one took, in the middle; the last one's if there was none
    bool heard = false;  ///< else there is nothing but the address, and the state says why
    bool ready = false;
  };
  struct Node {
    std::string id = {}, op = {};
    double in = 0, out = 0, batches = 0;
    std::vector<std::pair<std::string, double>> other = {};  ///< what leaves by the other ports
    double busy = 0;                                         ///< seconds a second, over all lanes
    std::uint64_t invalid = 0, keys = 0, bytes = 0;
    bool slowest = false;  ///< has the most of the time
  };
  struct Part {
    Partition partition = 0;
    std::string owner = {};
    Position position = 0;
    std::optional<std::pair<std::uint64_t, double>> lag = {};  ///< messages and seconds, where known
    std::uint64_t waiting = 0;
    bool replaying = false;
  };
  std::string pipeline;
  std::size_t heard = 0, sharing = 0;  ///< workers: that answered, that share the partitions
  double samples = 0, rows = 0;
  std::uint64_t dead_letters = 0;
  std::optional<std::pair<std::uint64_t, double>> lag;
  std::vector<Worker> workers;
  std::vector<Node> nodes;
  std::vector<Part> parts;
  std::vector<std::string> conditions;
  std::string no_lag = {};  ///< why it is not known
};

TopFrame frame_of(const Glance& before, const Glance& now);

}  // namespace weir::cli
