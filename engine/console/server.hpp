/// The HTTP side of a running worker.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// What the pages show. Called from the server's threads.
struct ConsoleViews {
  std::function<std::vector<std::string>()> troubles;  ///< what is down; empty: ready
  std::function<std::string()> metrics;
  std::function<Result<std::string>()> lag;  ///< JSON; an error says why it is not known
  std::function<std::string()> pipeline;     ///< JSON, secrets redacted
  std::string pipeline_name;
  std::string version;
};

/// Serves GET /ping, /ready (503 and what is down), /version, /metrics, /lag (503 and why it is not known),
/// /pipelines/{name} until destroyed.
/// Threads   has its own, two of them: a view that waits keeps the others waiting.
class Console {
 public:
  /// `address` is host:port; port 0 takes a free one. Invalid if it can't be parsed, unreachable if it can't be bound.
  static Result<std::unique_ptr<Console>> serve(const std::string& address, ConsoleViews views);
  ~Console();

  int port() const;

 private:
  struct Impl;
  explicit Console(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
