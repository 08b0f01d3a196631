/// One nats-server, or several in a cluster, each with a disk of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"

namespace weir::faults {

using fakes::Proxy;

/// Threads   one.
/// Errors    std::runtime_error with what the servers said.
class NatsServers {
 public:
  /// Starts them, and waits until they take requests.
  explicit NatsServers(std::size_t count);

  std::size_t count() const { return servers_.size(); }
  /// Where clients find one that runs.
  const std::string& nats() const { return url_; }
  std::vector<std::uint16_t> ports() const;
  /// What the only one keeps, as it lies on the disk.
  std::filesystem::path data() const { return servers_.front()->nats_data(); }

  void kill();   ///< all of them, as a crash would
  void start();  ///< those that do not run, with what they kept
  void kill(std::size_t which);
  void start(std::size_t which);
  /// Who leads a stream; nothing while nobody does.
  std::optional<std::size_t> leader(const std::string& stream) const;

 private:
  void wait_until_ready() const;

  std::vector<std::unique_ptr<fakes::Servers>> servers_;
  std::unique_ptr<Proxy> way_;  ///< to any of several
  std::string url_;
};

}  // namespace weir::faults
