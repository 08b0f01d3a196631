/// weir run: runs a pipeline until its source ends or it is told to stop.
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>
#include <weir/units.hpp>

#include "cli/command.hpp"
#include "cli/commands/run.hpp"
#include "cli/log.hpp"
#include "cli/progress_line.hpp"
#include "console/lag_watch.hpp"
#include "console/metrics.hpp"
#include "console/server.hpp"
#include "console/status_json.hpp"
#include "console/tap_stream.hpp"
#include "core/coordination/worker.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"
#include "core/plan/explain_change.hpp"

namespace weir::cli {
namespace {

constexpr Duration same_signal = 200 * millisecond;

int exit_code(const Error& error) {
  switch (error.kind) {
    case Error::Kind::unreachable:
      return unreachable;
    case Error::Kind::invalid:
      return bad_pipeline;
    case Error::Kind::stopped:
      return closed_pipe;
    default:
      return internal;
  }
}

/// One pipeline at work: its text and worker, replaced as a whole by a reload. What is counted goes on through all of
/// them, as counters of a process don't go back.
class Running {
 public:
  /// `counters` must outlive this. `before`: the status of the one that this replaces.
  Running(std::shared_ptr<const LoadedPipeline> loaded, const Registry& registry, Counters& counters,
          const Worker::Status& before, const std::string& name, Inspection* inspection)
      : loaded_{std::move(loaded)},
        counters_{counters},
        worker_{*loaded_->checked.pipeline, registry, counters_, system_clock(), name, inspection} {
    before_.rows = before.rows;
    before_.commits = before.commits;
    before_.commit_time_total = before.commit_time_total;
  }

