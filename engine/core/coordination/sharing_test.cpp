#include "core/coordination/sharing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Sharing, OneAloneTakesAll) {
  EXPECT_THAT(share({}, 4, {}).acquire, ElementsAre(0u, 1u, 2u, 3u));
  EXPECT_THAT(share({}, 4, {.runs = {1, 2}}).acquire, ElementsAre(0u, 3u));
}

TEST(Sharing, ANewOneTakesNothingThatIsTakenAndTheOldOneLetsItsShareGo) {
  const Members old{.workers = 2, .rank = 0, .taken = {}};
  const Members young{.workers = 2, .rank = 1, .taken = {0, 1, 2, 3}};
  EXPECT_THAT(share(young, 4, {}).acquire, IsEmpty());
  EXPECT_THAT(share(old, 4, {.runs = {0, 1, 2, 3}}).let_go, ElementsAre(2u, 3u));
  EXPECT_THAT(share(old, 4, {.runs = {0, 1}, .leaving = {2, 3}}).let_go, IsEmpty()) << "these are on their way";
  EXPECT_THAT(share(old, 4, {.runs = {0, 1}, .leaving = {2, 3}}).acquire, IsEmpty());
}

TEST(Sharing, WhatIsBrokenStaysAndCounts) {
  const Members members{.workers = 2, .rank = 0, .taken = {}};
  EXPECT_THAT(share({}, 4, {.runs = {0}, .broken = {1}}).acquire, ElementsAre(2u, 3u));
  EXPECT_THAT(share({}, 4, {.runs = {0}, .shunned = {1}}).acquire, ElementsAre(2u, 3u, 1u));
  EXPECT_THAT(share(members, 4, {.runs = {1, 2, 3}, .broken = {0}}).let_go, ElementsAre(2u, 3u))
      << "or the other would never have its share";
  EXPECT_THAT(share(members, 4, {.broken = {0, 1, 2}}).acquire, IsEmpty());
  EXPECT_THAT(share(members, 4, {.runs = {3}, .broken = {0, 1, 2}}).let_go, ElementsAre(3u));
}

TEST(Sharing, WorkersThatStartAtOnceWantDifferentOnes) {
  EXPECT_THAT(share({.workers = 2, .rank = 0, .taken = {}}, 5, {}).acquire, ElementsAre(0u, 1u, 2u));
  EXPECT_THAT(share({.workers = 2, .rank = 1, .taken = {}}, 5, {}).acquire, ElementsAre(3u, 4u));
}

TEST(Sharing, WhoIsMoreThanThereArePartitionsStandsBy) {
  EXPECT_THAT(share({.workers = 3, .rank = 2, .taken = {}}, 2, {}).acquire, IsEmpty());
  EXPECT_THAT(share({.workers = 3, .rank = 2, .taken = {}}, 2, {.runs = {1}}).let_go, ElementsAre(1u));
}

/// Workers come, go and die at random, see each other late, and come to rest with even shares.
TEST(Sharing, ComesToRestEvenly) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 dice{seed};
    const auto partitions = static_cast<std::uint32_t>(1 + dice() % 20);
    std::map<int, std::vector<Partition>> workers{{0, {}}};
    int next = 1;
    int moves = 0;
    const auto turn = [&](int name) {
      Members members{.workers = workers.size(), .rank = 0, .taken = {}};
      for (const auto& [other, theirs] : workers) {
        members.rank += other < name;
        if (other != name) members.taken.append_range(theirs);
      }
      auto& mine = workers[name];
      const Share todo = share(members, partitions, {.runs = mine});
      ASSERT_TRUE(todo.acquire.empty() || todo.let_go.empty());
      for (const Partition partition : todo.acquire) mine.push_back(partition);
      for (const Partition partition : todo.let_go) std::erase(mine, partition);
      moves += static_cast<int>(todo.acquire.size() + todo.let_go.size());
    };
    for (int i = 0; i < 40; ++i) {
      const auto what = dice() % 6;
      if (what == 0) workers[next++];
      if (what == 1 && workers.size() > 1) workers.erase(std::next(workers.begin(), dice() % workers.size()));
      turn(std::next(workers.begin(), dice() % workers.size())->first);
    }
    for (int i = 0; i < 2; ++i) {
      for (const auto& [name, theirs] : std::map{workers}) turn(name);
    }
    std::size_t all = 0;
    for (const auto& [name, theirs] : workers) {
      EXPECT_GE(theirs.size(), partitions / workers.size()) << seed;
      EXPECT_LE(theirs.size(), (partitions + workers.size() - 1) / workers.size()) << seed;
      all += theirs.size();
    }
    EXPECT_EQ(all, partitions) << seed;
    moves = 0;
    for (const auto& [name, theirs] : std::map{workers}) turn(name);
    EXPECT_EQ(moves, 0) << "nothing moves once it is even; seed " << seed;
  }
}

}  // namespace
}  // namespace weir
