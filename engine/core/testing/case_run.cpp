#include <algorithm>
#include <functional>
#include <ranges>

#include <weir/format.hpp>

#include "core/observe/attempt.hpp"
#include "core/testing/case_check.hpp"
#include "core/testing/case_worker.hpp"
#include "core/testing/cases.hpp"

namespace weir {
namespace {

/// How the script is fed in.
struct Variation {
  std::string name;
  std::size_t batch = SIZE_MAX;  ///< most samples in a batch
  bool reloads = false;          ///< after each batch, from its saved state
  bool crashes = false;          ///< now and then, with commits and snapshots in between
};

const std::vector<Variation>& variations() {
  static const std::vector<Variation> all{{"in batches of 1", 1, false, false},
                                          {"in batches of 2", 2, false, false},
                                          {"in batches of 7", 7, false, false},
                                          {"from saved state after each sample", 1, true, false},
                                          {"from saved state after every 3 samples", 3, true, false},
                                          {"with a crash after every third sample", 1, false, true}};
  return all;
}

/// What arrives, and the steps that do something, each with the number of arrivals before it.
struct Plan {
  std::vector<Arrival> arrivals = {};
  std::vector<std::pair<std::size_t, const CaseStep*>> actions = {};
};

Plan plan_of(const Case& one) {
  Plan out;
  for (const CaseStep& step : one.script) {
    out.arrivals.append_range(arrivals_of(step));
    if (step.what != CaseStep::What::arrive) out.actions.emplace_back(out.arrivals.size(), &step);
  }
  return out;
}

/// What is asked in the midst of a script; not asked in variations.
using Ask = std::function<void(const CaseStep&, const CaseOutcome&)>;

void act(CaseWorker& worker, const CaseStep& step, const Ask& ask) {
  switch (step.what) {
    case CaseStep::What::arrive:
      break;
    case CaseStep::What::commit:
      worker.commit();
      break;
    case CaseStep::What::snapshot:
      worker.snapshot();
      break;
    case CaseStep::What::crash:
      worker.crash();
      break;
    case CaseStep::What::fail:
      worker.fail_commits(step.sink, step.times, step.answer_lost);
      break;
    case CaseStep::What::expect:
      if (ask) ask(step, worker.outcome());
      break;
  }
}

/// Each arrival is committed, or lost with its worker: some of both, at different distances from a snapshot.
void crash_on_and_on(CaseWorker& worker, std::size_t arrivals) {
  std::size_t live = 0;
  for (bool replayed = worker.replaying(); worker.feed_once(arrivals, replayed ? SIZE_MAX : 1);
       replayed = worker.replaying()) {
    if (replayed) continue;
    if (live % 5 == 4) worker.snapshot();
    if (live % 2 == 0) worker.commit();
    if (live++ % 3 == 2) worker.crash();
  }
}

CaseOutcome play(const Case& one, const Registry& registry, const Variation& variation, const Ask& ask) {
  Plan plan = plan_of(one);
  const std::size_t count = plan.arrivals.size();
  CaseWorker worker{*one.pipeline, registry, std::move(plan.arrivals),
                    variation.crashes ? CasePromises::best : CasePromises::own};
  if (variation.crashes) crash_on_and_on(worker, count);
  const auto feed = [&](std::size_t up_to) {
    while (worker.feed_once(up_to, variation.batch)) {
      if (variation.reloads) worker.reload();
    }
  };
  for (const auto& [after, step] : plan.actions) {
    if (variation.crashes) break;
    feed(after);
    act(worker, *step, ask);
  }
  feed(count);
  worker.drain();
  return worker.outcome();
}

/// An operator that throws stops no more than its case.
Result<CaseOutcome> run(const Case& one, const Registry& registry, const Variation& variation, const Ask& ask = {}) {
  return attempt("an operator threw", [&]() -> Result<CaseOutcome> { return play(one, registry, variation, ask); });
}

/// What a variation gives otherwise; empty: nothing.
std::string differ(const CaseOutcome& outcome, const Case& one, const Registry& registry, const Variation& variation) {
  const auto varied = run(one, registry, variation);
  // A crash counts again what it lost, and after a commit that failed the next ones take parts, as batches are cut.
  const bool commits = !variation.crashes && !std::ranges::contains(one.script, CaseStep::What::fail, &CaseStep::what);
  return varied ? compare(outcome, *varied, *one.pipeline, commits) : varied.error().message + "\n";
}

/// What passed where, and whether anybody looks at it.
std::vector<CasePassage> passages_of(const Case& one, const CaseOutcome& outcome) {
  std::vector<CaseExpectation> all = one.expect;
  for (const CaseStep& step : one.script) all.append_range(step.expect);
  std::vector<CasePassage> out;
  for (const auto& [port, rows] : outcome.rows) {
    const bool expected = std::ranges::any_of(all, [&](const CaseExpectation& expectation) {
      const bool of_rows =
          expectation.what == CaseExpectation::What::rows || expectation.what == CaseExpectation::What::contains;
      return of_rows && port == std::pair{expectation.node, expectation.port};
    });
    out.push_back({place_of(*one.pipeline, {port.first, port.second}), rows.rows.size(), expected});
  }
  return out;
}

/// Checks one by one, and notes what fails, and what a file would have to hold.
class Checking {
 public:
  Checking(const Case& one, const CaseOptions& options, CaseResult& result)
      : case_{one}, result_{result}, any_letters_{options.letters} {}

