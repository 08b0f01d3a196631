#include "core/checkpoint/dead_letters.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

class DeadLetterFile : public testing::Test {
 public:
  ~DeadLetterFile() override {
    for (const std::string& file : files()) std::filesystem::remove(file);
  }

 protected:
  DeadLetterFile() {
    for (const std::string& file : files()) std::filesystem::remove(file);
  }

  std::unique_ptr<DeadLetterBox> open(Position committed, std::string pipeline = "fleet") const {
    auto box = dead_letter_file(path_, std::move(pipeline), bounds_, clock_);
    box->resume(0, committed);
    return box;
  }
  static Sink::DeadLetter letter(Position position, std::string reason = "bad") {
    Sink::DeadLetter out;
    out.position = position;
    out.arrival = static_cast<Timestamp>(position) * second;
    out.node = "in";
    out.reason = Reason::parse(reason);
    out.payload = "x";
    return out;
  }
  static Sink::DeadLetter row_letter(std::uint64_t row, Position position) {
    auto out = letter(position, "row");
    out.arrival = 7;
    out.row = row;
    return out;
  }
  std::string text() const { return text(path_); }
  static std::string text(const std::string& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  std::size_t lines() const { return lines(path_); }
  static std::size_t lines(const std::string& path) {
    const std::string all = text(path);
    return static_cast<std::size_t>(std::ranges::count(all, '\n'));
  }

  /// The file, and all whose names begin with its.
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator{testing::TempDir()}) {
      if (entry.path().string().starts_with(path_)) out.push_back(entry.path().string());
    }
    std::ranges::sort(out);
    return out;
  }
  /// As if it had been written to last at noon, so many days before the clock's.
  void age(const std::string& path, std::int64_t days) const {
    const Timestamp then = clock_.now() / day * day + day / 2 - days * day;
    const timespec times[]{{then / second, 0}, {then / second, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  static constexpr Duration day = 24 * 60 * minute;
  DeadLetterBounds bounds_{.per_key = 3, .retention = 2 * day};
  fakes::WaitingClock clock_;  // 2026-01-01T00:16:40Z
  std::string path_ = testing::TempDir() + "weir-dead-letters-" +
                      testing::UnitTest::GetInstance()->current_test_info()->name() + ".jsonl";
};

TEST_F(DeadLetterFile, HalfALineOfACrashIsCutOff) {
  ASSERT_TRUE(open(0)->keep({letter(1), letter(2)}));
  const std::string whole = text();
  std::ofstream{path_, std::ios::app} << R"({"pipeline":"fleet","node":"in","rea)";
  ASSERT_TRUE(open(2)->keep({letter(3)}));
  EXPECT_TRUE(text().starts_with(
      whole + R"({"pipeline":"fleet","node":"in","reason":"bad","detail":"","partition":0,"position":3)"))
      << text();
  EXPECT_EQ(lines(), 3u);
}

TEST_F(DeadLetterFile, AWholeLastLineThatDoesNotEndIsKept) {
  ASSERT_TRUE(open(0)->keep({letter(1)}));
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);  // an editor may leave it so
  ASSERT_TRUE(open(0)->keep({letter(1), letter(2)}));
  EXPECT_EQ(lines(), 2u) << text();
}

TEST_F(DeadLetterFile, AnothersFileIsLeftAsItIs) {
  for (const std::string foreign : {"a list\nof mine", "{\"mine\":1}\n", "x"}) {
    std::ofstream{path_} << foreign;
    const auto kept = open(0)->keep({letter(1)});
    ASSERT_FALSE(kept) << foreign;
    EXPECT_TRUE(kept.error().message.contains("holds something else than dead letters")) << kept.error().message;
    EXPECT_EQ(text(), foreign);
  }
}

TEST_F(DeadLetterFile, AFileOfHalfALineOnlyIsEmpty) {
  std::ofstream{path_} << "{";
  ASSERT_TRUE(open(0)->keep({letter(1)}));
  EXPECT_EQ(lines(), 1u);
  EXPECT_EQ(text().find("{{"), std::string::npos);
}

