#include "clients/nats_current_slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "fakes/codecs.hpp"
#include "fakes/settings.hpp"

namespace weir {
Operator weir_operator_codecs_json();

namespace {

using nats::CurrentSlots;
using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Two vehicles with three fields each, the last of which is no name for a subject; id is 10 × vehicle + field.
class CurrentSlotsTest : public testing::Test {
 protected:
  static constexpr Timestamp now = 1000 * second;

  void offer(std::vector<nats::Current> values, std::uint64_t number, Timestamp when = now) {
    CurrentSlots::Values fresh;
    for (auto& value : values) fresh[value.id] = std::move(value);
    slots_.gather(std::move(fresh), number, when);
  }
  static nats::Current value(std::uint64_t id, Timestamp time, double x) { return {.id = id, .time = time, .x = x}; }
  static std::string stored(Timestamp time, double x) {
    return weir::format(R"({{"time":{},"value":{}}})", time, fakes::text_of(x));
  }
  /// What is to be written, as "subject revision payload".
  std::vector<std::string> writes() {
    std::vector<std::string> out;
    EXPECT_TRUE(slots_.each_waiting([&](const CurrentSlots::Write& write) {
      out.push_back(weir::format("{} {} {}", write.subject, write.revision, write.payload));
      return true;
    }));
    std::ranges::sort(out);
    return out;
  }

  std::vector<std::string> warnings_;
  std::unique_ptr<Codec> codec_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
  CurrentSlots::Config config_{
      .bucket = "b",
      .forget = 10 * second,
      .names = [](std::uint64_t id) -> std::pair<std::string_view, std::string_view> {
        static constexpr std::array<std::string_view, 3> fields = {"speed", "charge", "no field"};
        return {id / 10 == 1 ? "v1" : "v2", fields.at(id % 10)};
      },
      .codec = codec_.get(),
      .warn = [this](std::string_view text) { warnings_.emplace_back(text); },
  };
  CurrentSlots slots_{config_};
};

TEST_F(CurrentSlotsTest, WritesWhatIsNewUnderTheRevisionThatItKnows) {
  offer({value(10, 1, 5)}, 1);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(1, 5)));
  EXPECT_EQ(slots_.durable(), 0u);
  slots_.written("$KV.b.v1.speed", 7);
  EXPECT_EQ(slots_.durable(), 1u);
  EXPECT_THAT(writes(), IsEmpty());
  offer({value(10, 2, 6)}, 2);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 7 " + stored(2, 6)));
}

TEST_F(CurrentSlotsTest, IsDurableUpToTheOldestThatWaits) {
  offer({value(10, 1, 1)}, 1);
  offer({value(20, 1, 1)}, 2);
  offer({value(10, 2, 2)}, 3);  // overwrites the first, so that the first offer still waits
  slots_.written("$KV.b.v2.speed", 1);
  EXPECT_EQ(slots_.durable(), 0u);
  slots_.written("$KV.b.v1.speed", 2);
  EXPECT_EQ(slots_.durable(), 3u);
  const auto counts = slots_.take_counts();
  EXPECT_EQ(counts.written, 2u);
  EXPECT_EQ(counts.coalesced, 1u);
}

/// One gathering takes what many steps have offered; the first of them may be committed only with its value.
TEST_F(CurrentSlotsTest, IsDurableUpToTheFirstOfManyOffersThatCameAtOnce) {
  offer({value(10, 1, 1)}, 40);
  slots_.written("$KV.b.v1.speed", 1);
  EXPECT_EQ(slots_.durable(), 40u);
  offer({value(10, 2, 1), value(20, 2, 1)}, 50);
  slots_.written("$KV.b.v1.speed", 2);
  EXPECT_EQ(slots_.durable(), 40u);
  slots_.written("$KV.b.v2.speed", 3);
  EXPECT_EQ(slots_.durable(), 50u);
}

TEST_F(CurrentSlotsTest, KeepsTheNewerOfWhatWaitsAndOfTwoOfOneTimeTheLater) {
  offer({value(10, 5, 1)}, 1);
  offer({value(10, 4, 2)}, 2);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(5, 1)));
  offer({value(10, 5, 3)}, 3);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(5, 3)));
}

TEST_F(CurrentSlotsTest, BelievesTheBucketAfterAConflictThoughItsRevisionsBeginAnew) {
  offer({value(10, 1, 1)}, 1);
  slots_.written("$KV.b.v1.speed", 9);
  offer({value(10, 5, 1)}, 2);
  slots_.distrust("$KV.b.v1.speed");
  slots_.know("$KV.b.v1.speed", 2, stored(3, 2));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 2 " + stored(5, 1)));
}

