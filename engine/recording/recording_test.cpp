#include "recording/recording.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>

#include <weir/checksum.hpp>

#include "fakes/recording_fixture.hpp"
#include "recording/flat.hpp"
#include "recording/frame.hpp"

namespace weir::recording {
namespace {

using fakes::said;
using fakes::Said;

class RecordingTest : public fakes::RecordingFixture {};

TEST_F(RecordingTest, GivesBackWhatItWasGiven) {
  const std::vector<Said> given{
      said(3, 100, "145", "abc"),
      {.sequence = 4, .arrival = 100, .subject = "p.clock", .marker = true},
      {.sequence = 7, .arrival = 120, .subject = "bucket", .payload = "x", .key = "outside", .field = "charge"},
      {.sequence = 8, .arrival = 130, .subject = "vehicle", .payload = "y", .refused = "too few tokens"},
      {.sequence = 9,
       .arrival = 140,
       .subject = "vehicle.1.speed",
       .payload = std::string("\0\xff", 2),
       .key = "1",
       .field = "speed",
       .headers = {{"Nats-Msg-Id", "7"}, {"Empty", ""}}},
      said(10, 150, "146", "")};
  record(given);
  EXPECT_EQ(all(), given);
}

TEST_F(RecordingTest, IsNotForEverybodyToRead) {
  record({said(3, 100, "145", "abc")});
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path_).permissions() & perms::others_all, perms::none);
}

TEST_F(RecordingTest, TellsInTheHeadWhatABlockHolds) {
  record({said(3, 100, "145", "abc"), said(5, 90, "7", "d"), {.sequence = 6, .arrival = 300, .marker = true}});
  const auto file = Reader::open(path_);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->beginning().pipeline, "fleet");
  EXPECT_EQ(file->beginning().node, "tape");
  EXPECT_EQ(file->beginning().made_at, 1000);
  ASSERT_EQ(file->blocks().size(), 1u);
  const Block& block = file->blocks()[0];
  EXPECT_EQ(block.first, 3u);
  EXPECT_EQ(block.last, 6u);
  EXPECT_EQ(block.messages, 3u);
  EXPECT_EQ(block.markers, 1u);
  EXPECT_EQ(block.payload_bytes, 4u);
  EXPECT_EQ(block.samples, 4u);
  EXPECT_EQ(block.earliest, 89);
  EXPECT_EQ(block.latest, 99);
  EXPECT_EQ(block.begins, 100);
  EXPECT_EQ(file->begins(), 100);
  EXPECT_EQ(block.before, no_time);
  EXPECT_EQ(block.reached, 300);
  EXPECT_EQ(block.fields, (std::vector<std::pair<std::string, std::uint64_t>>{{"speed", 4}}));
  std::vector<std::uint32_t> keys{hash_of("145"), hash_of("7")};
  std::ranges::sort(keys);
  EXPECT_EQ(file->keys(block), keys);
  EXPECT_EQ(file->reached().at(0).position, 6u);
  EXPECT_EQ(file->reached().at(0).stream, (StreamIdentity{"S", 5}));
}

TEST_F(RecordingTest, KeepsTheArrivalThatWasDecidedOn) {
  record({said(1, 100, "1", "a"), said(2, 90, "1", "b"), said(3, 110, "1", "c")});
  std::vector<Timestamp> arrivals;
  for (const Said& one : all()) arrivals.push_back(one.arrival);
  EXPECT_EQ(arrivals, (std::vector<Timestamp>{100, 100, 110}));
}

TEST_F(RecordingTest, KeepsOnlyWhatIsFlagged) {
  {
    Writer out = writer();
    const std::vector<std::uint8_t> keep{0, 1, 0, 1};
    ASSERT_TRUE(out.add(
        *decoded({said(1, 100, "1", "a"), said(2, 90, "2", "b"), said(3, 110, "1", "c"), said(4, 105, "2", "d")}),
        {.keep = keep}));
    const LaneCommit done = lane(4, 110);
    ASSERT_TRUE(out.commit({&done, 1}));
  }
  EXPECT_EQ(all(), (std::vector<Said>{said(2, 100, "2", "b"), said(4, 110, "2", "d")}))
      << "what was left out had moved time on";
}

TEST_F(RecordingTest, GoesOnBehindWhatIsCommitted) {
  record({said(1, 100, "1", "a"), said(2, 110, "1", "b")});
  {
    Writer out = writer();
    EXPECT_EQ(out.reached().at(0).position, 2u);
    ASSERT_TRUE(out.add(*decoded({said(3, 120, "1", "c")})));  // and never committed
  }
  record({said(2, 110, "1", "b"), said(3, 120, "1", "C"), said(4, 130, "1", "d")});
  EXPECT_EQ(all(), (std::vector<Said>{said(1, 100, "1", "a"), said(2, 110, "1", "b"), said(3, 120, "1", "C"),
                                      said(4, 130, "1", "d")}));
}

