/// weir run: runs a pipeline until its source ends or it is told to stop.
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <weir/units.hpp>

#include "cli/command.hpp"
#include "cli/commands/run.hpp"
#include "cli/log.hpp"
#include "cli/progress_line.hpp"
#include "console/cached_query.hpp"
#include "console/metrics.hpp"
#include "console/progress_json.hpp"
#include "console/server.hpp"
#include "console/status_json.hpp"
#include "console/tap_stream.hpp"
#include "core/coordination/supervisor.hpp"
#include "core/coordination/worker_name.hpp"
#include "core/observe/counted.hpp"
#include "core/observe/log.hpp"

namespace weir::cli {
namespace {

constexpr Duration same_signal = 500 * millisecond;

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

/// Runs, reloads on SIGHUP, drains on SIGTERM and SIGINT, gives up on the second of them.
class Runner {
 public:
  Runner(const RunOptions& options, Session& session)
      : options_{options},
        session_{session},
        progress_{options.quiet, options.log == "json", options.way},
        inspection_{options.http.empty() ? nullptr : std::make_unique<Inspection>()},
        supervisor_{session.registry, counters_, system_clock(), inspection_.get()} {}

  int run() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread starts, and anybody can want a reload
    signal(SIGPIPE, SIG_IGN);
    auto pipeline = load();
    if (!pipeline) return bad_pipeline;
    set_up_log(options_.log, options_.log_level);
    name_.emplace(pipeline->kept_name(), options_.worker);
    supervisor_.install(std::move(pipeline), name_->text());
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
    supervisor_.start(options_.fail_fast);
    const int exit = wait(signals);
    if (inspection_) inspection_->taps.end("the pipeline has ended");
    return exit;
  }

 private:
  /// Null: it has errors, which are printed.
  Supervisor::PipelinePtr load() const {
    const bool given = options_.text.has_value();
    auto loaded = std::make_shared<LoadedPipeline>(
        given ? check_text(options_.file, *options_.text, options_.pipeline, session_.registry, true)
              : load_pipeline(options_.file, options_.pipeline, session_.registry, true));
    // What is a matter of the file is no news of what was made of it.
    if (given)
      std::erase_if(loaded->checked.findings, [](const Finding& one) { return one.severity == Severity::info; });
    print_findings(*loaded);
    const Pipeline* pipeline = loaded->checked.pipeline ? &*loaded->checked.pipeline : nullptr;
    return {std::move(loaded), pipeline};
  }

  int wait(const sigset_t& signals) {
    int stops = 0;
    while (supervisor_.advance()) {
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
        supervisor_.drain();
      }
      if (stops == 0 && options_.enough && options_.enough(supervisor_.status())) {
        stops = 1;
        told_ = system_clock().steady();
        supervisor_.drain();
      }
      if (stops == 0) show_progress();
      if (stops > 0) give_up_in_time();
    }
    progress_.end();
    const auto result = supervisor_.result();
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
    const auto pipeline = supervisor_.pipeline();
    const std::string& source = pipeline->nodes[pipeline->source()].id;
    progress_.show(supervisor_.status(), counters_.value(source, counted::samples.name), now);
  }

  /// Draining gives up by itself, but not in the middle of a call to a server that hangs. What is not committed is read
  /// again by the next worker, as after any crash.
  void give_up_in_time() const {
    const Duration limit = supervisor_.pipeline()->shutdown_timeout;
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
    auto next = load();
    if (!next) {
      log::error("reload: {} has errors; still running the previous pipeline", options_.file);
      return;
    }
    if (const auto begun = supervisor_.reload(std::move(next)); !begun) {
      log::error("reload: {}; still running the previous pipeline", begun.error().message);
      return;
    }
    log::info(
        "reload: {} has no errors; draining the previous pipeline, which runs again if the tables, streams or state that "
        "the new one finds do not fit it",
        options_.file);
  }

  ConsoleViews views() {
    ConsoleViews views;
    views.version = "weir " + session_.version;
    views.pipeline_name = [this] { return supervisor_.pipeline()->name; };
    views.metrics = [this] {
      const auto lag = lag_.get();
      return render_metrics(*supervisor_.pipeline(), counters_, inspection_->work, supervisor_.status(),
                            system_clock().now(), lag ? std::optional{*lag} : std::nullopt);
    };
    views.lag = [this] {
      return lag_.get().transform([this](const Lag& lag) { return lag_json(*supervisor_.pipeline(), lag); });
    };
    views.progress = [this] { return kept_.get(); };
    views.ready = [this] { return readiness(supervisor_.status()); };
    views.pipeline = [this] {
      return status_json(*supervisor_.pipeline(), counters_, inspection_->work, supervisor_.status(),
                         supervisor_.name());
    };
    views.tap = [this](const std::string& place) { return inspection_->taps.open(place); };
    views.elsewhere = [this](const TapSelection& selection) {
      return elsewhere(selection, *supervisor_.pipeline(), supervisor_.status());
    };
    views.tap_from = options_.tap == "all"    ? TapFrom::all
                     : options_.tap == "none" ? TapFrom::nobody
                                              : TapFrom::loopback;
    return views;
  }

  /// What became of everything, counter by counter and in one sentence.
  void summary() const {
    std::uint64_t invalid = 0;
    for (const auto& line : counters_.lines()) {
      if (line.value == 0 || line.node.empty()) continue;
      if (line.name == counted::invalid.name || line.name == counted::rejected.name) invalid += line.value;
      log::info("{}.{}{} {}", line.node, line.name, line.reason.empty() ? "" : "{" + line.reason + "}", line.value);
    }
    const auto pipeline = supervisor_.pipeline();
    const std::string& source = pipeline->nodes[pipeline->source()].id;
    log::info("{} messages with {} samples in, {} rows out, {} invalid, {} dead letters kept",
              counters_.value(source, counted::messages.name), counters_.value(source, counted::samples.name),
              supervisor_.status().rows, invalid, counters_.value("", counted::dead_letters.name));
  }

  const RunOptions& options_;
  Session& session_;
  ProgressLine progress_;
  Timestamp told_ = 0;                      // to stop
  Counters counters_;                       // of all pipelines that run one after the other
  std::unique_ptr<Inspection> inspection_;  // null: nobody can ask
  std::optional<WorkerName> name_;
  Supervisor supervisor_;
  CachedQuery<Lag> lag_{"lag",
                        [this] {
                          const auto pipeline = supervisor_.pipeline();
                          return measure_lag(*pipeline, session_.registry, system_clock());
                        },
                        system_clock()};
  CachedQuery<std::string> kept_{"progress",
                                 [this] {
                                   const auto pipeline = supervisor_.pipeline();
                                   Ledgers ledgers{*pipeline, session_.registry};
                                   const auto asked = ledgers.only("").and_then([&] { return ledgers.ask(); });
                                   return asked.transform(progress_json);
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
  command.option("--http", options->http, "serve /ping /ready /version /metrics /lag /pipelines on [host]:port");
  command.choice("--tap", options->tap, {"loopback", "all", "none"}, "whom --http lets look at rows, for weir tap");
  command.option("--worker", options->worker,
                 "name of this worker, whose partitions it takes over at once; default: the host's and a number");
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
