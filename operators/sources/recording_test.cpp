/// What the source says of recordings that are not whole.
#include <gtest/gtest.h>

#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>

#include "fakes/counting_context.hpp"
#include "fakes/recording_fixture.hpp"
#include "fakes/settings.hpp"

namespace weir {
Operator weir_operator_sources_recording();
Operator weir_operator_sinks_recording();

namespace {

using fakes::said;
using fakes::Said;

class RecordingSource : public fakes::RecordingFixture {
 protected:
  /// A commit of one block for each second.
  void record_seconds(Position count) {
    for (Position i = 1; i <= count; ++i) record({said(i, static_cast<Timestamp>(i) * second, "1", "abc")});
  }
  /// The head of the block that has this message is not what was written.
  void damage(Position message) {
    const auto file = recording::Reader::open(path_);
    ASSERT_TRUE(file.has_value());
    std::string all = bytes();
    for (const recording::Block& block : file->blocks()) {
      if (block.first == message) all[block.at + 30] ^= 1;
    }
    ASSERT_NE(all, bytes());
    write(all);
  }

  /// Everything that is given out behind `after`; an error ends it.
  std::vector<Position> given(Position after = 0, Timestamp since = no_time) {
    std::map<std::string, Setting> values{{"path", path_}, {"speed", std::string{"max"}}};
    if (since != no_time) values["since"] = format_rfc3339(since);
    const Operator op = weir_operator_sources_recording();
    const auto source = op.make_source(fakes::settings_of(op, values), context_);
    std::vector<Position> out;
    auto opened = source->open(after);
    EXPECT_TRUE(opened.has_value());
    while (true) {
      const auto pulled = source->pull({}, {});
      if (!pulled) {
        error_ = pulled.error();
        return out;
      }
      if (pulled->state == Pulled::State::end) return out;
      for (const Message& message : pulled->messages->items) out.push_back(message.sequence);
    }
  }

  fakes::CountingContext context_{"signals"};
  Error error_;
};

TEST_F(RecordingSource, WhatIsDamagedEndsItWhereverItBegins) {
  record_seconds(5);
  damage(3);
  const auto expect_lost = [&](const std::vector<Position>& got, const std::vector<Position>& wanted) {
    EXPECT_EQ(got, wanted);
    EXPECT_TRUE(error_.message.ends_with("are damaged, and the messages there are lost")) << error_.message;
    EXPECT_EQ(error_.kind, Error::Kind::refused) << "a stream that is another one may be begun again";
    error_ = {};
  };
  expect_lost(given(), {1, 2});
  expect_lost(given(1), {2});
  expect_lost(given(2), {});
  expect_lost(given(0, 2 * second), {2});
  expect_lost(given(0, 3 * second), {});
  expect_lost(given(0, 4 * second - 1), {});
  EXPECT_EQ(given(4), std::vector<Position>{5}) << "what is damaged before does not matter";
  EXPECT_EQ(given(0, 5 * second), std::vector<Position>{5});
  EXPECT_EQ(error_.message, "");
}

TEST_F(RecordingSource, WhatOthersHadIsTold) {
  recording::Writer out = writer();
  ASSERT_TRUE(out.add(*decoded({said(1, second, "1", "a"), said(2, second, "1", "b")})));
  ASSERT_TRUE(out.add(*decoded({said(7, 2 * second, "1", "c")}, 0, 6), {.going_on = true}));
  const LaneCommit done = lane(7, 2 * second);
  ASSERT_TRUE(out.commit({&done, 1}));
  EXPECT_EQ(given(), (std::vector<Position>{1, 2, 7}));
  EXPECT_EQ(context_.warnings(), std::vector<std::string>{path_ + ": 4 messages between those of partition 0 are not "
                                                                  "in it; weir info tells which"});
}

/// A disk that is full once makes another writer of the sink's, and the lanes go on.
TEST_F(RecordingSource, APartitionThatCameBackAfterADiskWasFullIsGoneOnWith) {
  const Operator op = weir_operator_sinks_recording();
  const auto sink = op.make_sink(fakes::settings_of(op, {{"path", path_}, {"mask", false}, {"share", 1.0}}), context_);
  const auto write = [&](Position message, Position behind) {
    const BatchPtr batch = decoded({said(message, static_cast<Timestamp>(message) * second, "1", "a")}, 0, behind);
    Encoded rows;
    rows.last = message;
    rows.rows = batch->rows;
    rows.batch = batch;
    return sink->write(rows);
  };
  ASSERT_TRUE(sink->open());
  ASSERT_TRUE(write(1, 0));
  const LaneCommit first = lane(1, second);
  ASSERT_TRUE(sink->commit({&first, 1}));
  ASSERT_TRUE(sink->open()) << "again, as after an error";
  EXPECT_TRUE(write(9, 8)) << "others had 2 to 8";
  ASSERT_EQ(context_.warnings().size(), 1u);
  EXPECT_TRUE(
      context_.warnings().front().ends_with("messages 2 to 8 of partition 0 are not in it: another worker had them"))
      << context_.warnings().front();
}

}  // namespace
}  // namespace weir