TEST_F(CurrentSlotsTest, KeepsNoTextThatDoesNotWait) {
  const auto text = [](Timestamp time, std::size_t size) {
    return nats::Current{.id = 10, .time = time, .kind = Sample::Kind::text, .text = std::string(size, 'x')};
  };
  offer({text(1, 1)}, 1);
  slots_.written("$KV.b.v1.speed", 1);
  const std::size_t empty = slots_.bytes();
  offer({text(2, 4000)}, 2);
  EXPECT_EQ(slots_.bytes(), empty + 4000);
  offer({text(3, 1000)}, 3);
  EXPECT_EQ(slots_.bytes(), empty + 1000);
  slots_.refuse("$KV.b.v1.speed", "too large");
  EXPECT_EQ(slots_.bytes(), empty);
}

TEST_F(CurrentSlotsTest, LeavesANewerValueOfTheBucket) {
  offer({value(10, 5, 1)}, 1);
  slots_.distrust("$KV.b.v1.speed");
  slots_.know("$KV.b.v1.speed", 9, stored(6, 2));
  EXPECT_THAT(writes(), IsEmpty());
  EXPECT_EQ(slots_.durable(), 1u);
  EXPECT_EQ(slots_.take_counts().superseded, 1u);
  // An older word about the bucket comes late.
  slots_.know("$KV.b.v1.speed", 8, stored(1, 2));
  offer({value(10, 5, 1)}, 2);
  EXPECT_THAT(writes(), IsEmpty());
}

TEST_F(CurrentSlotsTest, LetsTheLaterOfTwoValuesOfOneTimeStay) {
  offer({value(10, 5, 1)}, 1);
  slots_.know("$KV.b.v1.speed", 9, stored(5, 2));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 9 " + stored(5, 1)));
  slots_.know("$KV.b.v1.speed", 10, stored(5, 1));
  EXPECT_THAT(writes(), IsEmpty()) << "what is there need not be written again";
  EXPECT_EQ(slots_.take_counts().superseded, 1u);
  EXPECT_EQ(slots_.durable(), 1u);
}

TEST_F(CurrentSlotsTest, WritesOverWhatIsNoValue) {
  offer({value(10, 5, 1)}, 1);
  slots_.know("$KV.b.v1.speed", 9, "");  // removed
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 9 " + stored(5, 1)));
}

TEST_F(CurrentSlotsTest, RefusesNamesThatAreNoSubjectAndWhatCantBeWritten) {
  offer({value(12, 1, 1)}, 1);
  EXPECT_EQ(slots_.durable(), 1u);
  EXPECT_EQ(slots_.take_counts().refused, 1u);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("\"v1.no field\" is not published: ")));
  offer({value(10, 1, std::numeric_limits<double>::infinity())}, 2);
  EXPECT_THAT(writes(), IsEmpty());
  EXPECT_EQ(slots_.durable(), 2u);
  EXPECT_EQ(slots_.take_counts().refused, 1u);
  EXPECT_THAT(warnings_, ElementsAre(_, HasSubstr("v1.speed is not published: ")));
  offer({value(12, 2, 1), value(10, 2, std::numeric_limits<double>::infinity())}, 3);
  EXPECT_THAT(writes(), IsEmpty());
  EXPECT_EQ(warnings_.size(), 2u) << "said once of each";
}

/// They would be in the stream, but other clients neither get nor watch them.
TEST_F(CurrentSlotsTest, RefusesNamesThatClientsOfBucketsRefuse) {
  std::string key;
  config_.names = [&](std::uint64_t) -> std::pair<std::string_view, std::string_view> { return {key, "speed"}; };
  std::uint64_t number = 0;
  for (const char* refused : {"", "v.1", "v:1", "v+1", "Stra\u00dfe", "v\"1", "$v", "*", "v 1"}) {
    key = refused;
    ++number;
    offer({value(number, 1, 1)}, number);
    EXPECT_THAT(writes(), IsEmpty()) << key;
    EXPECT_EQ(slots_.take_counts().refused, 1u) << key;
    EXPECT_EQ(warnings_.size(), number) << key;
  }
  key = "aZ09-_/=";
  ++number;
  offer({value(number, 1, 1)}, number);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.aZ09-_/=.speed 0 " + stored(1, 1)));
}

TEST_F(CurrentSlotsTest, DistrustsRevisionsOfABucketThatMayBeAnother) {
  offer({value(10, 5, 1)}, 1);
  slots_.written("$KV.b.v1.speed", 9);
  slots_.distrust();
  offer({value(10, 4, 2)}, 2);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(4, 2)));
}

