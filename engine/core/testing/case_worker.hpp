/// A worker for cases: one lane and its commits, in one thread, over what a CaseWorld holds instead of servers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/runtime/lane.hpp"
#include "core/testing/case_feed.hpp"
#include "core/testing/case_world.hpp"

namespace weir {

/// Everything that a script has led to so far.
struct CaseOutcome {
  std::map<std::pair<std::size_t, Port>, CaseRows> rows;  ///< by node and port; of a sink: port 0, what it has
  CaseRows dead_letters;
  std::vector<Counters::Line> counters;                        ///< of what led to the rows of ports, …
  std::vector<Counters::Line> counters_of_commits;             ///< … and of commits, those that failed too
  std::vector<std::pair<std::size_t, Transform::Size>> sizes;  ///< of state, by node
  std::uint64_t acknowledged = 0;  ///< samples and messages of the script that the source need not give again
  std::string error;               ///< what stopped the lane
  Timestamp end = no_time;         ///< the arrival time that was reached
  std::optional<Timestamp> due;    ///< what is left to do
};

/// What the fakes promise.
enum class CasePromises : std::uint8_t {
  own,  ///< what source, sinks and store say of themselves
  best  ///< the source replays, every sink commits rows and progress as one, and snapshots last
};

/// After an error nothing more is done.
class CaseWorker {
 public:
  /// All must outlive it.
  CaseWorker(const Pipeline& pipeline, const Registry& registry, std::vector<Arrival> arrivals, CasePromises promises);
  ~CaseWorker();

  /// Takes in what comes next of the first `count` arrivals, `most` of them, as a batch; false if nothing is left.
  bool feed_once(std::size_t count, std::size_t most);
  /// Whether what is given out now was committed before a crash.
  bool replaying() const;

  /// Lane state is saved, and loaded into new instances.
  void reload();
  /// One attempt: commits what it can.
  void commit();
  /// Until all is committed, as a drain.
  void drain();
  void snapshot();
  /// So many of a sink's next commits fail; `answer_lost`: though they are done.
  void fail_commits(std::size_t sink, std::size_t times, bool answer_lost);
  /// The worker is gone, and another goes on.
  void crash();

  CaseOutcome outcome() const;

 private:
  struct Process;

  void start();
  void begin(LaneStart start);
  Result<std::vector<std::string>> make_lane(const LaneStart& start, Position after);
  void queue_again(const LaneStart& start);
  void forget_behind(Position replay_until);
  std::size_t room(std::size_t most) const;
  void step(const Result<Decoded>& decoded);
  void acknowledge(Position position);
  std::vector<Counters::Line> counters() const;
  CaseRows letters() const;
  bool stopped() const { return !error_.empty(); }
  void stop(const Error& error) { error_ = error.message; }

  const Pipeline& pipeline_;
  const Registry& registry_;
  const std::vector<Arrival> arrivals_;  // of the script
  Claims source_;

  // What outlives a worker.
  std::map<std::size_t, CaseSinkState> sinks_;  // by node
  bool store_lasts_;
  Counters store_counters_;
  std::unique_ptr<Context> store_context_;
  std::unique_ptr<Store> store_;
  std::vector<Sink::DeadLetter> letters_;  // that no sink took
  std::map<std::pair<std::size_t, Port>, CaseRows> ports_;
  std::map<Position, std::vector<Counters::Line>> counted_;  // as of each step
  std::vector<Counters::Line> counted_before_;               // by workers that are gone
  std::vector<Counters::Line> committed_before_;
  std::vector<bool> acknowledged_;  // by arrival
  std::size_t workers_ = 0;

  // What the source has to give, as the worker comes to see it.
  std::vector<Arrival> queue_;
  std::vector<std::size_t> numbers_;       // of them, among the script's arrivals
  std::size_t next_ = 0;                   // in the queue
  std::size_t reminders_ = 0;              // so many of the queue come first, for state alone
  Position last_ = 0;                      // that was given out
  std::map<Position, std::size_t> given_;  // what is not acknowledged, by position

  std::unique_ptr<Process> process_;
  std::string error_;
};

}  // namespace weir
