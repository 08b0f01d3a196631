/// Which snapshots are deleted, and by whom.
#include "core/checkpoint/snapshot.hpp"

#include <gmock/gmock.h>

#include "fakes/map_store.hpp"

namespace weir {
namespace {

using testing::ElementsAre;

class PrunedSnapshots : public testing::Test {
 protected:
  void write(std::uint32_t resets, Position position, const char* fence) {
    ASSERT_TRUE(
        snapshots_.write(0, fence, {.at = {.place = {.position = position}, .resets = resets}, .state = "state"}));
  }
  /// What there is, without "p.0." and "/manifest".
  std::vector<std::string> left() const {
    std::vector<std::string> out;
    for (const auto& [name, value] : values_) {
      if (name.ends_with("/manifest")) out.push_back(name.substr(4, name.rfind('/') - 4));
    }
    return out;
  }

  fakes::MapStore::Values values_;
  fakes::MapStore store_{values_};
  Snapshots snapshots_{store_, "p"};
};

TEST_F(PrunedSnapshots, AreOlderWhateverTheirPositionIfTheyAreFromBeforeAReset) {
  for (const auto& [resets, position] : {std::pair{0u, 9u}, {1u, 2u}, {1u, 3u}, {2u, 1u}}) write(resets, position, "f");
  ASSERT_TRUE(snapshots_.prune(0, "p.0.1.3-f", "p.0.1.2-f"));
  EXPECT_THAT(left(), ElementsAre("1.2-f", "1.3-f", "2.1-f"));
}

/// It committed 100, stood still, and the database went back to 50 meanwhile, from where another worker came to 80.
TEST_F(PrunedSnapshots, OfTheNextOwnerAreNotDeletedByAFormerOneThatIsLate) {
  for (const auto& [position, fence] : {std::pair{40, "former"}, {50, "former"}, {80, "next"}, {100, "former"}})
    write(0, static_cast<Position>(position), fence);
  ASSERT_TRUE(snapshots_.prune(0, "p.0.0.100-former", "p.0.0.50-former"));
  EXPECT_THAT(left(), ElementsAre("0.100-former", "0.50-former", "0.80-next"));
}

TEST_F(PrunedSnapshots, OfFormerOwnersGoOnceTheyAreOlderThanBoth) {
  for (const auto& [position, fence] : {std::pair{40, "former"}, {55, "former"}, {60, "f"}, {70, "f"}})
    write(0, static_cast<Position>(position), fence);
  ASSERT_TRUE(snapshots_.prune(0, "p.0.0.60-f", ""));
  EXPECT_THAT(left(), ElementsAre("0.40-former", "0.55-former", "0.60-f", "0.70-f"));
  ASSERT_TRUE(snapshots_.prune(0, "p.0.0.70-f", "p.0.0.60-f"));
  EXPECT_THAT(left(), ElementsAre("0.60-f", "0.70-f"));
}

}  // namespace
}  // namespace weir
