/// Runs one pipeline after the other in a process: start, reload, fall back, drain.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/coordination/worker.hpp"

namespace weir {

/// Keeps one pipeline at work, and replaces it as a whole on a reload. Counters go on through all of them, as those of
/// a process don't go back. A new pipeline that can't start is replaced by the one before it.
///
/// Threads   start(), reload(), advance() and drain() from one thread; the rest from any. None blocks longer than it
///           takes to start a thread, except the destructor and the replacement in advance(): they join a worker that
///           has ended.
class Supervisor {
 public:
  /// All must outlive it. `inspection`: see Worker; may be null.
  Supervisor(const Registry& registry, Counters& counters, const Clock& clock, Inspection* inspection);
  /// Drains first.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// What runs and its text, kept alive together. Never null behind install().
  using PipelinePtr = std::shared_ptr<const Pipeline>;

  /// The first pipeline; it does nothing before start(). `name`: the worker's.
  void install(PipelinePtr pipeline, std::string name = new_worker_name());
  /// `fail_fast`: see Worker::fail_fast().
  void start(bool fail_fast);

  /// Begins to replace the pipeline by a checked one: the old one drains, advance() does the rest. Logs what changes.
  /// The error says why not; the old pipeline then goes on as it was.
  Result<void> reload(PipelinePtr next);

  /// Takes the next step of a reload that is due. False: no pipeline is at work any more; see result().
  bool advance();

  /// Asks the pipeline to end. A reload that is under way ends with it.
  void drain();

  /// How the last pipeline ended; nothing wrong while it runs.
  Result<void> result() const;
  PipelinePtr pipeline() const;
  /// The current worker's, with the sums of those before it.
  Worker::Status status() const;
  /// The worker's name: the same through reloads.
  const std::string& name() const { return name_; }

 private:
  class Running;

  void replace(PipelinePtr pipeline);
  bool take_over();
  bool fall_back();
  std::shared_ptr<Running> current() const;

  std::string name_;
  const Registry& registry_;
  Counters& counters_;
  const Clock& clock_;
  Inspection* inspection_;
  bool draining_ = false;
  PipelinePtr replaced_;  // what ran before, until the current one has started
  PipelinePtr next_;      // waits for the current one to drain
  mutable std::mutex mutex_;
  std::shared_ptr<Running> current_;
};

}  // namespace weir
