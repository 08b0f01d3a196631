#include "core/plan/fingerprint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace weir {
namespace {

using Requests = std::vector<Part::Request>;

std::string of(const std::vector<Part>& parts, const Bounds& bounds = {.keys = 10, .forget = minute}) {
  return fingerprint(parts, bounds);
}

/// The changes, those that count with a `!`.
std::vector<std::string> said(std::string_view kept, std::string_view now) {
  std::vector<std::string> out;
  for (const Change& change : changes(kept, now)) out.push_back((change.counts ? "!" : "") + change.words);
  EXPECT_EQ(same_state(kept, now), std::ranges::none_of(out, [](const auto& words) { return words.starts_with('!'); }));
  return out;
}

using Said = std::vector<std::string>;

TEST(Fingerprint, SaysWhichPartsHaveChanged) {
  const std::string kept = of({{"in", "a"}, {"last", "b"}, {"rows", "c"}});
  EXPECT_EQ(said(kept, kept), Said{});
  EXPECT_EQ(said(kept, of({{"in", "a"}, {"rows", "d"}, {"more", "b"}})),
            (Said{R"(!"last" is gone)", R"(!"rows" was edited)", R"(!"more" is new)"}));
  EXPECT_EQ(said(kept, of({{"in", "a"}, {"last", "b"}, {"rows", "c", 2}})),
            Said{R"(!this build keeps the state of "rows" otherwise)"});
}

TEST(Fingerprint, WhatNoStateDependsOnMayChange) {
  const std::string kept = of({{"in", "a"}, {"cut", "b", 1, false}});
  EXPECT_EQ(said(kept, of({{"in", "a"}, {"cut", "c", 1, false}})), Said{R"("cut" was edited)"});
  EXPECT_NE(kept, of({{"in", "a"}, {"cut", "c", 1, false}})) << "but the rows are others";
  EXPECT_FALSE(same_rows(kept, of({{"in", "a"}, {"cut", "c", 1, false}})));
  EXPECT_TRUE(same_rows(kept, of({{"in", "a"}, {"cut", "b", 1, false}}, {.keys = 20, .forget = minute})));
  EXPECT_EQ(said(kept, of({{"in", "a"}, {"cut", "b", 1, true}})),
            Said{R"(!"cut" now leads to a node that keeps state)"});
}

TEST(Fingerprint, TellsWhatIsAskedOfANodeFromWhatItIs) {
  const auto asked = [](const Requests& requests) { return of({{"in", "a"}, {"rows", "b", 1, true, requests}}); };
  const std::string kept = asked({{"speed", "number", "db"}, {"a b/@%", "point", "db"}});
  EXPECT_EQ(said(kept, asked({{"speed", "number", "db"}, {"a b/@%", "point", "db"}, {"charge", "number", "db"}})),
            Said{R"(!db.columns now asks rows for "charge")"});
  EXPECT_EQ(said(kept, asked({{"speed", "number", "db"}})), Said{R"(!db.columns no longer asks rows for "a b/@%")"});
  EXPECT_EQ(said(kept, asked({{"speed", "text", "file"}, {"a b/@%", "point", "db"}})),
            Said{R"(!file.columns asks rows for "speed" as a text, not a number)"});
  EXPECT_EQ(said(kept, asked({{"speed", "number", "db"}, {"a b/@%", "point", "db"}, {"own", "number", ""}})),
            Said{R"(!rows now gives "own")"});
  const std::string renamed = asked({{"speed", "number", "sink"}, {"a b/@%", "point", "sink"}});
  EXPECT_EQ(said(kept, renamed), Said{}) << "who asks does not matter";
  EXPECT_EQ(without_requesters(kept), without_requesters(renamed));
  EXPECT_NE(without_requesters(kept), without_requesters(asked({{"speed", "number", "db"}})));
}

TEST(Fingerprint, MoreKeysMayComeIn) {
  const std::vector<Part> parts{{"in", "a"}};
  const std::string kept = of(parts);
  EXPECT_EQ(said(kept, of(parts, {.keys = 20, .forget = minute})), Said{"limits.keys was raised from 10 to 20"});
  EXPECT_EQ(said(kept, of(parts, {.keys = 9, .forget = minute})), Said{"!limits.keys was lowered from 10 to 9"});
  EXPECT_EQ(said(kept, of(parts, {.keys = 10, .forget = second})), Said{"!limits.forget was changed from 1m to 1s"});
}

TEST(Fingerprint, IsNotOfTheOrder) {
  EXPECT_EQ(said(of({{"a", "1"}, {"b", "2"}}), of({{"b", "2"}, {"a", "1"}})), Said{});
}

TEST(Fingerprint, OfAnotherBuildSaysNothing) {
  const std::string now = of({{"a", "1"}});
  for (const char* kept : {"0123456789abcdef", "0123456789abcdef a:01234567 limits:01234567", "one", ""}) {
    EXPECT_TRUE(changes(kept, now).empty()) << kept;
    EXPECT_FALSE(same_state(kept, now)) << kept;
  }
  EXPECT_TRUE(same_state("one", "one"));
}

}  // namespace
}  // namespace weir