TEST_F(RecordingTest, HoldsPartitionsApart) {
  {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded({said(5, 100, "1", "a")}, 1)));
    ASSERT_TRUE(out.add(*decoded({said(2, 100, "2", "b")}, 0)));
    const std::array<LaneCommit, 2> done{lane(2, 100, 0), lane(5, 100, 1)};
    ASSERT_TRUE(out.commit(done));
  }
  const auto file = Reader::open(path_);
  ASSERT_EQ(file->blocks().size(), 2u);
  EXPECT_EQ(file->blocks()[0].partition, 0u);
  EXPECT_EQ(file->blocks()[1].partition, 1u);
  EXPECT_EQ(file->reached().size(), 2u);
}

TEST_F(RecordingTest, CutsLargeAmountsIntoBlocks) {
  std::vector<Said> given;
  for (Position i = 1; i <= 300; ++i)
    given.push_back(said(i, static_cast<Timestamp>(i), "1", std::string(10'000, 'x')));
  record(given);
  const auto file = Reader::open(path_);
  EXPECT_GE(file->blocks().size(), 2u);
  EXPECT_EQ(all(), given);
  EXPECT_LT(bytes().size(), 100'000u) << "nothing is packed";
}

TEST_F(RecordingTest, OneProcessWritesIt) {
  const Writer first = writer();
  const auto second = Writer::open(path_, {1000, "fleet", "tape"});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind, Error::Kind::held);
}

TEST_F(RecordingTest, IsOfOneSinkAndOneStream) {
  record({said(1, 100, "1", "a")});
  const auto other = Writer::open(path_, {1000, "fleet", "another"});
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("is a recording of fleet/tape"), std::string::npos) << other.error().message;
  const std::string before = bytes();
  {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded({said(2, 110, "1", "b")})));
    LaneCommit later = lane(2, 110);
    later.next.stream.created = 6;
    const auto done = out.commit({&later, 1});
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().kind, Error::Kind::changed);
  }
  EXPECT_TRUE(bytes() == before) << "another stream's messages stand there";
}

TEST_F(RecordingTest, GoesOnFromWhereAnInstantEndedIt) {
  const std::vector<Said> given{said(1, 100, "1", "a"), said(2, 200, "1", "b"), said(3, 300, "1", "c"),
                                said(4, 290, "1", "d")};
  for (const Timestamp until : {200, 300, 1000}) {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded(given), {.until = until}));
    const LaneCommit done = lane(4, 300);
    ASSERT_TRUE(out.commit({&done, 1}));
    EXPECT_EQ(out.reached().at(0).arrival, until == 1000 ? 300 : until - 100) << "time beyond the end has been told";
  }
  std::vector<Said> expected = given;
  expected.back().arrival = 300;
  EXPECT_EQ(all(), expected);
}

TEST_F(RecordingTest, IsNotGoneOnWithBehindWhatIsMissing) {
  const std::vector<Said> given{said(1, 100, "1", "a"), said(2, 200, "1", "b"), said(3, 300, "1", "c"),
                                said(7, 400, "1", "d")};
  const auto run = [&](Position behind, Selection selection, std::string& notice) {
    Writer out = writer();
    // That a lane was claimed is committed before anything of it comes.
    LaneCommit at = lane(behind, static_cast<Timestamp>(100 * behind));
    auto done = out.commit({&at, 1});
    if (done) {
      done = out.add(*decoded({given.begin() + static_cast<std::ptrdiff_t>(behind), given.end()}, 0, behind), selection)
                 .transform([](std::size_t) {});
    }
    at = lane(7, 400);
    if (done) done = out.commit({&at, 1});
    notice = out.take_notice();
    return done;
  };
  std::string notice;
  ASSERT_TRUE(run(0, {.until = 200}, notice));
  const std::string before = bytes();
  // What follows was committed elsewhere.
  ASSERT_TRUE(run(3, {.until = 200}, notice)) << "all that is wanted is there";
  EXPECT_TRUE(bytes() == before) << "what was not taken is told to be there";
  const auto missing = run(3, {.until = 1000}, notice);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().kind, Error::Kind::changed);
  EXPECT_TRUE(missing.error().message.starts_with(path_ + ": messages 2 to 3 of partition 0 are not in it"))
      << missing.error().message;
  EXPECT_TRUE(missing.error().message.ends_with("record to another file"));
  EXPECT_EQ(run(3, {.until = 1000}, notice).error().message, missing.error().message) << "a second time it is accepted";
  EXPECT_TRUE(bytes() == before);
  ASSERT_TRUE(run(1, {.until = 1000}, notice)) << "what the stream has no more is not missing";
  EXPECT_EQ(notice, "");
  EXPECT_EQ(all(), given);
}