  void start() {
    thread_ = std::thread{[this] {
      auto result = worker_.run(drain_.get_token());
      const std::scoped_lock lock{mutex_};
      result_ = std::move(result);
      done_ = true;
    }};
  }
  void start_or_fail() {
    worker_.fail_fast();
    start();
  }
  /// All partitions or none.
  void start_whole() {
    worker_.must_start_whole();
    start();
  }
  ~Running() {
    drain();
    if (thread_.joinable()) thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void drain() {
    worker_.will_be_followed(false);
    drain_.request_stop();
  }
  /// For another one to take its place.
  void make_way() {
    worker_.will_be_followed(true);
    drain_.request_stop();
  }
  bool done() const { return done_; }
  Result<void> result() const {
    const std::scoped_lock lock{mutex_};
    return result_;
  }
  const std::shared_ptr<const LoadedPipeline>& loaded() const { return loaded_; }
  const Pipeline& pipeline() const { return *loaded_->checked.pipeline; }
  const Counters& counters() const { return counters_; }
  Worker::Status status() const {
    Worker::Status out = worker_.status();
    out.rows += before_.rows;
    out.commits += before_.commits;
    out.commit_time_total += before_.commit_time_total;
    return out;
  }

 private:
  std::shared_ptr<const LoadedPipeline> loaded_;
  Counters& counters_;
  Worker::Status before_;
  Worker worker_;
  std::stop_source drain_;
  mutable std::mutex mutex_;
  Result<void> result_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

/// Runs, reloads on SIGHUP, drains on SIGTERM and SIGINT, gives up on the second of them.
class Runner {
 public:
  Runner(const RunOptions& options, Session& session)
      : options_{options},
        session_{session},
        progress_{options.quiet, options.log == "json", options.way},
        inspection_{options.http.empty() ? nullptr : std::make_unique<Inspection>()} {}

  int run() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread starts, and anybody can want a reload
    signal(SIGPIPE, SIG_IGN);
    const auto loaded = load();
    if (!loaded->checked.pipeline) return bad_pipeline;
    set_up_log(options_.log, options_.log_level);
    install(loaded);
    std::unique_ptr<Console> console;
    if (!options_.http.empty()) {
      auto served = Console::serve(options_.http, views());
      if (!served) {
        std::cerr << "weir: --http: " << served.error().message << "\n";
        return served.error().kind == Error::Kind::invalid ? usage : unreachable;
      }
      console = std::move(*served);
      log::info("http on {}{}", console->address(),
                console->is_public()
                    ? ": other machines can read /metrics, /lag and the pipeline's text, with subjects and table names"
                    : "");
    }
    options_.fail_fast ? current()->start_or_fail() : current()->start();
    const int exit = wait(signals);
    if (inspection_) inspection_->taps.end("the pipeline has ended");
    return exit;
  }

 private:
  std::shared_ptr<const LoadedPipeline> load() const {
    const bool given = options_.text.has_value();
    auto loaded = std::make_shared<LoadedPipeline>(
        given ? check_text(options_.file, *options_.text, options_.pipeline, session_.registry, true)
              : load_pipeline(options_.file, options_.pipeline, session_.registry, true));
    if (loaded->checked.pipeline) loaded->checked.pipeline->writes_beside = !options_.alone;
    // What is a matter of the file is no news of what was made of it.
    if (given)
      std::erase_if(loaded->checked.findings, [](const Finding& one) { return one.severity == Severity::info; });
    print_findings(*loaded);
    return loaded;
  }

  int wait(const sigset_t& signals) {
    int stops = 0;
    while (!current()->done() || (stops == 0 && (take_over() || fall_back()))) {
      settle();
      const timespec patience{0, 100'000'000};
      const int signal = sigtimedwait(&signals, nullptr, &patience);
      if (signal == SIGHUP && stops == 0) reload();
      // What ends a whole group of processes, as `timeout` does, may come by two ways at once.
      const bool again = stops > 0 && system_clock().steady() - told_ < same_signal;
      if ((signal == SIGTERM || signal == SIGINT) && !again) {
        if (++stops == 1) told_ = system_clock().steady();
        if (stops == 1 && options_.interrupted) options_.interrupted();
        progress_.end();
        log::info(stops == 1 ? "draining; a second signal gives up" : "giving up");
        if (stops == 2) std::_Exit(internal);  // as after any crash
        current()->drain();
      }
      if (stops == 0 && options_.enough && options_.enough(current()->status())) {
        stops = 1;
        told_ = system_clock().steady();
        current()->drain();
      }
      if (stops == 0) show_progress();
      if (stops > 0) give_up_in_time();
    }
    progress_.end();
    const auto result = current()->result();
    // What was refused before anything began has nothing to sum up.
    if (result || std::ranges::any_of(counters_.lines(), [](const auto& line) { return line.value != 0; })) summary();
    if (result) return fine;
    if (result.error().kind == Error::Kind::stopped)
      log::info("{}: ending", result.error().message);  // as it wished, with `| head`
    else if (options_.log == "json")
      log::error(result.error().message);  // who reads lines of JSON reads no others
    else
      std::cerr << "weir: " << result.error().message << "\n";
    return exit_code(result.error());
  }

  void show_progress() {
    const Timestamp now = system_clock().steady();
    if (!progress_.is_due(now)) return;
    const auto running = current();
    const std::string& source = running->pipeline().nodes[running->pipeline().source()].id;
    progress_.show(running->status(), counters_.value(source, counted::samples.name), now);
  }

  /// Draining gives up by itself, but not in the middle of a call to a server that hangs. What is not committed is read
  /// again by the next worker, as after any crash.
  void give_up_in_time() const {
    const Duration limit = current()->pipeline().shutdown_timeout;
    if (system_clock().steady() - told_ < limit + second) return;
    log::error("not drained within \"shutdown_timeout\", {}: giving up", format_duration(limit));
    std::_Exit(internal);
  }

  /// Checks the new text first; a bad one leaves the old pipeline running. Draining for a reload ends by itself after
  /// "shutdown_timeout" and the call it is in, which a client's own time-outs end. Nobody waits for this process to be
  /// gone meanwhile, so it does not give up as it does when it is to stop.
  void reload() {
    progress_.end();
    if (options_.text) return log::warn("reload: there is no file to take up again; it goes on as it was");
    const auto loaded = load();
    if (!loaded->checked.pipeline) {
      log::error("reload: {} has errors; the pipeline goes on as it was", options_.file);
      return;
    }
    if (loaded->checked.pipeline->kept_name() != current()->pipeline().kept_name()) {
      log::error("reload: the name changed from \"{}\" to \"{}\", which is another pipeline; the old one goes on",
                 current()->pipeline().name, loaded->checked.pipeline->name);
      return;
    }
    // Whatever else is down ends with the old pipeline, and may be what the new text mends.
    if (const auto status = current()->status(); !status.commit_trouble.empty()) {
      log::error(
          "reload: not while this keeps the old pipeline from draining: {}; it goes on, try again later, or end it and "
          "start it again, which reads again what is not committed",
          status.commit_trouble);
      return;
    }
    const bool refused = say_change(*loaded->checked.pipeline);
    if (refused &&
        std::ranges::any_of(current()->status().committed, [](const auto& lane) { return lane.position > 0; })) {
      log::error("reload: {} can't go on from what is committed; the pipeline goes on as it was", options_.file);
      return;
    }
    log::info(
        "reload: {} is free of errors; draining the old pipeline, as what the new one finds (tables, streams, "
        "state) can be tried only then; the old one comes back if it can't start",
        options_.file);
    current()->make_way();
    next_ = loaded;
  }

  /// Answers whether the change is refused once rows are committed.
  bool say_change(const Pipeline& now) const {
    bool refused = false;
    for (const Promise& promise : explain_change(current()->pipeline(), now, session_.registry)) {
      const bool refuses = promise.what == "is refused";
      const bool harmless = promise.about == "changed" || (promise.about == "state" && !refuses);
      refused |= refuses;
      log::write(harmless ? log::Level::info : log::Level::warn,
                 weir::format("reload: {} {}: {}", promise.about, promise.what, promise.why));
    }
    return refused;
  }

  /// The old pipeline has ended for a new one; false if there is none.
  bool take_over() {
    if (!next_) return false;
    if (const auto drained = current()->result(); !drained && !replaced_) {
      log::warn("reload: the old pipeline did not drain, so the new one reads again what was not committed: {}",
                drained.error().message);
    }
    // One that never came to run is none to go back to.
    if (!replaced_) replaced_ = current()->loaded();
    install(std::exchange(next_, nullptr));
    current()->start_whole();
    return true;
  }

  /// A reload has succeeded when the new pipeline has started: what it finds (tables, streams, state) may not fit it.
  void settle() {
    if (!replaced_ || !current()->status().started) return;
    replaced_.reset();
    log::info("reload: the new pipeline runs");
  }

  /// If it could not start, the old pipeline takes over again; false if there is none.
  bool fall_back() {
    const auto result = current()->result();
    if (!replaced_ || result) return false;
    log::error("reload: the new pipeline does not start, so the old one goes on: {}", result.error().message);
    install(std::exchange(replaced_, nullptr));
    current()->start();
    return true;
  }

  /// Not at work yet.
  void install(std::shared_ptr<const LoadedPipeline> loaded) {
    const auto before = current();
    auto next = std::make_shared<Running>(std::move(loaded), session_.registry, counters_,
                                          before ? before->status() : Worker::Status{}, name_, inspection_.get());
    if (inspection_) inspection_->taps.runs(next->pipeline());
    const std::scoped_lock lock{mutex_};
    current_ = std::move(next);
  }

  std::shared_ptr<Running> current() const {
    const std::scoped_lock lock{mutex_};
    return current_;
  }

  ConsoleViews views() {
    ConsoleViews views;
    views.version = "weir " + session_.version;
    views.pipeline_name = current()->pipeline().name;
    views.metrics = [this] {
      const auto running = current();
      const auto lag = lag_.lag();
      return render_metrics(running->pipeline(), running->counters(), inspection_->work, running->status(),
                            system_clock().now(), lag ? std::optional{*lag} : std::nullopt);
    };
    views.lag = [this] {
      return lag_.lag().transform([this](const Lag& lag) { return lag_json(current()->pipeline(), lag); });
    };
    views.ready = [this] { return readiness(current()->status()); };
    views.pipeline = [this] {
      const auto running = current();
      return status_json(running->pipeline(), counters_, inspection_->work, running->status(), name_);
    };
    views.tap = [this](const std::string& place) { return inspection_->taps.open(place); };
    views.elsewhere = [this](const TapWish& wish) {
      const auto running = current();
      return elsewhere(wish, running->pipeline(), running->status());
    };
    views.tap_from = options_.tap == "all"    ? TapFrom::all
                     : options_.tap == "none" ? TapFrom::nobody
                                              : TapFrom::loopback;
    return views;
  }

  /// What became of everything, counter by counter and in one sentence.
  void summary() const {
    const auto running = current();
    std::uint64_t refused = 0;
    for (const auto& line : counters_.lines()) {
      if (line.value == 0 || line.node.empty()) continue;
      if (line.name == counted::refused.name || line.name == counted::rejected.name) refused += line.value;
      log::info("{}.{}{} {}", line.node, line.name, line.reason.empty() ? "" : "{" + line.reason + "}", line.value);
    }
    const std::string& source = running->pipeline().nodes[running->pipeline().source()].id;
    log::info("{} messages with {} samples in, {} rows out, {} refused, {} dead letters kept",
              counters_.value(source, counted::messages.name), counters_.value(source, counted::samples.name),
              running->status().rows, refused, counters_.value("", counted::dead_letters.name));
  }

  const std::string name_ = new_worker_name();
  const RunOptions& options_;
  Session& session_;
  ProgressLine progress_;
  Timestamp told_ = 0;                      // to stop
  Counters counters_;                       // of all that run one after the other
  std::unique_ptr<Inspection> inspection_;  // null: nobody can ask
  mutable std::mutex mutex_;
  std::shared_ptr<Running> current_;
  std::shared_ptr<const LoadedPipeline> replaced_;  // what ran before, until the current one is ready
  std::shared_ptr<const LoadedPipeline> next_;      // waits for the old pipeline to drain
  LagWatch lag_{[this] {
                  const auto loaded = current()->loaded();
                  return measure_lag(*loaded->checked.pipeline, session_.registry, system_clock());
                },
                system_clock()};
};

}  // namespace

void add_run(Arguments& program, Session& session) {
  auto options = std::make_shared<RunOptions>();
  auto command =
      program.command("run", "runs a pipeline until its source ends, or SIGTERM drains it; SIGHUP reloads it");
  command.needs("pipeline", options->file, "pipeline file");
  add_pipeline_options(command, options->pipeline);
  command.option("--http", options->http, "serve /ping /ready /version /metrics /lag /pipelines on host:port");
  command.choice("--tap", options->tap, {"loopback", "all", "none"}, "whom --http lets look at rows, for weir tap");
  command.flag("--fail-fast", options->fail_fast, "ends with 69 if a service does not answer at the start");
  add_run_options(command, *options);
  command.does([options, &session] { session.exit = run(*options, session); });
}

void add_run_options(Arguments& command, RunOptions& options) {
  command.choice("--log", options.log, {"text", "json"}, "how the log is written");
  command.choice("--log-level", options.log_level, {"debug", "info", "warn", "error"}, "the least that is logged");
  command.flag("-q,--quiet", options.quiet, "no progress");
}

bool file_is_wrong(const RunOptions& options, const std::string& file, const Session& session) {
  const auto made = check_text(options.file, options.text.value_or(""), options.pipeline, session.registry, true);
  if (made.checked.pipeline) return false;
  const auto written = load_pipeline(file, options.pipeline, session.registry, false);
  if (!has_errors(written.checked.findings)) return false;
  print_findings(written);
  return true;
}

int run(const RunOptions& options, Session& session) { return Runner{options, session}.run(); }

}  // namespace weir::cli