TEST_F(DeadLetterFile, AFileThatWasMovedAwayOrDeletedIsMadeAgain) {
  const auto box = open(0);
  ASSERT_TRUE(box->keep({letter(1)}));
  std::filesystem::rename(path_, path_ + ".1");
  ASSERT_TRUE(box->keep({letter(2)}));
  EXPECT_EQ(lines(), 1u) << text();
  EXPECT_NE(text().find(R"("position":2)"), std::string::npos);
  std::filesystem::remove(path_ + ".1");
  std::filesystem::remove(path_);
  ASSERT_TRUE(box->keep({letter(2), letter(3)}));
  EXPECT_EQ(lines(), 2u) << "what was not committed yet is there again: " << text();
}

TEST_F(DeadLetterFile, LettersThatAReplayGivesAgainAreKeptOnce) {
  ASSERT_TRUE(open(0)->keep({letter(1), letter(5), letter(6)}));
  // The commit behind them failed, at position 4.
  auto box = open(4);
  ASSERT_TRUE(box->keep({letter(5), letter(6), letter(8)}));
  EXPECT_EQ(lines(), 4u);
  ASSERT_TRUE(box->keep({letter(5), letter(6), letter(8), letter(9)})) << "nor while the sink does not answer";
  EXPECT_EQ(lines(), 5u);
}

TEST_F(DeadLetterFile, AnotherStreamsLettersAreOthers) {
  ASSERT_TRUE(open(0)->keep({letter(1), letter(5)}));
  auto other = letter(5);
  other.arrival += 1;
  ASSERT_TRUE(open(0)->keep({other}));
  EXPECT_EQ(lines(), 3u);
  ASSERT_TRUE(open(0, "another")->keep({letter(5)})) << "so are another pipeline's in the same file";
  EXPECT_EQ(lines(), 4u);
}

TEST_F(DeadLetterFile, WhatIsCommittedIsNotComparedAnyMore) {
  auto box = open(0);
  ASSERT_TRUE(box->keep({letter(1)}));
  box->committed(0, 1);
  ASSERT_TRUE(box->keep({letter(1)})) << "nobody gives it again but on purpose";
  EXPECT_EQ(lines(), 2u);
}

TEST_F(DeadLetterFile, ARowIsKnownByItsNumberWhereverItsBatchWasCut) {
  ASSERT_TRUE(open(0)->keep({row_letter(40, 100), row_letter(41, 100)}));
  ASSERT_TRUE(open(90)->keep({row_letter(40, 95), row_letter(41, 120), row_letter(42, 120)}));
  EXPECT_EQ(lines(), 3u);
  EXPECT_NE(text().find(R"("row":42)"), std::string::npos);
}

TEST_F(DeadLetterFile, EachDayGetsAFileAndGoesWhenItsTimeIsOver) {
  auto box = open(0);
  ASSERT_TRUE(box->keep({letter(1)}));
  age(path_, 1);
  ASSERT_TRUE(box->keep({letter(1), letter(2)}));
  EXPECT_EQ(files(), (std::vector{path_, path_ + ".2025-12-31"}));
  EXPECT_EQ(lines(), 1u) << "what was not committed yet is known all the same: " << text();
  EXPECT_EQ(lines(path_ + ".2025-12-31"), 1u);
  clock_.wait(day, {});
  box->committed(0, 2);
  EXPECT_EQ(files(), (std::vector{path_, path_ + ".2025-12-31"})) << "its last letter is not two days old";
  clock_.wait(day, {});
  box->committed(0, 2);
  EXPECT_EQ(files(), std::vector{path_});
}

TEST_F(DeadLetterFile, AWorkerThatStartsFindsWhatOneBeforeLeftOnAnotherDay) {
  ASSERT_TRUE(open(0)->keep({letter(1), letter(5)}));
  age(path_, 1);
  ASSERT_TRUE(open(4)->keep({letter(5), letter(6)}));
  EXPECT_EQ(lines(path_ + ".2025-12-31"), 2u);
  EXPECT_EQ(lines(), 1u) << "the fifth is there already";
}

TEST_F(DeadLetterFile, AFileOfAnotherDayMayEndInHalfALine) {
  ASSERT_TRUE(open(0)->keep({letter(1), letter(5)}));
  std::ofstream{path_, std::ios::app} << R"({"pipeline":")";
  age(path_, 1);
  ASSERT_TRUE(open(4)->keep({letter(5), letter(6)}));
  EXPECT_EQ(lines(), 1u) << "the fifth is there already";
}