  void operator()(const std::vector<CaseExpectation>& expectations, const CaseOutcome& outcome) {
    for (const CaseExpectation& expectation : expectations) {
      std::string wrong = check(expectation, *case_.pipeline, outcome);
      if (wrong.empty()) continue;
      if (!expectation.file.empty()) result_.updates.push_back({expectation.file, rows_text(expectation, outcome)});
      const bool rows_in_text = expectation.file.empty() && !expectation.rows.places.empty();
      result_.failures.push_back({expectation.place, std::move(wrong), rows_in_text});
    }
  }

  void end(const CaseOutcome& outcome) {
    if (!outcome.error.empty()) result_.failures.insert(result_.failures.begin(), {case_.place, outcome.error + "\n"});
    (*this)(case_.expect, outcome);
    if (any_letters_ ||
        std::ranges::contains(case_.expect, CaseExpectation::What::dead_letters, &CaseExpectation::what))
      return;
    if (auto wrong = check_no_letters(*case_.pipeline, outcome); !wrong.empty())
      result_.failures.push_back({case_.place, wrong});
  }

 private:
  const Case& case_;
  CaseResult& result_;
  bool any_letters_;
};

}  // namespace

CaseResult run_case(const Case& one, const Registry& registry, const CaseOptions& options) {
  CaseResult result{one.name, one.place, {}, {}, {}};
  Checking checking{one, options, result};
  const auto outcome =
      run(one, registry, {}, [&](const CaseStep& step, const CaseOutcome& so_far) { checking(step.expect, so_far); });
  if (!outcome) {
    result.failures.push_back({one.place, outcome.error().message + "\n"});
    return result;
  }
  checking.end(*outcome);
  result.passages = passages_of(one, *outcome);
  const bool has_actions = std::ranges::any_of(one.script, [](const CaseStep& step) {
    return step.what != CaseStep::What::arrive && step.what != CaseStep::What::expect;
  });
  for (const Variation& variation : variations()) {
    if (!options.vary || !result.failures.empty()) break;
    if (variation.crashes && has_actions) continue;
    const auto diff = differ(*outcome, one, registry, variation);
    if (diff.empty()) continue;
    result.failures.push_back(
        {one.place, weir::format("the same script {} gives something else (- in one batch, + {}): {}", variation.name,
                                 variation.name, diff)});
  }
  return result;
}

std::string render(const CaseResult& result, std::string_view file) {
  if (result.failures.empty()) return {};
  const auto place = [&](const Span& span) {
    return weir::format("{}:{}:{}", file, span.begin.line, span.begin.column);
  };
  std::string out = weir::format("{}: failed: {}\n", place(result.place), result.name);
  for (const CaseResult::Failure& failure : result.failures) {
    out += weir::format("  {}: ", place(failure.place));
    for (const char c : failure.message) {
      out += c;
      if (c == '\n') out += "    ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
  }
  return out;
}

}  // namespace weir
