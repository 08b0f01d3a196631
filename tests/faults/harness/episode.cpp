#include "faults/harness/episode.hpp"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "faults/harness/pasts.hpp"
#include "faults/harness/store_watch.hpp"
#include "faults/harness/watch.hpp"

namespace weir::faults {
namespace {

constexpr Duration longest_recovery = 60 * second, longest_settling = 90 * second;
constexpr Duration longest_due = 10 * second;

/// Rows are due, and nothing in the streams says that time goes by.
struct StoodStill : Stuck {
  using Stuck::Stuck;
};

/// At its end nobody waits for a fault's harm, or for a pause, any more.
struct Unheard {
  explicit Unheard(Stage& of) : stage{of} {}
  ~Unheard() {
    at_next_pause({});
    stage.struck = [] {};
  }
  Unheard(const Unheard&) = delete;
  Unheard& operator=(const Unheard&) = delete;

  Stage& stage;
};

class Episode {
 public:
  explicit Episode(const Play& play)
      : play_{play},
        chance_{play.seed},
        stage_{play.partitions, play.workers, play.broken ? play.broken->sabotage : Sabotage{}, play.nats_servers,
               play.databases},
        watch_{stage_.database_urls(), play.partitions},
        store_watch_{stage_.database_urls(), stage_.nats.nats()} {}

  /// The fleet starts, faults come, and everything ends; `damaged` afterwards.
  void run(Outcome& out, bool damaged) {
    out.versions = stage_.versions();
    stage_.wait_for_streams();
    traffic_ = std::make_unique<Traffic>(stage_.nats.nats(), play_.partitions, play_.seed);
    watch_.begin("start", traffic_->last());
    go_on();
    for (std::size_t i = 0; i < play_.rounds && system_clock().steady() < play_.until && !doubled(); ++i) {
      if (is(Break::When::between) && i == play_.rounds / 2) play_.broken->apply(stage_, *traffic_);
      inject(next(), out);
    }
    go_on();
    if (damaged) traffic_->spoil(3);  // else there may be no dead letter to damage
    traffic_->finish();
    complete();
    const bool all_came = wait_for_due();
    stage_.stop_all();
    pause(100 * millisecond);  // the watch asks meanwhile
    positions_ = watch_.positions();
    if (!all_came && compare().fine())
      throw StoodStill{"rows are due, and nothing in the streams says that time goes by"};
    if (is(Break::When::finished)) play_.broken->apply(stage_, *traffic_);
  }

  Verdict compare() const {
    const bool orderly = play_.broken == nullptr && std::ranges::all_of(play_.kinds, &Fault::orderly);
    Verdict out = Expectation{stage_, traffic_->acknowledged(), positions_}.check(stage_, orderly);
    out.named = store_watch_.looks();
    // What is broken on purpose must be seen by what it does, not only by this.
    const std::string missing = play_.broken == nullptr || play_.broken->in_store ? store_watch_.missing() : "";
    if (!missing.empty()) {
      out.unstored = 1;
      out.differences.push_back(weir::format("snapshot {} was not in the store while a database named it", missing));
    }
    return out;
  }

  void break_all(const Noticed& noticed) {
    keep_tables(stage_);
    for (const Break& one : breaks()) {
      if (one.when != Break::When::finished) continue;
      one.apply(stage_, *traffic_);
      Outcome damaged;
      damaged.verdict = compare();
      noticed(one, damaged);
      restore_tables(stage_);
    }
  }

  void tell(Outcome& out) const {
    out.recoveries = watch_.recoveries();
    out.recoveries.erase("start");
    out.exits = stage_.exits;
    out.deeds = stage_.deeds;
  }

  const Stage& stage() const { return stage_; }

 private:
  bool is(Break::When when) const { return play_.broken != nullptr && play_.broken->when == when; }

  /// A safeguard is missing and it shows: no need for more faults.
  bool doubled() const {
    if (!is(Break::When::always)) return false;
    try {
      return stage_.database->ask("SELECT count(*) > count(DISTINCT (key, time)) FROM vehicle_second") == "t";
    } catch (const std::exception&) {
      return false;  // the database is down
    }
  }

  const Fault& next() {
    if (left_.empty()) {
      left_ = play_.kinds;
      for (std::size_t i = left_.size(); i > 1; --i) std::swap(left_[i - 1], left_[chance_.below(i)]);
    }
    const Fault& out = *left_.back();
    left_.pop_back();
    return out;
  }

  /// Faults of other things than this one's that may begin while it is at work.
  std::vector<const Fault*> beside(const Fault& first) {
    std::vector<const Fault*> out{&first};
    const std::size_t count = play_.together > 1 ? 2 + chance_.below(play_.together - 1) : 1;
    for (int tries = 0; out.size() < count && tries < 100; ++tries) {
      const Fault& one = *chance_.one_of(play_.kinds);
      const bool apart = std::ranges::none_of(out, [&](const Fault* other) { return other->harms == one.harms; });
      if (apart && !one.alone && !one.harms.empty()) out.push_back(&one);
    }
    return out;
  }

