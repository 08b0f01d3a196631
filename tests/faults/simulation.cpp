#include "faults/simulation.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/format.hpp>

namespace weir::faults {
namespace {

constexpr Duration chaos_lasts = 20 * second;
/// Leases run out, what could not be committed is tried again, and what was asked for is handed over.
constexpr Duration bound = 4 * lease_length + 15 * second;  // a clock that was set back makes a lease that longer

}  // namespace

Simulation::Simulation(std::uint64_t seed, Safeguards safeguards)
    : plant_{.dice = Dice{seed}, .safeguards = safeguards} {
  const auto partitions = static_cast<std::uint32_t>(1 + plant_.dice.roll(6));
  for (std::uint64_t left = plant_.dice.roll(4) % 3; left > 0; --left)
    plant_.databases.push_back(std::make_unique<SimulatedDatabase>(plant_.dice, safeguards, plant_.stored));
  plant_.stored.named = [this](std::string_view snapshot) {
    return std::ranges::any_of(plant_.databases, [&](const auto& database) { return database->names(snapshot); });
  };
  plant_.replayable = plant_.databases.empty() || !plant_.dice.chance(250);
  plant_.registry = simulated_registry(partitions, plant_.replayable);
  plant_.pipeline = simulated_pipeline(plant_.registry, plant_.databases.size(), plant_.replayable ? "sum" : "window");
  plant_.streams.filling = chaos_lasts + 5 * second;
  for (Partition partition = 0; partition < partitions; ++partition) plant_.streams.messages.push_back(make_stream());
}

std::string Simulation::run() {
  chaos();
  calm_down();
  run_until(plant_.now + 2 * lease_length);  // the dead are still waited for
  wait_until(&Simulation::shared_evenly, "shared evenly");
  stay_as_it_is();
  plant_.quiet = true;
  join();
  wait_until(&Simulation::shared_evenly, "shared evenly with one more");
  if (!failed()) workers_[plant_.dice.roll(workers_.size())]->leave();
  wait_until(&Simulation::shared_evenly, "shared evenly with one less");
  wait_until(&Simulation::all_committed, "committed");
  check_noticed();
  check_rows();
  return std::exchange(plant_.failure, {});
}

void Simulation::fail(std::string what) {
  if (plant_.failure.empty()) plant_.failure = std::move(what);
}

std::vector<std::uint64_t> Simulation::make_stream() {
  std::vector<std::uint64_t> stream(20 + plant_.dice.roll(100));
  for (auto& message : stream) message = plant_.dice.roll(1'000'000);
  return stream;
}

bool Simulation::step() {
  SimulatedWorker* next = nullptr;
  SimulatedWorker::Thread thread = SimulatedWorker::loop;
  for (const auto& worker : workers_) {
    if (worker->dead()) continue;
    for (int i = 0; i < SimulatedWorker::threads; ++i) {
      const auto one = static_cast<SimulatedWorker::Thread>(i);
      if (worker->busy(one) || (next != nullptr && worker->due(one) >= next->due(thread))) continue;
      next = worker.get();
      thread = one;
    }
  }
  if (next == nullptr) return false;
  pass_until(std::max(plant_.now, next->due(thread)));
  const Duration again = next->run(thread);
  if (!plant_.stored.violation.empty()) fail(plant_.stored.violation);
  next->wait(thread, again / 2 + static_cast<Duration>(plant_.dice.roll(static_cast<std::uint64_t>(again))));
  if (depth_ == 0) write_dead_letter();
  return true;
}

/// Time is the same for all: a store whose clock stood while everybody waited would take a lease for one that runs.
void Simulation::pass_until(Timestamp now) {
  plant_.now = plant_.streams.now = plant_.stored.now = now;
  for (const auto& database : plant_.databases) database->pass(now);
}

/// What stands in the midst of a statement can't be destroyed before it comes back.
void Simulation::write_dead_letter() {
  std::erase_if(workers_, [](const auto& worker) { return worker->dead() && !worker->busy(); });
}

void Simulation::run_until(Timestamp end) {
  while (plant_.now < end && !failed()) {
    if (!plant_.calm) mishap();
    if (!step()) pass_until(plant_.now + 100 * millisecond);
  }
}

void Simulation::meanwhile(SimulatedWorker& worker, Duration length) {
  if (depth_ >= 3 || failed()) return;
  Duration lasts = length;
  if (length == 0) {
    if (plant_.calm || !plant_.dice.chance(15)) return;
    lasts = static_cast<Duration>(plant_.dice.roll(plant_.dice.chance(200) ? 2 * lease_length : second));
    if (plant_.dice.chance(300)) worker.stall(lasts);
  }
  ++depth_;
  run_until(plant_.now + lasts);
  --depth_;
}

void Simulation::mishap() {
  Dice& dice = plant_.dice;
  if (workers_.size() < most_workers && dice.chance(workers_.empty() ? 500 : 10)) join();
  if (dice.chance(2)) plant_.down_until = plant_.now + static_cast<Duration>(dice.roll(2 * lease_length));
  for (const auto& database : plant_.databases) {
    if (dice.chance(1))
      database->set_clock(static_cast<Duration>(dice.roll(2 * lease_length)) - static_cast<Duration>(lease_length));
  }
  if (workers_.empty()) return;
  if (dice.chance(4)) any().kill();
  if (dice.chance(3)) any().leave();
  if (dice.chance(5)) any().stall(static_cast<Duration>(dice.roll(3 * lease_length)));
  if (depth_ == 0) write_dead_letter();
}

void Simulation::join() {
  workers_.push_back(std::make_unique<SimulatedWorker>(
      plant_, ++numbers_, [this](SimulatedWorker& worker, Duration length) { meanwhile(worker, length); }));
}

void Simulation::chaos() { run_until(chaos_lasts); }

/// The faults stop; what they did is left.
void Simulation::calm_down() {
  plant_.calm = true;
  for (const auto& database : plant_.databases) database->calm();
  for (const auto& worker : workers_) worker->wake();
  const bool all_go = std::ranges::all_of(workers_, [](const auto& worker) { return worker->leaving(); });
  if (all_go) join();
}

void Simulation::wait_until(bool (Simulation::*reached)(), const char* what) {
  const Timestamp end = plant_.now + bound;
  while (!failed() && !(this->*reached)()) {
    run_until(plant_.now + 100 * millisecond);
    if (plant_.now > end) fail(weir::format("not {} after {} s:{}", what, bound / second, holdings()));
  }
}

std::string Simulation::holdings() const {
  std::string out;
  for (const auto& worker : workers_) {
    out += weir::format(" worker{}{}{}", worker->number(), worker->started() ? "" : " not started",
                        worker->pending() ? " not committed" : "");
    for (const Partition partition : worker->partitions())
      out += weir::format(" {} at {}", partition, worker->held().read_to(partition));
  }
  return out;
}

/// Each partition has one worker, none has two more than another, and each has what it takes for its share.
bool Simulation::shared_evenly() {
  std::vector<std::size_t> counts;
  std::vector<Partition> all;
  for (const auto& worker : workers_) {
    if (worker->leaving() || !worker->has_share() || worker->workers() != workers_.size()) return false;
    counts.push_back(worker->partitions().size());
    all.append_range(worker->partitions());
  }
  std::ranges::sort(all);
  const bool each_once = all.size() == plant_.streams.messages.size() && std::ranges::adjacent_find(all) == all.end();
  return each_once && std::ranges::max(counts) - std::ranges::min(counts) <= 1;
}

bool Simulation::all_committed() {
  if (!shared_evenly() || plant_.now < plant_.streams.filling ||
      std::ranges::any_of(workers_, &SimulatedWorker::pending))
    return false;
  return std::ranges::all_of(workers_, [&](const auto& worker) {
    return std::ranges::all_of(worker->partitions(), [&](Partition partition) {
      return worker->held().read_to(partition) == plant_.streams.messages[partition].size();
    });
  });
}

/// Once shared, nothing moves any more; but that of a lane which a former owner followed with its last commit shows at
/// its own next snapshot, where the store alone keeps progress.
void Simulation::stay_as_it_is() {
  const auto holdings = [this] {
    std::vector<std::vector<Partition>> out;
    for (const auto& worker : workers_) out.push_back(worker->partitions());
    return out;
  };
  for (int tries = plant_.databases.empty() ? 2 : 1; tries > 0; --tries) {
    const auto before = holdings();
    run_until(plant_.now + 3 * second);
    if (holdings() == before) return;
    wait_until(&Simulation::shared_evenly, "shared evenly again");
  }
  fail("partitions moved although they were shared evenly");
}

void Simulation::check_noticed() {
  for (const auto& worker : workers_) {
    if (worker->credit_lost() != 0)
      fail(weir::format("worker{} lost {} bytes of credit", worker->number(), worker->credit_lost()));
  }
  for (const auto& database : plant_.databases) {
    if (!database->violation().empty()) fail(database->violation());
  }
  if (!plant_.stored.violation.empty()) fail(plant_.stored.violation);
}

void Simulation::check_rows() {
  for (Partition partition = 0; partition < plant_.streams.messages.size() && !failed(); ++partition) {
    if (!plant_.replayable) {
      check_windows(partition);
      continue;
    }
    const Expected expected = expected_of(plant_.streams.messages[partition]);
    const auto differ = [&](const char* what, std::size_t found, std::size_t wanted) {
      fail(weir::format("partition {}: {} {} instead of {}, or not the same", partition, found, what, wanted));
    };
    for (const auto& database : plant_.databases) {
      const auto rows = database->rows(partition);
      if (rows != expected.rows) return differ("rows", rows.size(), expected.rows.size());
    }
    if (!plant_.databases.empty()) {
      const auto letters = plant_.databases.back()->letters(partition);
      if (letters != expected.letters) return differ("dead letters", letters.size(), expected.letters.size());
    }
    check_list(partition, expected.rows);
  }
}

/// No tick twice, and all of those that the last owner had read from their beginning.
void Simulation::check_windows(Partition partition) {
  std::vector<WindowRow> expected;
  for (const auto& worker : workers_) {
    if (std::ranges::contains(worker->partitions(), partition))
      expected = expected_windows(plant_.streams.messages[partition], worker->held().read_from(partition));
  }
  for (const auto& database : plant_.databases) {
    const std::vector<WindowRow> rows{std::from_range, database->rows(partition) | std::views::transform(window_row)};
    const auto twice = std::ranges::adjacent_find(rows, std::ranges::greater_equal{}, &WindowRow::tick);
    if (twice != rows.end()) return fail(weir::format("partition {}: tick {} comes twice", partition, twice->tick));
    if (!std::ranges::includes(rows, expected))
      return fail(weir::format("partition {}: rows are missing or not the same", partition));
  }
}

/// A sink without transactions has each row once at the least, and none that should not be.
void Simulation::check_list(Partition partition, const std::vector<std::string>& expected) {
  std::set<std::string> there;
  const std::string prefix = weir::format("{}: ", partition);
  for (const std::string& row : plant_.list) {
    if (row.starts_with(prefix)) there.insert(row.substr(prefix.size()));
  }
  for (const std::string& row : expected) {
    if (there.erase(row) == 0) return fail(weir::format("partition {}: the list lacks {}", partition, row));
  }
  if (!there.empty()) fail(weir::format("partition {}: the list has {}, which is no row", partition, *there.begin()));
}

}  // namespace weir::faults
