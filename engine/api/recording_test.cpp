#include <weir/recording.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <iterator>

#include <weir/checksum.hpp>
#include <weir/shapes.hpp>

#include "fakes/temporary_directory.hpp"
#include "recording_flat.hpp"
#include "recording_frame.hpp"

namespace weir::recording {
namespace {

/// What a test says of a message; a row is made of each byte of the payload of those that are neither markers nor
/// refused.
struct Said {
  Position sequence = 0;
  Timestamp arrival = 0;
  std::string subject = {}, payload = {}, key = {}, field = {}, refused = {};
  bool marker = false;
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool operator==(const Said&) const = default;
};

void PrintTo(const Said& said, std::ostream* os) {
  *os << said.sequence << "@" << said.arrival << " " << said.subject << " " << said.payload;
}

Said said(Position sequence, Timestamp arrival, const std::string& key, const std::string& payload) {
  return {.sequence = sequence,
          .arrival = arrival,
          .subject = "vehicle." + key + ".speed",
          .payload = payload,
          .key = key,
          .field = "speed"};
}

class RecordingTest : public testing::Test {
 protected:
  /// As the engine decodes it.
  BatchPtr decoded(std::vector<Said> all, Partition partition = 0) {
    struct Owner {
      std::vector<Said> said;
      std::vector<std::vector<std::pair<std::string_view, std::string_view>>> headers;
      Messages messages;
    };
    const auto owner = std::make_shared<Owner>();
    owner->said = std::move(all);
    auto batch = std::make_shared<Batch>();
    batch->schema = samples::schema();
    batch->origin.partition = partition;
    Ids keys{{}, keys_}, fields{{}, fields_};
    std::vector<Timestamp> times;
    Timestamp arrival = no_time;
    for (const Said& one : owner->said) {
      auto& headers = owner->headers.emplace_back();
      for (const auto& [name, value] : one.headers) headers.emplace_back(name, value);
    }
    for (std::size_t i = 0; i < owner->said.size(); ++i) {
      const Said& one = owner->said[i];
      owner->messages.items.push_back({.subject = one.subject,
                                       .payload = one.payload,
                                       .sequence = one.sequence,
                                       .arrival = one.arrival,
                                       .key = one.key,
                                       .field = one.field,
                                       .marker = one.marker,
                                       .refused = one.refused,
                                       .headers = owner->headers[i]});
      arrival = std::max(arrival, one.arrival);
      for (std::size_t row = 0; row < one.payload.size() && !one.marker && one.refused.empty(); ++row) {
        keys.ids.push_back(*keys_->intern(one.key));
        fields.ids.push_back(*fields_->intern(one.field));
        times.push_back(one.arrival - 1);
        batch->arrival.push_back(arrival);
        batch->message_of_row.push_back(static_cast<std::uint32_t>(i));
      }
    }
    batch->rows = times.size();
    batch->reached = arrival;
    batch->columns.resize(samples::text + 1);
    batch->columns[samples::key] = Column::dictionary(std::move(keys));
    batch->columns[samples::field] = Column::dictionary(std::move(fields));
    batch->columns[samples::time] = Column::timestamp(std::move(times));
    batch->messages = {owner, &owner->messages};
    return batch;
  }

  static LaneCommit lane(Position position, Timestamp arrival, Partition partition = 0) {
    return {partition, {.position = position, .arrival = arrival, .stream = {"S", 5}, .consumed = position}};
  }

  Writer writer() {
    auto out = Writer::open(path_, {1000, "fleet", "tape"});
    EXPECT_TRUE(out.has_value()) << out.error().message;
    return std::move(*out);
  }

  /// Appends and commits.
  void record(const std::vector<Said>& all) {
    Writer out = writer();
    ASSERT_TRUE(out.add(*decoded(all)).has_value());
    const LaneCommit done = lane(all.back().sequence, all.back().arrival);
    ASSERT_TRUE(out.commit({&done, 1}).has_value());
  }

  static std::vector<Said> said_by(const Messages& messages) {
    std::vector<Said> out;
    for (const Message& message : messages.items) {
      Said& one = out.emplace_back(message.sequence, message.arrival, std::string{message.subject},
                                   std::string{message.payload}, std::string{message.key}, std::string{message.field},
                                   std::string{message.refused}, message.marker);
      for (const auto& [name, value] : message.headers) one.headers.emplace_back(name, value);
    }
    return out;
  }

  /// All that can be read.
  std::vector<Said> all() const {
    const auto file = Reader::open(path_);
    EXPECT_TRUE(file.has_value()) << file.error().message;
    std::vector<Said> out;
    for (const Block& block : file->blocks()) {
      const auto messages = file->read(block);
      EXPECT_TRUE(messages.has_value()) << messages.error().message;
      if (messages) out.append_range(said_by(**messages));
    }
    return out;
  }

