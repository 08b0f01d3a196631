#include "core/coordination/supervisor.hpp"

#include <algorithm>
#include <atomic>
#include <stop_token>
#include <thread>
#include <utility>

#include "core/observe/log.hpp"
#include "core/plan/explain_change.hpp"
#include "core/runtime/inspection.hpp"

namespace weir {
namespace {

/// Logs what a reload changes. Answers whether the change is refused once rows are committed.
bool log_change(const Pipeline& before, const Pipeline& now, const Registry& registry) {
  bool refused = false;
  for (const Promise& promise : explain_change(before, now, registry)) {
    refused |= promise.verdict == Verdict::refused;
    log::write(promise.verdict == Verdict::accepted ? log::Level::info : log::Level::warn,
               weir::format("reload: {} {}: {}", promise.about, promise.what, promise.why));
  }
  return refused;
}

}  // namespace

/// One pipeline at work: its worker and the thread it runs in.
class Supervisor::Running {
 public:
  /// `before`: the status of the one that this replaces.
  Running(PipelinePtr pipeline, Supervisor& supervisor, const Worker::Status& before)
      : pipeline_{std::move(pipeline)}, worker_{*pipeline_,        supervisor.registry_, supervisor.counters_,
                                                supervisor.clock_, supervisor.name_,     supervisor.inspection_} {
    before_.rows = before.rows;
    before_.commits = before.commits;
    before_.commit_time_total = before.commit_time_total;
  }
  ~Running() {
    drain(false);
    if (thread_.joinable()) thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  Worker& worker() { return worker_; }
  void start() {
    thread_ = std::thread{[this] {
      auto result = worker_.run(drain_.get_token());
      const std::scoped_lock lock{mutex_};
      result_ = std::move(result);
      done_ = true;
    }};
  }
  /// `followed`: another one takes its place.
  void drain(bool followed) {
    worker_.will_be_followed(followed);
    drain_.request_stop();
  }
  bool done() const { return done_; }
  Result<void> result() const {
    const std::scoped_lock lock{mutex_};
    return result_;
  }
  const PipelinePtr& pipeline() const { return pipeline_; }
  Worker::Status status() const {
    Worker::Status out = worker_.status();
    out.rows += before_.rows;
    out.commits += before_.commits;
    out.commit_time_total += before_.commit_time_total;
    return out;
  }

 private:
  PipelinePtr pipeline_;
  Worker::Status before_;
  Worker worker_;
  std::stop_source drain_;
  mutable std::mutex mutex_;
  Result<void> result_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

Supervisor::Supervisor(const Registry& registry, Counters& counters, const Clock& clock, Inspection* inspection)
    : registry_{registry}, counters_{counters}, clock_{clock}, inspection_{inspection} {}

Supervisor::~Supervisor() = default;

void Supervisor::install(PipelinePtr pipeline, std::string name) {
  name_ = std::move(name);
  replace(std::move(pipeline));
}

void Supervisor::start(bool fail_fast) {
  if (fail_fast) current()->worker().fail_fast();
  current()->start();
}

Result<void> Supervisor::reload(PipelinePtr next) {
  const auto running = current();
  const Pipeline& before = *running->pipeline();
  if (next->kept_name() != before.kept_name()) {
    return fail(Error::Kind::invalid, weir::format("the name changed from \"{}\" to \"{}\", which is another pipeline",
                                                   before.name, next->name));
  }
  const Worker::Status status = running->status();
  // Whatever else is down ends with the old pipeline, and may be what the new text mends.
  if (!status.commit_condition.empty()) {
    return fail(Error::Kind::unreachable,
                weir::format("the running pipeline can't drain: {}; try again later, or stop the worker and start it "
                             "again, which reads again what is not committed",
                             status.commit_condition));
  }
  const bool refused = log_change(before, *next, registry_);
  if (refused && std::ranges::any_of(status.committed, [](const auto& lane) { return lane.position > 0; }))
    return fail(Error::Kind::invalid, "the new pipeline can't go on from what is committed");
  running->drain(true);
  next_ = std::move(next);
  return {};
}

bool Supervisor::advance() {
  const auto running = current();
  if (running->done()) return !draining_ && (take_over() || fall_back());
  // A reload has succeeded when the new pipeline has started: tables, streams or state may not fit it.
  if (replaced_ && running->status().started) {
    replaced_.reset();
    log::info("reload: the new pipeline runs");
  }
  return true;
}

void Supervisor::drain() {
  draining_ = true;
  current()->drain(false);
}

Result<void> Supervisor::result() const { return current()->result(); }
Supervisor::PipelinePtr Supervisor::pipeline() const { return current()->pipeline(); }
Worker::Status Supervisor::status() const { return current()->status(); }

/// The old pipeline has ended for a new one; false if there is none.
bool Supervisor::take_over() {
  if (!next_) return false;
  if (const auto drained = current()->result(); !drained && !replaced_) {
    log::warn("reload: the old pipeline did not drain, so the new one reads again what was not committed: {}",
              drained.error().message);
  }
  // One that never came to run is none to go back to.
  if (!replaced_) replaced_ = current()->pipeline();
  replace(std::exchange(next_, nullptr));
  current()->worker().must_start_whole();
  current()->start();
  return true;
}

/// If it could not start, the old pipeline takes over again; false if there is none.
bool Supervisor::fall_back() {
  const auto result = current()->result();
  if (!replaced_ || result) return false;
  log::error("reload: the new pipeline does not start: {}; running the previous pipeline again",
             result.error().message);
  replace(std::exchange(replaced_, nullptr));
  current()->start();
  return true;
}

void Supervisor::replace(PipelinePtr pipeline) {
  const auto before = current();
  auto next = std::make_shared<Running>(std::move(pipeline), *this, before ? before->status() : Worker::Status{});
  if (inspection_) inspection_->taps.runs(*next->pipeline());
  const std::scoped_lock lock{mutex_};
  current_ = std::move(next);
}

std::shared_ptr<Supervisor::Running> Supervisor::current() const {
  const std::scoped_lock lock{mutex_};
  return current_;
}

}  // namespace weir
