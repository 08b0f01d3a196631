#include "sinks/jetstream-kv/newest_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>
#include <limits>
#include <map>
#include <memory>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "fakes/codecs.hpp"
#include "fakes/context.hpp"
#include "fakes/settings.hpp"

namespace weir {
Operator weir_operator_codecs_json();

namespace {

using jetstream_kv::NewestValues;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

/// Samples arrive at second 10.
class NewestValuesTest : public testing::Test {
 protected:
  static constexpr Timestamp now = 1000 * second;

  static std::string stored(Timestamp time, double x) {
    return weir::format(R"({{"time":{},"value":{}}})", time, fakes::text_of(x));
  }
  void take(NewestValues& values, fakes::SampleBatch& batch, Timestamp when = now) {
    Encoded& rows = given_.emplace_back();
    rows.batch = batch.take();
    rows.rows = rows.batch->rows;
    values.take(rows, when);
  }
  void take(std::string_view key, Timestamp time, double x, Timestamp when = now) {
    fakes::SampleBatch batch{context_};
    take(values_, batch.number(key, "speed", time, x, 10 * second), when);
  }
  /// What is to be written, as "subject revision payload".
  static std::vector<std::string> writes(NewestValues& values) {
    std::vector<std::string> out;
    EXPECT_TRUE(values.each_waiting([&](const NewestValues::Write& write) {
      out.push_back(weir::format("{} {} {}", write.subject, write.revision, write.payload));
      return true;
    }));
    std::ranges::sort(out);
    return out;
  }
  std::vector<std::string> writes() { return writes(values_); }
  /// Rows that were rejected since, and why.
  std::vector<std::string> rejected() {
    std::vector<std::string> out;
    for (const auto& one : values_.take_rejected()) out.push_back(weir::format("{} {}", one.row, one.reason.text()));
    return out;
  }

  fakes::FakeContext context_;
  std::deque<Encoded> given_;
  std::unique_ptr<Codec> codec_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
  const NewestValues::Config config_{.bucket = "b", .forget = 10 * second, .codec = codec_.get()};
  NewestValues values_{config_};
};

TEST_F(NewestValuesTest, writes_what_is_new_under_the_revision_that_it_knows) {
  take("v1", 1, 5);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(1, 5)));
  EXPECT_EQ(values_.waiting(), 1u);
  values_.written("$KV.b.v1.speed", 7);
  EXPECT_EQ(values_.waiting(), 0u);
  EXPECT_THAT(writes(), IsEmpty());
  take("v1", 2, 6);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 7 " + stored(2, 6)));
}

TEST_F(NewestValuesTest, keeps_the_newest_row_and_of_one_time_the_last) {
  take("v1", 5, 1);
  take("v1", 4, 2);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(5, 1)));
  take("v1", 5, 3);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(5, 3)));
  EXPECT_EQ(values_.take_counts().coalesced, 2u);
}

TEST_F(NewestValuesTest, writes_points_and_texts) {
  fakes::SampleBatch batch{context_};
  batch.add({"v1", "position", 1, 48, 11, 500, "", Sample::Kind::point}, 2);
  batch.add({"v1", "state", 1, 0, 0, 0, "on", Sample::Kind::text}, 2);
  take(values_, batch);
  EXPECT_THAT(writes(), ElementsAre(StartsWith("$KV.b.v1.position 0 {\"time\":1,"),
                                    R"($KV.b.v1.state 0 {"time":1,"value":"on"})"));
}

TEST_F(NewestValuesTest, believes_the_bucket_after_a_conflict_though_its_revisions_begin_anew) {
  take("v1", 1, 1);
  values_.written("$KV.b.v1.speed", 9);
  take("v1", 5, 1);
  values_.distrust("$KV.b.v1.speed");
  values_.know("$KV.b.v1.speed", 2, stored(3, 2));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 2 " + stored(5, 1)));
}

TEST_F(NewestValuesTest, leaves_a_newer_value_of_the_bucket) {
  take("v1", 5, 1);
  values_.know("$KV.b.v1.speed", 9, stored(6, 2));
  EXPECT_THAT(writes(), IsEmpty());
  EXPECT_EQ(values_.waiting(), 0u);
  EXPECT_EQ(values_.take_counts().superseded, 1u);
  // An older word about the bucket comes late.
  values_.know("$KV.b.v1.speed", 8, stored(1, 2));
  take("v1", 5, 1);
  EXPECT_THAT(writes(), IsEmpty());
}