  void inject(const Fault& fault, Outcome& out) {
    const auto all = beside(fault);
    if (fault.alone) go_on();
    if (fault.unnames) store_watch_.suspend();
    const bool done = strike(all, out);
    if (done) stage_.attend();
    const bool at_once = chance_.one_in(4) && !fault.alone;
    if (!at_once) go_on();
    if (fault.unnames) store_watch_.resume();
    if (done) pause(chance_.between(0, 500 * millisecond));
  }

  /// The first, and while it waits for something after its harm is done, the next. False: the first can't be done.
  bool strike(std::span<const Fault* const> faults, Outcome& out) {
    const Fault& fault = *faults.front();
    const std::string name{fault.name};
    if (play_.talk) std::fprintf(stderr, "%s\n", name.c_str());
    ++out.times[name];
    bool told = false, next = faults.size() == 1;
    const Unheard unheard{stage_};  // what follows refers to this call, which may end by an exception
    const auto strike_next = [&] {
      if (std::exchange(next, true)) return;
      const auto struck = std::exchange(stage_.struck, [] {});
      strike(faults.subspan(1), out);
      stage_.struck = struck;
    };
    stage_.struck = [&] {
      if (std::exchange(told, true)) return;
      watch_.begin(name, traffic_->last());
      at_next_pause(strike_next);
    };
    bool done = true;
    try {
      fault.inject(stage_, *traffic_, chance_);
      stage_.struck();
    } catch (const LeftOut& why) {
      std::fprintf(stderr, "weir_faults: %s is left out: %s\n", name.c_str(), why.what());
      if (--out.times[name] == 0) out.times.erase(name);
      done = false;
    }
    at_next_pause({});
    strike_next();
    return done;
  }

  /// Waits until all partitions are committed again.
  void go_on() {
    const Timestamp until = system_clock().steady() + longest_recovery;
    while (!watch_.all_over(100 * millisecond)) {
      stage_.attend();
      if (system_clock().steady() > until) throw Stuck{"nothing is committed any more"};
    }
  }

  /// Waits until everything is committed and nothing more is due, which the workers show by storing no more markers.
  void complete() {
    const Timestamp until = system_clock().steady() + longest_settling;
    Timestamp since = system_clock().steady();
    for (auto before = stage_.last_sequences(); system_clock().steady() - since < settled_for;) {
      pause(50 * millisecond);
      stage_.attend();
      auto now = stage_.last_sequences();
      const Timestamp time = system_clock().steady();
      if (now != before || watch_.positions() != now) since = time;
      before = std::move(now);
      if (time > until) throw Stuck{"what is in the streams is not committed to its end"};
    }
  }

  /// Whether the table has as many rows as must be there by now, not only by the last message; it may take a while.
  bool wait_for_due() {
    const std::vector<Acknowledged> none;
    const std::size_t due = Expectation{stage_, none, watch_.positions(), settled_for}.rows();
    const Timestamp until = system_clock().steady() + longest_due;
    const auto all_there = [&] {
      return std::stoull(stage_.database->ask("SELECT count(*) FROM vehicle_second")) >= due;
    };
    if (all_there()) return true;
    while (!all_there()) {
      if (system_clock().steady() > until) return false;
      pause(200 * millisecond);
    }
    complete();
    return true;
  }

  const Play& play_;
  Chance chance_;
  Stage stage_;
  Watch watch_;
  StoreWatch store_watch_;
  std::unique_ptr<Traffic> traffic_;
  std::vector<const Fault*> left_;
  std::vector<std::uint64_t> positions_;
};

}  // namespace

Outcome play(const Play& play, const Noticed& noticed) {
  Outcome out;
  try {
    Episode episode{play};
    try {
      episode.run(out, noticed != nullptr);
      out.verdict = episode.compare();
      if (noticed && out.fine()) episode.break_all(noticed);
    } catch (const std::exception& error) {
      out.failure = weir::format("{}\n{}", error.what(), episode.stage().logs());
      out.astray = dynamic_cast<const WentOn*>(&error) != nullptr || dynamic_cast<const StoodStill*>(&error) != nullptr;
    }
    episode.tell(out);
    if (out.failure.empty()) {
      for (const auto& [code, times] : out.exits) {
        // On a busy machine a new process may be told before it has come to where it heeds that.
        if (code >= 0 || code == -SIGTERM || code == -SIGHUP) continue;
        const std::string what =
            code == fakes::WeirProcess::endless ? "did not end" : weir::format("died by signal {}", -code);
        out.failure = weir::format("a worker {}\n{}", what, episode.stage().logs());
      }
    }
    if (play.broken && play.broken->when == Break::When::always && episode.stage().sabotaged() == 0) {
      out.failure = weir::format("\"{}\" is nowhere in what weir sends", play.broken->sabotage.text);
      out.harmless = true;
    }
  } catch (const std::exception& error) {
    out.failure = error.what();
  }
  return out;
}

}  // namespace weir::faults
