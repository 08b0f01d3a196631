/// The commit, lease, snapshot and recovery protocol under chance: the engine's own code over databases, a store and
/// time in memory. A seed that fails fails again: WEIR_SEED=<seed>. WEIR_SEEDS=<count> for more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include <weir/format.hpp>

#include "fakes/map_store.hpp"
#include "faults/simulated_worker.hpp"

namespace weir::faults {
namespace {

constexpr std::size_t partitions = 3;
constexpr std::size_t most_workers = 3;

/// Does not always answer.
class FlakyStore final : public fakes::MapStore {
 public:
  FlakyStore(Dice& dice, Values& values) : MapStore{values}, dice_{dice} {}
  Result<void> put(std::string_view name, std::string_view value) override {
    if (!calm && dice_.chance(3)) return fail(Error::Kind::unreachable, "the store does not answer");
    return MapStore::put(name, value);
  }
  bool calm = false;

 private:
  Dice& dice_;
};

/// What stands before the expected rows: of a stream that was made anew, what the one before it made up to anywhere.
/// Nothing: these are not the rows that may be there.
std::optional<std::vector<std::string>> rows_before(const std::vector<std::string>& rows,
                                                    const std::vector<std::string>& expected, const Streams& at_first,
                                                    std::uint32_t incarnation, Partition partition) {
  if (!std::ranges::ends_with(rows, expected)) return {};
  std::vector<std::string> before{rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(expected.size())};
  if (incarnation == 0 && !before.empty()) return {};
  if (!std::ranges::starts_with(expected_rows(at_first, partition), before)) return {};
  return before;
}

/// Workers come, die, stand still and wake up over two databases and a list. Answers what went wrong.
std::string simulate(std::uint64_t seed, Safeguards safeguards, bool snapshots_tell_truth = true) {
  Dice dice{seed};
  SimulatedDatabase first{dice, safeguards}, second{dice, safeguards};
  fakes::MapStore::Values stored;
  FlakyStore store{dice, stored};
  std::vector<std::string> list;
  const auto make_stream = [&dice] {
    std::vector<std::uint64_t> stream(20 + dice.roll(60));
    for (auto& message : stream) message = dice.roll(1'000'000);
    return stream;
  };
  Streams streams(partitions);  // as they are at first
  for (auto& stream : streams) stream = make_stream();
  Plant plant{
      dice, streams, store, {&first, &second}, list, std::vector<std::uint32_t>(partitions), snapshots_tell_truth};
  Timestamp now = 0;
  int numbers = 0;
  std::vector<std::unique_ptr<SimulatedWorker>> workers;
  std::string failure;
  for (int step = 0; step < 250 && failure.empty(); ++step) {
    const auto time = static_cast<Duration>(dice.roll(12));
    now += time;
    first.pass(time);
    second.pass(time);
    if (workers.size() < most_workers && dice.chance(20))
      workers.push_back(std::make_unique<SimulatedWorker>(plant, ++numbers));
    if (dice.chance(1)) {
      const std::uint64_t made_anew = dice.roll(partitions);
      if (plant.incarnations[made_anew] == 0) plant.streams[made_anew] = make_stream();
      plant.incarnations[made_anew] = 1;
    }
    if (workers.empty()) continue;
    const auto chosen = workers.begin() + static_cast<std::ptrdiff_t>(dice.roll(workers.size()));
    SimulatedWorker& worker = **chosen;
    if (worker.stalled_until > now) continue;
    if (dice.chance(3)) {
      workers.erase(chosen);  // kill -9
      continue;
    }
    if (dice.chance(4)) worker.stalled_until = now + static_cast<Duration>(dice.roll(3 * SimulatedDatabase::lease));
    if (dice.chance(15)) worker.renew();
    worker.act();
    failure = worker.failure();
  }
  workers.clear();
  first.calm();
  second.calm();
  store.calm = true;
  SimulatedWorker last{plant, ++numbers};
  for (int round = 0; round < 1000 && failure.empty() && !last.finish(); ++round) failure = last.failure();
  if (failure.empty()) failure = last.failure();
  for (Partition partition = 0; partition < partitions && failure.empty(); ++partition) {
    const auto expected = expected_rows(plant.streams, partition);
    auto written = expected;
    for (const SimulatedDatabase* database : plant.databases) {
      const auto rows = database->rows(partition);
      const auto before = rows_before(rows, expected, streams, plant.incarnations[partition], partition);
      if (!before) {
        return weir::format("partition {}: {} rows instead of {}, or not the same", partition, rows.size(),
                            expected.size());
      }
      written.insert(written.end(), before->begin(), before->end());
    }
    for (const std::string& row : written) {
      const bool there = std::ranges::any_of(list, [&](const std::string& rows) {
        return rows.starts_with(weir::format("{}: ", partition)) && rows.contains(row + "\n");
      });
      if (!there) return weir::format("partition {}: the list lacks {}", partition, row);
    }
  }
  return failure;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Protocol, NothingIsLostDoubledOrChanged) {
  const std::uint64_t only = number_from("WEIR_SEED", 0);
  const std::uint64_t count = only != 0 ? 1 : number_from("WEIR_SEEDS", 2000);
  for (std::uint64_t seed = std::max<std::uint64_t>(only, 1), tried = 0; tried < count; ++seed, ++tried)
    ASSERT_EQ(simulate(seed, {}), "") << "WEIR_SEED=" << seed;
}

/// How many seeds it takes to see that a safeguard is missing; 0: more than enough did not show it.
std::uint64_t seeds_to_notice(Safeguards safeguards, bool snapshots_tell_truth = true) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    if (!simulate(seed, safeguards, snapshots_tell_truth).empty()) return seed;
  }
  return 0;
}

/// Not among them: the compare of positions, as every claim here brings a new fence.
TEST(Protocol, ASafeguardThatIsMissingIsNoticed) {
  EXPECT_NE(seeds_to_notice({.fence = false}), 0u) << "a commit by a former owner";
  EXPECT_NE(seeds_to_notice({.one_transaction = false}), 0u) << "rows without their progress";
  EXPECT_NE(seeds_to_notice({}, false), 0u) << "a snapshot ahead of the commit that names it";
}

}  // namespace
}  // namespace weir::faults
