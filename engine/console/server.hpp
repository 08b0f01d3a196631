/// The HTTP side of a running worker.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weir/types.hpp>

#include "console/tap_lines.hpp"
#include "core/runtime/taps.hpp"

namespace weir {

/// Whether a worker is ready, and in words: "ready", "standby", or what is down, a line each.
struct Readiness {
  bool ready = false;
  std::string text;
};

/// What the pages show. Called from the server's threads.
struct ConsoleViews {
  std::function<Readiness()> ready;
  std::function<std::string()> metrics;
  std::function<Result<std::string>()> lag;       ///< JSON; an error says why it is not known
  std::function<Result<std::string>()> progress;  ///< the same
  std::function<std::string()> pipeline;          ///< JSON, secrets redacted
  std::function<Result<std::unique_ptr<Tap>>(const std::string& place)> tap;
  std::function<std::string(const TapSelection&)> elsewhere;  ///< what is not to be seen at this worker, or empty
  TapFrom tap_from = TapFrom::loopback;
  std::function<std::string()> pipeline_name;  ///< a reload may change it
  std::string version;
};

/// Serves GET /ping, /ready (503 and what is down), /version, /metrics, /lag (503 and why it is not known),
/// /pipelines/{name}, /pipelines/{name}/progress (as /lag), and /pipelines/{name}/tap/{place} (rows as they pass, see
/// TapLines, until the client leaves; 403 whom it is not for, 400 an invalid selection, 404 no such place, 503 too
/// many) until destroyed.
///
/// Threads   has its own.
class Console {
 public:
  /// `address` is [host]:port, all addresses of the host; without one, those of this machine alone. Port 0 takes a free
  /// one. Invalid if it can't be parsed, unreachable if one can't be bound.
  static Result<std::unique_ptr<Console>> serve(const std::string& address, ConsoleViews views);
  ~Console();

  int port() const;
  /// Where it listens, as text.
  std::string address() const;
  /// Whether other machines reach it.
  bool is_public() const;

 private:
  struct Impl;
  explicit Console(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