TEST_F(NewestValuesTest, lets_the_later_of_two_values_of_one_time_stay) {
  take("v1", 5, 1);
  values_.know("$KV.b.v1.speed", 9, stored(5, 2));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 9 " + stored(5, 1)));
  values_.know("$KV.b.v1.speed", 10, stored(5, 1));
  EXPECT_THAT(writes(), IsEmpty()) << "what is there need not be written again";
  EXPECT_EQ(values_.take_counts().superseded, 1u);
}

TEST_F(NewestValuesTest, writes_over_what_is_no_value) {
  take("v1", 5, 1);
  values_.know("$KV.b.v1.speed", 9, "");  // removed
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 9 " + stored(5, 1)));
}

TEST_F(NewestValuesTest, rejects_what_cannot_be_written) {
  fakes::SampleBatch batch{context_};
  batch.number("v1", "no field", 1, 1, 2).number("v1", "speed", 1, std::numeric_limits<double>::infinity(), 2);
  batch.number("v2", "speed", 1, 1, 2).number(std::string(4000, 'k'), "speed", 1, 1, 2);
  take(values_, batch);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v2.speed 0 " + stored(1, 1)));
  EXPECT_THAT(rejected(), ElementsAre(StartsWith("0 not_a_bucket_key: \"v1.no field\";"),
                                      StartsWith("1 not_encodable: JSON has no NaN and no infinity"),
                                      StartsWith("3 key_too_long: key and field have 4005 bytes")));
  values_.reject("$KV.b.v2.speed", "too_large");
  EXPECT_THAT(rejected(), ElementsAre("2 too_large"));
  EXPECT_EQ(values_.waiting(), 0u);
}

/// They would be in the stream, but other clients neither get nor watch them.
TEST_F(NewestValuesTest, leaves_a_value_that_can_be_written_in_the_place_of_one_that_can_not) {
  take("v1", 1, 5);
  take("v1", 2, std::numeric_limits<double>::infinity());
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(1, 5)));
  EXPECT_THAT(rejected(), ElementsAre("0 not_encodable: JSON has no NaN and no infinity"));
}

TEST_F(NewestValuesTest, rejects_names_that_clients_of_buckets_refuse) {
  for (const char* refused : {"", "v.1", "v:1", "v+1", "Stra\u00dfe", "v\"1", "$v", "*", "v 1"}) {
    take(refused, 1, 1);
    EXPECT_THAT(writes(), IsEmpty()) << refused;
    EXPECT_EQ(rejected().size(), 1u) << refused;
  }
  take("aZ09-_/=", 1, 1);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.aZ09-_/=.speed 0 " + stored(1, 1)));
}

/// Written, it would be newer than all that is true for years.
TEST_F(NewestValuesTest, rejects_a_sample_from_the_future) {
  take("v1", 15 * second, 1);
  take("v1", 15 * second + 1, 2);
  EXPECT_THAT(rejected(), ElementsAre("0 ahead_of_arrival: by more than max_ahead, 5s"));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(15 * second, 1)));
}

TEST_F(NewestValuesTest, forgets_what_waits_and_what_the_bucket_has_after_a_failure) {
  take("v1", 5, 1);
  values_.written("$KV.b.v1.speed", 9);
  take("v1", 6, 1);
  take("v1", 7, 1);
  take("v.1", 7, 1);
  values_.forget_all();
  given_.clear();
  EXPECT_EQ(values_.waiting(), 0u);
  EXPECT_THAT(rejected(), IsEmpty());
  EXPECT_EQ(values_.take_counts().coalesced, 0u) << "it is given again, and counted then";
  take("v1", 4, 2);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(4, 2))) << "the bucket may be another one";
}

/// A lane that starts again numbers its keys again, and lanes have numbers of their own.
TEST_F(NewestValuesTest, tells_keys_by_their_names) {
  take("v1", 1, 1);
  take("v2", 1, 2);
  fakes::FakeContext other;
  fakes::SampleBatch batch{other};
  take(values_, batch.number("v2", "speed", 2, 3, 9).number("v3", "speed", 2, 4, 9));
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(1, 1), "$KV.b.v2.speed 0 " + stored(2, 3),
                                    "$KV.b.v3.speed 0 " + stored(2, 4)));
}

TEST_F(NewestValuesTest, lets_go_of_what_is_silent_but_of_nothing_that_waits) {
  take("v1", 1, 1);
  take("v2", 1, 1);
  values_.written("$KV.b.v1.speed", 1);
  values_.prune(now);
  EXPECT_EQ(values_.size(), 2u);
  values_.prune(now + 11 * second);
  EXPECT_EQ(values_.size(), 1u) << "v2 waits";
  values_.written("$KV.b.v2.speed", 2);
  values_.prune(now + 30 * second);
  EXPECT_EQ(values_.size(), 0u);
  take("v1", 1, 1);
  EXPECT_THAT(writes(), ElementsAre("$KV.b.v1.speed 0 " + stored(1, 1)));
}