TEST_F(CurrentSlotsTest, ForgetsWhatIsSilentButNothingThatWaits) {
  offer({value(10, 1, 1), value(11, 1, 1), value(12, 1, 1)}, 1);
  slots_.written("$KV.b.v1.speed", 1);
  slots_.prune(now);
  const std::size_t all = slots_.bytes();
  slots_.prune(now + 11 * second);
  EXPECT_GT(slots_.bytes(), 0u) << "v1.charge waits";
  EXPECT_LT(slots_.bytes(), all);
  EXPECT_EQ(slots_.waiting(), 1u);
  slots_.written("$KV.b.v1.charge", 2);
  slots_.prune(now + 30 * second);
  EXPECT_EQ(slots_.bytes(), 0u);
  EXPECT_EQ(slots_.durable(), 1u);
}

TEST_F(CurrentSlotsTest, TakesWordOfSubjectsThatItDoesNotKnow) {
  slots_.written("$KV.b.v9.speed", 1);
  slots_.refuse("$KV.b.v9.speed", "too large");
  slots_.distrust("$KV.b.v9.speed");
  slots_.know("$KV.b.v9.speed", 1, "1");
  EXPECT_EQ(slots_.take_counts().refused, 0u);
  EXPECT_EQ(slots_.bytes(), 0u);
}

/// A bucket as the server keeps it: a write is taken if the subject is at the revision it expects.
struct ModelBucket {
  struct Stored {
    std::uint64_t revision = 0;
    std::string payload;
  };
  std::map<std::string, Stored> subjects;
  std::uint64_t last = 0;

  std::uint64_t put(const CurrentSlots::Write& write) {
    Stored& now = subjects[write.subject];
    if (now.revision != write.revision) return 0;
    now = {++last, write.payload};
    return last;
  }
};

/// Whatever order workers write in, whatever they hear of each other and whenever they forget: what stays is a newest
/// value, and each value that is offered is counted once.
RC_GTEST_FIXTURE_PROP(CurrentSlotsTest, KeepsTheNewestWhoeverIsSlower, ()) {
  constexpr std::size_t workers = 3;
  std::vector<std::unique_ptr<CurrentSlots>> all;
  for (std::size_t i = 0; i < workers; ++i) all.push_back(std::make_unique<CurrentSlots>(config_));
  std::vector<std::uint64_t> offers(workers);
  ModelBucket bucket;
  std::map<std::uint64_t, Timestamp> newest;
  std::uint64_t offered = 0;
  Timestamp clock = now;
  const auto write = [&](CurrentSlots& slots) {
    struct Done {
      std::string subject;
      std::uint64_t revision;
    };
    std::vector<Done> done;
    slots.each_waiting([&](const CurrentSlots::Write& value) {
      done.push_back({value.subject, bucket.put(value)});
      return true;
    });
    for (const auto& [subject, revision] : done) {
      if (revision != 0) {
        slots.written(subject, revision);
      } else {
        slots.distrust(subject);
        slots.know(subject, bucket.subjects[subject].revision, bucket.subjects[subject].payload);
      }
    }
  };
  for (int step = *rc::gen::inRange(1, 60); step > 0; --step) {
    const auto i = *rc::gen::inRange<std::size_t>(0, workers);
    CurrentSlots& slots = *all[i];
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
      case 1: {
        const std::uint64_t id = *rc::gen::element(10, 11, 20);
        const Timestamp time = *rc::gen::inRange(1, 20);
        CurrentSlots::Values fresh;
        fresh[id] = value(id, time, *rc::gen::inRange(0, 3));
        slots.gather(std::move(fresh), ++offers[i], clock);
        newest[id] = std::max(newest[id], time);
        ++offered;
        break;
      }
      case 2:
        write(slots);
        break;
      case 3:
        for (const auto& [subject, stored] : bucket.subjects) slots.know(subject, stored.revision, stored.payload);
        break;
      default:
        slots.distrust();
        slots.prune(clock += 20 * second);
    }
  }
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < workers; ++i) {
    for (int round = 0; round < 3 && all[i]->waiting() > 0; ++round) write(*all[i]);
    RC_ASSERT(all[i]->waiting() == 0u);
    RC_ASSERT(all[i]->durable() == offers[i]);
    const auto counts = all[i]->take_counts();
    counted += counts.written + counts.superseded + counts.coalesced;
  }
  RC_ASSERT(counted == offered);
  for (const auto& [id, time] : newest) {
    const auto [key, field] = config_.names(id);
    const auto& stored = bucket.subjects[weir::format("$KV.b.{}.{}", key, field)];
    RC_ASSERT(stored.payload.starts_with(weir::format(R"({{"time":{},)", time)));
  }
}

}  // namespace
}  // namespace weir