  std::string bytes() const {
    std::ifstream in{path_, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void write(const std::string& bytes) const { std::ofstream{path_, std::ios::binary} << bytes; }

  fakes::TemporaryDirectory directory_;
  std::string path_ = directory_.file("day.weir");

 private:
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(), fields_ = std::make_shared<Dictionary>();
};

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
    LaneCommit anew = lane(2, 110);
    anew.next.stream.created = 6;
    const auto done = out.commit({&anew, 1});
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

/// Three commits of a block each.
class DamagedRecordingTest : public RecordingTest {
 protected:
  void SetUp() override {
    for (Position i = 1; i <= 5; i += 2) {
      record({said(i, static_cast<Timestamp>(100 * i), "1", "abc"),
              said(i + 1, static_cast<Timestamp>(100 * i + 1), "2", "de")});
      ends_.push_back(bytes().size());
    }
    whole_ = bytes();
    given_ = all();
    const auto file = Reader::open(path_);
    first_block_ = file->blocks().front().at;
    last_block_ = file->blocks().back();
  }

  std::string whole_;
  std::vector<Said> given_;
  std::vector<std::uint64_t> ends_;  // of commits
  std::uint64_t first_block_ = 0;
  Block last_block_;
};

TEST_F(DamagedRecordingTest, CountsUpToTheLastWholeCommitAndIsGoneOnWithThere) {
  for (std::uint64_t size = first_block_; size <= whole_.size(); ++size) {
    write(whole_.substr(0, size));
    const auto commits = static_cast<std::size_t>(std::ranges::count_if(ends_, [&](auto end) { return end <= size; }));
    const std::uint64_t end = commits == 0 ? first_block_ : ends_[commits - 1];
    {
      const auto file = Reader::open(path_);
      ASSERT_TRUE(file.has_value()) << file.error().message;
      ASSERT_EQ(file->blocks().size(), commits) << "of " << size << " bytes";
      ASSERT_EQ(file->unfinished(), size - end) << "of " << size << " bytes";
      ASSERT_TRUE(file->damages().empty());
    }
    std::vector<Said> expected{given_.begin(), given_.begin() + static_cast<std::ptrdiff_t>(2 * commits)};
    ASSERT_EQ(all(), expected);
    record({said(7, 900, "3", "f")});
    expected.push_back(said(7, 900, "3", "f"));
    ASSERT_EQ(all(), expected) << "of " << size << " bytes";
  }
}

TEST_F(DamagedRecordingTest, AFlippedBitCostsOneBlockAndIsTold) {
  for (std::size_t at = 0; at < whole_.size(); ++at) {
    std::string changed = whole_;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    write(changed);
    const auto file = Reader::open(path_);
    if (at < first_block_) {
      ASSERT_FALSE(file.has_value()) << at;
      continue;
    }
    ASSERT_TRUE(file.has_value()) << file.error().message;
    std::size_t read = 0, told = file->damages().size() + (file->unfinished() != 0 ? 1 : 0);
    for (const Block& block : file->blocks()) {
      const auto messages = file->read(block);
      told += messages ? 0 : 1;
      if (!messages) continue;
      for (const Said& one : said_by(**messages)) {
        ASSERT_EQ(one, given_[one.sequence - 1]) << "byte " << at;
        ++read;
      }
    }
    // zstd has a bit that means nothing.
    ASSERT_TRUE(told == 1 || (told == 0 && read == given_.size())) << told << " told, byte " << at;
    // Where a commit is damaged, so may be what the next one stands for.
    ASSERT_GE(read, given_.size() - 4) << "byte " << at;
  }
}

TEST_F(DamagedRecordingTest, ALastCommitOfWhichAPowerCutLeftLessThanAllDoesNotCount) {
  for (std::uint64_t at = last_block_.at; at < last_block_.at + last_block_.bytes; at += 3) {
    std::string changed = whole_;
    changed[at] = static_cast<char>(~changed[at]);
    write(changed);
    ASSERT_TRUE(Reader::open(path_)->cut());
    {
      const Writer out = writer();
      ASSERT_EQ(out.reached().at(0).position, 4u) << "byte " << at;
      ASSERT_NE(out.notice().find("put aside"), std::string::npos);
    }
    std::ifstream aside{path_ + ".cut", std::ios::binary};
    ASSERT_EQ(std::string(std::istreambuf_iterator<char>{aside}, {}), changed.substr(ends_[1]));
    ASSERT_EQ(all().size(), 4u);
    record({given_[4], given_[5]});
    ASSERT_EQ(all(), given_);
    ASSERT_TRUE(Reader::open(path_)->damages().empty()) << "a hole is left";
  }
}

}  // namespace
}  // namespace weir::recording
