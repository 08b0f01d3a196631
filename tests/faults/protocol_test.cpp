/// The commit, lease, sharing, hand-over, snapshot and recovery protocols under chance: the engine's own code over
/// databases, a store and time in memory. A seed that fails fails again, alone: WEIR_SEED=<seed>. WEIR_SEEDS=<count>
/// for more or fewer of them.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string_view>

#include "faults/simulation.hpp"

namespace weir::faults {
namespace {

constexpr std::uint64_t parts = 4;  // tests that run beside each other

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t seeds = 400;
#else
constexpr std::uint64_t seeds = 10'000;
#endif

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// The engine's log would be a gigabyte.
class Silence {
 public:
  Silence() {
    if (number_from("WEIR_SEED", 0) == 0) spdlog::set_level(spdlog::level::off);
  }
  ~Silence() { spdlog::set_level(level_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  spdlog::level::level_enum level_ = spdlog::get_level();
};

class Protocol : public testing::TestWithParam<std::uint64_t> {
  Silence silence_;
};

TEST_P(Protocol, NothingIsLostDoubledOrChanged) {
  const std::uint64_t only = number_from("WEIR_SEED", 0);
  if (only != 0) {
    if (GetParam() != 0) return;
    EXPECT_EQ(Simulation(only, {}).run(), "");
    return;
  }
  const std::uint64_t count = number_from("WEIR_SEEDS", seeds);
  for (std::uint64_t seed = 1 + GetParam(); seed <= count; seed += parts)
    ASSERT_EQ(Simulation(seed, {}).run(), "") << "WEIR_SEED=" << seed;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Protocol, testing::Range(std::uint64_t{0}, parts));

/// A safeguard that is missing must be noticed within so many seeds, by what says this.
bool noticed(Safeguards safeguards, std::string_view by = {}) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const std::string failure = Simulation(seed, safeguards).run();
    if (!failure.empty() && failure.contains(by)) return true;
  }
  return false;
}

/// Not among them: the compare of positions, as every acquisition here brings a new fence; and the lease, without which
/// work is done twice, but nothing is written twice.
TEST(MissingSafeguard, IsNoticed) {
  const Silence silence;
  EXPECT_TRUE(noticed({.fence = false})) << "a commit by a former owner";
  EXPECT_TRUE(noticed({.new_fence = false})) << "an acquisition with the fence of the one before";
  EXPECT_TRUE(noticed({.one_transaction = false})) << "rows without their progress";
  EXPECT_TRUE(noticed({.snapshots_tell_truth = false})) << "a snapshot ahead of the commit that names it";
  EXPECT_TRUE(noticed({.written_ticks_left_out = false}, "comes twice"));
  EXPECT_TRUE(noticed({.commits_name_snapshots = false}, "was removed while a database named it"));
}

}  // namespace
}  // namespace weir::faults