TEST_F(RecordingTest, BeginsAnywhere) {
  // Where it has come to an end before anything was wanted, it goes on from there.
  for (const Timestamp until : {400, 1000}) {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded({said(42, 500, "1", "a")}, 0, 41), {.until = until}));
    const LaneCommit done = lane(42, 500);
    ASSERT_TRUE(out.commit({&done, 1}));
  }
  EXPECT_EQ(all(), std::vector<Said>{said(42, 500, "1", "a")});
  fakes::TemporaryDirectory other;
  path_ = other.file("day.weir");
  {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded({said(42, 500, "1", "a")}, 0, 41), {.until = 400}));
    const LaneCommit done = lane(42, 500);
    ASSERT_TRUE(out.commit({&done, 1}));
  }
  EXPECT_FALSE(writer().add(*decoded({said(43, 600, "1", "b")}, 0, 42))) << "message 42 is missing";
}

TEST_F(RecordingTest, TellsWhatAnotherWorkerHad) {
  Writer out = writer();
  ASSERT_TRUE(out.add(*decoded({said(1, 100, "1", "a")})));
  ASSERT_TRUE(out.add(*decoded({said(5, 500, "1", "b")}, 0, 4), {.going_on = true}));
  EXPECT_EQ(out.take_notice(), path_ + ": messages 2 to 4 of partition 0 are not in it: another worker had them");
  EXPECT_EQ(out.take_notice(), "") << "told twice";
  const LaneCommit done = lane(5, 500);
  ASSERT_TRUE(out.commit({&done, 1}));
  EXPECT_EQ(out.reached().at(0).position, 5u);
  EXPECT_EQ(all(), (std::vector<Said>{said(1, 100, "1", "a"), said(5, 500, "1", "b")}));
}

TEST_F(RecordingTest, PartsMayBeRecordedWithTimeBetween) {
  record({said(1, 100, "1", "a")});
  Writer out = writer();
  EXPECT_TRUE(out.add(*decoded({said(5, 500, "1", "b")}, 0, 4), {.since = 450}));
  EXPECT_EQ(out.take_notice(),
            path_ + ": messages 2 to 4 of partition 0 are not in it: what arrived before \"since\" is not wanted");
}

TEST_F(RecordingTest, WhatItBeginsBehindIsNotAddedInFront) {
  const std::vector<Said> given{said(1, 100, "1", "a"), said(2, 200, "1", "b"), said(3, 300, "1", "c")};
  {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded(given), {.since = 300}));
    const LaneCommit done = lane(3, 300);
    ASSERT_TRUE(out.commit({&done, 1}));
  }
  EXPECT_TRUE(writer().add(*decoded(given), {.since = 300})) << "it has all that is wanted";
  for (const Timestamp since : {Timestamp{200}, no_time}) {
    const auto wanted = writer().add(*decoded(given), {.since = since});
    ASSERT_FALSE(wanted.has_value()) << "as if it had all that is wanted";
    EXPECT_EQ(wanted.error().kind, Error::Kind::changed);
    EXPECT_TRUE(wanted.error().message.contains(since == 200 ? "message 2 of" : "message 1 of"))
        << wanted.error().message;
    EXPECT_TRUE(wanted.error().message.ends_with("record to another file"));
  }
}

TEST_F(RecordingTest, WhatCameToItsEndStaysThere) {
  Writer out = writer();
  ASSERT_TRUE(out.add(*decoded({said(1, 100, "1", "a"), said(2, 300, "1", "b")}), {.until = 200}));
  // It has no time of its own, and its stream's clock was set back.
  EXPECT_EQ(out.add(*decoded({{.sequence = 3, .arrival = 150, .marker = true}}, 0, 2), {.until = 200}), 0u);
  const LaneCommit done = lane(3, 300);
  ASSERT_TRUE(out.commit({&done, 1}));
  EXPECT_EQ(all(), std::vector<Said>{said(1, 100, "1", "a")});
}

TEST_F(RecordingTest, KeysOfAChangedBlockAreNotNone) {
  record({said(1, 100, "1", "a")});
  const auto file = Reader::open(path_);
  ASSERT_TRUE(file.has_value());
  const Block block = file->blocks().at(0);
  EXPECT_EQ(file->keys(block).value().size(), 1u);
  std::string changed = bytes();
  changed[block.at + FrameLabel::size] ^= 1;
  write(changed);
  const auto keys = file->keys(block);
  ASSERT_FALSE(keys.has_value());
  EXPECT_EQ(keys.error().kind, Error::Kind::changed);
  EXPECT_NE(keys.error().message.find("(partition 0, messages 1 to 1) is damaged"), std::string::npos);
}