TEST_F(DeadLetterFile, FilesOfOthersAreNeitherNamedAnewNorDeleted) {
  for (const char* end : {"", ".2020-01-01", ".2020-01-01.gz", ".old"}) {
    std::ofstream{path_ + end} << "a list\nof mine";
    age(path_ + end, 30);
  }
  const auto before = files();
  EXPECT_FALSE(open(0)->keep({letter(1)}));
  EXPECT_EQ(files(), before);
}

TEST_F(DeadLetterFile, OfRowsThatASinkRejectsFewAreKept) {
  auto box = open(0);
  std::vector<Sink::DeadLetter> rows;
  for (std::uint64_t row = 0; row < 20'000; ++row) rows.push_back(row_letter(row, 100));
  EXPECT_EQ(box->keep(rows)->size(), 20'000u - 3) << "are left out";
  ASSERT_TRUE(box->keep(rows)) << "as the commit failed";
  EXPECT_EQ(lines(), 3u);
  ASSERT_TRUE(box->keep({letter(1), letter(2), letter(3), letter(4)})) << "others are bounded in their lane";
  EXPECT_EQ(lines(), 7u);
}

/// What this process has read of files so far.
std::uint64_t bytes_read() {
  std::ifstream in{"/proc/self/io"};
  std::string name;
  std::uint64_t value = 0;
  while (in >> name >> value && name != "rchar:") continue;
  return value;
}

TEST_F(DeadLetterFile, OfALongFileOnlyTheEndIsRead) {
  constexpr Position many = 60'000;
  std::vector<Sink::DeadLetter> letters;
  for (Position position = 1; position <= many; ++position) letters.push_back(letter(position));
  ASSERT_TRUE(open(0)->keep(letters));
  ASSERT_GT(std::filesystem::file_size(path_), 7u << 20);
  auto box = open(many - 2);
  const std::uint64_t before = bytes_read();
  ASSERT_TRUE(box->keep({letter(many - 1), letter(many), letter(many + 1)}));
  EXPECT_LT(bytes_read() - before, 3u << 20);
  EXPECT_EQ(lines(), many + 1) << "what was not committed is known all the same";
}

TEST_F(DeadLetterFile, WhatIsNotCommittedIsFoundAcrossManyBlocks) {
  auto large = letter(7);
  large.payload.assign(5u << 20, 'x');
  ASSERT_TRUE(open(0)->keep({letter(1), letter(5), letter(6), large, letter(8)}));
  std::ofstream{path_, std::ios::app} << std::string(3u << 20, '{');
  ASSERT_TRUE(open(5)->keep({letter(6), large, letter(8), letter(9)}));
  EXPECT_EQ(lines(), 6u);
}

TEST_F(DeadLetterFile, OneThatHasNoneOfALanesLettersIsReadToABound) {
  ASSERT_TRUE(open(0)->keep({letter(1)}));
  std::filesystem::resize_file(path_, std::uintmax_t{4} << 30);  // a hole: it takes no room
  std::ofstream{path_, std::ios::app} << "\n";
  auto box = dead_letter_file(path_, "fleet", bounds_, clock_);
  box->resume(3, 0);
  const std::uint64_t before = bytes_read();
  ASSERT_TRUE(box->keep({letter(2)}));
  EXPECT_LT(bytes_read() - before, 200u << 20);
}

/// No file grows beyond a size as long as it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, signal_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int) = ::signal(SIGXFSZ, SIG_IGN);
};

TEST_F(DeadLetterFile, LettersForWhichThereWasNoRoomAreKeptOnceWhenThereIs) {
  auto box = open(0);
  ASSERT_TRUE(box->keep({letter(1)}));
  const std::string before = text();
  std::vector<Sink::DeadLetter> many;
  for (Position position = 2; position < 102; ++position) many.push_back(letter(position));
  Result<std::vector<std::size_t>> kept;
  {
    const FileSizeLimit limit{before.size() * 61};
    kept = box->keep(many);
  }
  ASSERT_FALSE(kept);
  EXPECT_TRUE(kept.error().message.contains("can't write to the dead-letter file")) << kept.error().message;
  EXPECT_EQ(text(), before);
  ASSERT_TRUE(box->keep(many));
  EXPECT_EQ(lines(), 101u);
}

}  // namespace
}  // namespace weir