TEST_F(NewestValuesTest, takes_word_of_subjects_that_it_does_not_know) {
  values_.written("$KV.b.v9.speed", 1);
  values_.reject("$KV.b.v9.speed", "too_large");
  values_.distrust("$KV.b.v9.speed");
  values_.know("$KV.b.v9.speed", 1, "1");
  EXPECT_THAT(rejected(), IsEmpty());
  EXPECT_EQ(values_.size(), 0u);
}

/// A bucket as the server keeps it: a write is taken if the subject is at the revision it expects.
struct BucketModel {
  struct Stored {
    std::uint64_t revision = 0;
    std::string payload;
  };
  std::map<std::string, Stored> subjects;
  std::uint64_t last = 0;

  std::uint64_t put(const NewestValues::Write& write) {
    Stored& is = subjects[write.subject];
    if (is.revision != write.revision) return 0;
    is = {++last, write.payload};
    return last;
  }
};

/// One round of a writer: what is in conflict learns what is there.
void write_round(NewestValues& values, BucketModel& bucket) {
  std::vector<std::pair<std::string, std::uint64_t>> done;
  values.each_waiting([&](const NewestValues::Write& value) {
    done.emplace_back(value.subject, bucket.put(value));
    return true;
  });
  for (const auto& [subject, revision] : done) {
    if (revision != 0) {
      values.written(subject, revision);
    } else {
      values.distrust(subject);
      values.know(subject, bucket.subjects[subject].revision, bucket.subjects[subject].payload);
    }
  }
}

/// Whatever order workers write in, whatever they hear of each other, whenever they forget and whenever one fails and
/// is given its rows again: what stays is a newest value, and each row is counted once.
RC_GTEST_FIXTURE_PROP(NewestValuesTest, keeps_the_newest_whoever_is_slower, ()) {
  struct Worker {
    std::unique_ptr<NewestValues> values;
    std::vector<std::pair<std::string, Sample>> uncommitted;
  };
  std::vector<Worker> all(3);
  for (Worker& worker : all) worker.values = std::make_unique<NewestValues>(config_);
  BucketModel bucket;
  std::map<std::string, Timestamp> newest;
  std::uint64_t given = 0, counted = 0;
  Timestamp clock = now;
  const auto give = [&](Worker& worker, const std::string& key, const Sample& sample) {
    fakes::SampleBatch batch{context_};
    batch.add({.key = key, .field = "speed", .time = sample.time, .x = sample.x}, 10 * second);
    take(*worker.values, batch, clock);
  };
  const auto commit = [&](Worker& worker) {
    for (int round = 0; round < 3 && worker.values->waiting() > 0; ++round) write_round(*worker.values, bucket);
    RC_ASSERT(worker.values->waiting() == 0u);
    worker.uncommitted.clear();
    const auto counts = worker.values->take_counts();
    counted += counts.written + counts.superseded + counts.coalesced;
  };
  for (int step = *rc::gen::inRange(1, 60); step > 0; --step) {
    Worker& worker = all[*rc::gen::inRange<std::size_t>(0, all.size())];
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
      case 1: {
        const std::string key = *rc::gen::element<std::string>("v1", "v2", "v3");
        const Sample sample{.time = *rc::gen::inRange(1, 20), .x = static_cast<double>(*rc::gen::inRange(0, 3))};
        give(worker, key, sample);
        worker.uncommitted.emplace_back(key, sample);
        newest[key] = std::max(newest[key], *sample.time);
        ++given;
        break;
      }
      case 2:
        commit(worker);
        break;
      case 3:
        for (const auto& [subject, is] : bucket.subjects) worker.values->know(subject, is.revision, is.payload);
        break;
      case 4:
        // Some of it is in the bucket, and the answer is lost.
        worker.values->each_waiting([&](const NewestValues::Write& value) {
          bucket.put(value);
          return *rc::gen::arbitrary<bool>();
        });
        worker.values->forget_all();
        for (const auto& [key, sample] : worker.uncommitted) give(worker, key, sample);
        break;
      default:
        commit(worker);
        worker.values->prune(clock += 20 * second);
    }
  }
  for (Worker& worker : all) commit(worker);
  RC_ASSERT(counted == given);
  for (const auto& [key, time] : newest) {
    const auto& is = bucket.subjects[weir::format("$KV.b.{}.speed", key)];
    RC_ASSERT(is.payload.starts_with(weir::format(R"({{"time":{},)", time)));
  }
}

}  // namespace
}  // namespace weir