TEST_F(RecordingTest, LeavesOutWhatArrivedBefore) {
  {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded({said(1, 100, "1", "a"), said(2, 200, "1", "b")}), {.since = 150}));
    const LaneCommit done = lane(2, 200);
    ASSERT_TRUE(out.commit({&done, 1}));
  }
  EXPECT_EQ(all(), std::vector<Said>{said(2, 200, "1", "b")});
}

TEST_F(RecordingTest, WhatFindsNoRoomIsCutOffAgain) {
  record({said(1, 100, "1", "a")});
  const std::string before = bytes();
  std::string noise;
  for (std::uint32_t i = 0, state = 1; i < 100'000; ++i)
    noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{50'000, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Result<void> done;
  {
    Writer out = writer();
    EXPECT_TRUE(out.add(*decoded({said(2, 200, "1", noise)})));
    const LaneCommit lanes = lane(2, 200);
    done = out.commit({&lanes, 1});
  }
  ::setrlimit(RLIMIT_FSIZE, &usual);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::refused);
  EXPECT_NE(done.error().message.find("File too large"), std::string::npos) << done.error().message;
  EXPECT_TRUE(bytes() == before) << "half a block stands there";
  record({said(2, 200, "1", noise)});
  EXPECT_EQ(all().size(), 2u);
}

TEST_F(RecordingTest, WritesNothingWhereNothingHasCome) {
  record({said(1, 100, "1", "a")});
  const std::string before = bytes();
  Writer out = writer();
  const LaneCommit same = lane(1, 100);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(out.commit({&same, 1}));
  EXPECT_TRUE(bytes() == before);
}

TEST_F(RecordingTest, WhatACrashHasLeftOfABeginningIsBegunAnew) {
  {
    (void)writer();
  }
  const std::string whole = bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    record({said(1, 100, "1", "a")});
    ASSERT_EQ(all().size(), 1u) << size;
  }
}

TEST_F(RecordingTest, WhatIsNoneIsLeftAlone) {
  write("not a recording, but a letter");
  for (const auto& problem : {Reader::open(path_).error(), Writer::open(path_, {1000, "fleet", "tape"}).error()}) {
    EXPECT_EQ(problem.kind, Error::Kind::invalid);
    EXPECT_NE(problem.message.find("no recording"), std::string::npos) << problem.message;
  }
  EXPECT_EQ(bytes(), "not a recording, but a letter");
}

TEST_F(RecordingTest, WhatStandsThereOnceMoreIsNotCounted) {
  record({said(1, 100, "1", "a")});
  const std::string once = bytes();
  write(once + once);
  const auto file = Reader::open(path_);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->blocks().size(), 1u);
  EXPECT_FALSE(file->damages().empty() && !file->cut());
}

TEST_F(RecordingTest, IsAFile) {
  for (const std::string& path : {directory_.path(), std::string{"/dev/null"}}) {
    EXPECT_FALSE(Reader::open(path).has_value()) << path;
    EXPECT_FALSE(Writer::open(path, {1000, "fleet", "tape"}).has_value()) << path;
  }
  ASSERT_EQ(::mkfifo((path_ + ".fifo").c_str(), 0600), 0);
  EXPECT_FALSE(Reader::open(path_ + ".fifo").has_value());
}

TEST_F(RecordingTest, ALaterVersionIsRefused) {
  flatbuffers::FlatBufferBuilder head;
  head.Finish(recorded::CreateBeginning(head, 2));
  const std::string text = bytes_of(head);
  const auto label = label_of(FrameKind::beginning, text, 0);
  write(std::string{label.data(), label.size()} + text);
  EXPECT_NE(Reader::open(path_).error().message.find("version 2"), std::string::npos);
}

TEST(Recording, AnEarlierVersionStillOpens) {
  const auto file = Reader::open(WEIR_SOURCE_DIR "/tests/recordings/version1.weir");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(file->beginning().pipeline, "quickstart");
  EXPECT_EQ(file->unfinished(), 0u);
  std::size_t messages = 0, markers = 0;
  for (const Block& block : file->blocks()) {
    const auto all = file->read(block);
    ASSERT_TRUE(all.has_value()) << all.error().message;
    for (const Message& message : (*all)->items) {
      ++(message.marker ? markers : messages);
      EXPECT_EQ(message.subject, message.marker ? "" : "vehicle.7");
      EXPECT_EQ(message.key, message.marker ? "" : "7");
      EXPECT_EQ(message.payload.empty(), message.marker);
    }
  }
  EXPECT_EQ(messages, 1u);
  EXPECT_EQ(markers, 8u);
}

}  // namespace
}  // namespace weir::recording
