/// What a crash, a power cut or a disk leaves of a recording: all that counts and is whole is given, all else is told.

#include "recording/recording.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <ranges>
#include <set>
#include <utility>

#include <weir/format.hpp>

#include "fakes/recording_fixture.hpp"
#include "recording/frame.hpp"

namespace weir::recording {
namespace {

using fakes::said;
using fakes::Said;

using FrameNumbers = std::set<std::size_t>;

/// Four commits of a block of each of two partitions.
class DamagedRecordingTest : public fakes::RecordingFixture {
 protected:
  static constexpr std::size_t commits = 4, partitions = 2, per_commit = partitions + 1;

  void SetUp() override {
    for (std::size_t commit = 1; commit <= commits; ++commit) add(commit);
    whole_ = bytes();
    const File file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
    for (std::uint64_t at = 0; at < whole_.size(); at = frames_.back().end()) {
      const auto frame = frame_at(file, at, whole_.size());
      ASSERT_TRUE(frame.has_value() && frame->has_value());
      frames_.push_back(**frame);
    }
    ASSERT_EQ(frames_.size(), 1 + commits * per_commit);
  }

  /// Records what the commit of this number has.
  void add(std::size_t commit) {
    Writer out = writer();
    notice_ = out.take_notice();
    std::vector<LaneCommit> lanes;
    for (Partition partition = 0; partition < partitions; ++partition) {
      const auto all = messages_of(commit, partition);
      ASSERT_TRUE(out.add(*decoded(all, partition)).has_value());
      lanes.push_back(lane(all.back().sequence, all.back().arrival, partition));
    }
    ASSERT_TRUE(out.commit(lanes).has_value());
  }
  static std::vector<Said> messages_of(std::size_t commit, Partition partition) {
    const std::string key = weir::format("{}{}", partition, commit);
    const auto arrival = static_cast<Timestamp>(100 * commit);
    return {said(2 * commit - 1, arrival, key, "abc"), said(2 * commit, arrival + 1, key, "de")};
  }

  /// Of a frame: the commit that it counts by, from 1.
  static std::size_t commit_of(std::size_t frame) { return (frame + per_commit - 1) / per_commit; }
  static std::size_t frame_of(std::size_t commit, Partition partition) {
    return (commit - 1) * per_commit + 1 + partition;
  }
  std::uint64_t end_of(std::size_t commit) const { return frames_[commit * per_commit].end(); }

  /// What is to be found.
  struct Sight {
    std::size_t counted = commits;  ///< so many commits
    FrameNumbers lost = {};         ///< frames of blocks
    std::vector<std::pair<std::uint64_t, std::uint64_t>> damages = {};
    std::vector<std::string> broken = {};  ///< what reading blocks says
    std::uint64_t unfinished = 0;
    bool cut = false;
  };

  /// When these frames are no frames any more, and all bytes stand where they stood.
  Sight without(const FrameNumbers& gone) const {
    std::size_t last = commits, before = 0;
    while (gone.contains(last * per_commit)) --last;
    for (before = last - 1; before > 0 && gone.contains(before * per_commit);) --before;
    Sight out;
    out.cut = std::ranges::any_of(
        gone, [&](std::size_t frame) { return commit_of(frame) > before && commit_of(frame) <= last; });
    out.counted = out.cut ? before : last;
    // Blocks that a commit stood behind are not of a crash.
    for (std::size_t frame = out.counted * per_commit + 1; frame < frames_.size() && last < commits; ++frame)
      out.cut = out.cut || (frame % per_commit != 0 && !gone.contains(frame));
    out.unfinished = whole_.size() - end_of(out.counted);
    for (const std::size_t frame : gone) {
      if (commit_of(frame) > out.counted) continue;
      if (frame % per_commit != 0) out.lost.insert(frame);
      if (!out.damages.empty() && out.damages.back().second == frames_[frame].at)
        out.damages.back().second = frames_[frame].end();
      else
        out.damages.emplace_back(frames_[frame].at, frames_[frame].end());
    }
    return out;
  }

  void expect(const Sight& wanted) const {
    const auto file = Reader::open(path_);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    std::map<Partition, std::vector<Said>> given, expected;
    std::vector<std::string> broken;
    for (const Block& block : file->blocks()) {
      const auto messages = file->read(block);
      if (!messages) {
        EXPECT_EQ(messages.error().kind, Error::Kind::changed);
        broken.push_back(messages.error().message);
      } else {
        given[block.partition].append_range(said_by(**messages));
      }
    }
    for (std::size_t commit = 1; commit <= wanted.counted; ++commit) {
      for (Partition partition = 0; partition < partitions; ++partition) {
        if (!wanted.lost.contains(frame_of(commit, partition)))
          expected[partition].append_range(messages_of(commit, partition));
      }
    }
    std::vector<std::pair<std::uint64_t, std::uint64_t>> damages;
    for (const Damage& damage : file->damages()) damages.emplace_back(damage.from, damage.to);
    EXPECT_EQ(given, expected);
    EXPECT_EQ(damages, wanted.damages);
    ASSERT_EQ(broken.size(), wanted.broken.size()) << testing::PrintToString(broken);
    for (std::size_t i = 0; i < broken.size(); ++i)
      EXPECT_NE(broken[i].find(wanted.broken[i]), std::string::npos) << broken[i];
    EXPECT_EQ(file->unfinished(), wanted.unfinished);
    EXPECT_EQ(file->cut(), wanted.cut);
    for (Partition partition = 0; partition < partitions; ++partition) {
      const auto lane = Reader::open(path_, partition);
      ASSERT_TRUE(lane.has_value()) << lane.error().message;
      EXPECT_EQ(lane->unfinished(), wanted.unfinished) << "a lane sees another end than who reads all";
      EXPECT_EQ(lane->cut(), wanted.cut);
      EXPECT_TRUE(std::ranges::equal(lane->blocks(), file->blocks() | std::views::filter([&](const Block& block) {
                                                       return block.partition == partition;
                                                     }),
                                     {}, &Block::at, &Block::at));
    }
  }

  /// Whether all messages are given and nothing is told.
  bool shows_nothing() const {
    const auto file = Reader::open(path_);
    if (!file || file->cut() || file->unfinished() != 0 || !file->damages().empty()) return false;
    return std::ranges::all_of(file->blocks(), [&](const Block& block) {
      const auto messages = file->read(block);
      return messages && said_by(**messages) == messages_of((block.first + 1) / 2, block.partition);
    });
  }

  /// A reader that goes on behind it loses nothing that counts, and gives what does not count again.
  void expect_gone_on(Sight wanted) {
    const std::string before = bytes();
    for (std::size_t commit = wanted.counted + 1; commit <= commits; ++commit) {
      add(commit);
      EXPECT_EQ(wanted.cut, notice_.contains("put aside")) << notice_;
      if (std::exchange(wanted.cut, false)) {
        EXPECT_EQ(taken_aside(), before.substr(end_of(wanted.counted)));
      }
    }
    wanted.counted = commits;
    wanted.unfinished = 0;
    expect(wanted);
  }

  /// What was put aside, as the notice says; takes it away.
  std::string taken_aside() const {
    constexpr std::string_view to = "put aside to ";
    const std::size_t at = notice_.find(to);
    if (at == std::string::npos) return notice_;
    const std::string path = notice_.substr(at + to.size());
    std::ifstream aside{path, std::ios::binary};
    std::string out{std::istreambuf_iterator<char>{aside}, {}};
    std::filesystem::remove(path);
    return out;
  }

  std::string whole_, notice_;
  std::vector<Frame> frames_;
};

TEST_F(DamagedRecordingTest, CutOffAnywhereItHasTheCommitsBefore) {
  for (std::uint64_t size = frames_[0].end(); size <= whole_.size(); ++size) {
    SCOPED_TRACE(weir::format("{} bytes are left", size));
    write(whole_.substr(0, size));
    Sight wanted;
    while (end_of(wanted.counted) > size) --wanted.counted;
    wanted.unfinished = size - end_of(wanted.counted);
    // That it was never written to its end can't be told from a changed length.
    wanted.cut = wanted.counted < commits && size >= frames_[(wanted.counted + 1) * per_commit].at + FrameLabel::size &&
                 wanted.unfinished != 0;
    expect(wanted);
    const bool near_a_border = std::ranges::any_of(
        frames_, [&](const Frame& frame) { return size + 1 >= frame.end() && size <= frame.end() + 1; });
    if (near_a_border) expect_gone_on(wanted);
    if (HasFailure()) return;
  }
}

/// A kind of damage: which bytes of a frame are changed, one after the other, and how.
struct ByteDamage {
  const char* name;
  enum class Part : std::uint8_t { label, head, body } part;
  std::size_t step;  ///< every so many-th byte
  char (*change)(char byte, std::size_t number);
};

constexpr auto flip_a_bit = [](char byte, std::size_t number) { return static_cast<char>(byte ^ (1 << number % 8)); };
constexpr auto flip_a_byte = [](char byte, std::size_t) { return static_cast<char>(~byte); };

constexpr std::array byte_damages{ByteDamage{"a bit of a label", ByteDamage::Part::label, 1, flip_a_bit},
                                  ByteDamage{"a byte of a label", ByteDamage::Part::label, 1, flip_a_byte},
                                  ByteDamage{"a bit of a head", ByteDamage::Part::head, 3, flip_a_bit},
                                  ByteDamage{"a byte of a head", ByteDamage::Part::head, 5, flip_a_byte},
                                  ByteDamage{"a bit of a body", ByteDamage::Part::body, 1, flip_a_bit},
                                  ByteDamage{"a byte of a body", ByteDamage::Part::body, 3, flip_a_byte}};

TEST_F(DamagedRecordingTest, AChangedByteCostsItsFrameAndIsTold) {
  std::size_t changes = 0, without_effect = 0;
  for (const ByteDamage& kind : byte_damages) {
    for (std::size_t number = 1; number < frames_.size(); ++number) {
      const Frame& frame = frames_[number];
      const std::array<std::pair<std::uint64_t, std::uint64_t>, 3> parts{
          {{0, FrameLabel::size},
           {FrameLabel::size, frame.body_at() - frame.at},
           {frame.body_at() - frame.at, frame.label.whole()}}};
      const auto [begin, end] = parts.at(static_cast<std::size_t>(kind.part));
      for (std::uint64_t at = begin; at < end; at += kind.step) {
        SCOPED_TRACE(weir::format("{}: byte {} of frame {}", kind.name, at, number));
        std::string changed = whole_;
        changed[frame.at + at] = kind.change(changed[frame.at + at], at);
        write(changed);
        Sight wanted = without({number});
        // A body is looked at when it is read, and without its place the head still tells whose it was.
        if (kind.part == ByteDamage::Part::body && !wanted.cut) {
          wanted.damages.clear();
          wanted.broken = {weir::format("the block at byte {} (partition {}, messages {} to {}) is damaged", frame.at,
                                        (number - 1) % per_commit, 2 * commit_of(number) - 1, 2 * commit_of(number))};
        }
        ++changes;
        // Some bits of a zstd frame say nothing about what it unpacks to, whose sum is looked at.
        if (kind.part == ByteDamage::Part::body && shows_nothing() && ++without_effect < changes / 20) continue;
        expect(wanted);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(DamagedRecordingTest, FramesThatAreNoMoreAreToldAndGoneOnBehind) {
  // Of a frame, of both sides of a border, and of a border and the one behind.
  for (const std::size_t count : {1u, 2u, 3u}) {
    for (std::size_t first = 1; first + count <= frames_.size(); ++first) {
      SCOPED_TRACE(weir::format("{} frames from frame {} on", count, first));
      const std::uint64_t from = frames_[first].at + (count == 1 ? 0 : frames_[first].label.whole() / 2);
      const std::uint64_t to = frames_[first + count - 1].at + FrameLabel::size;
      std::string changed = whole_;
      std::fill(changed.begin() + static_cast<std::ptrdiff_t>(from), changed.begin() + static_cast<std::ptrdiff_t>(to),
                '\0');
      write(changed);
      FrameNumbers gone;
      for (std::size_t i = 0; i < count; ++i) gone.insert(first + i);
      Sight wanted = without(gone);
      expect(wanted);
      expect_gone_on(wanted);
      if (HasFailure()) return;
    }
  }
}

TEST_F(DamagedRecordingTest, WhatWasPutAsideStaysThere) {
  const Frame& commit = frames_.back();
  std::string changed = whole_;
  changed[commit.at] = flip_a_bit(changed[commit.at], 0);
  for (const char* name : {".cut", ".cut.2", ".cut.3"}) {
    write(changed);
    EXPECT_TRUE(writer().take_notice().ends_with(" is not whole and was put aside to " + path_ + name));
  }
  for (const char* name : {".cut", ".cut.2", ".cut.3"}) {
    std::ifstream aside{path_ + name, std::ios::binary};
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>{aside}, {}), changed.substr(end_of(commits - 1))) << name;
  }
  EXPECT_EQ(bytes(), whole_.substr(0, end_of(commits - 1)));
}

TEST_F(DamagedRecordingTest, WhatACrashLeftIsCutOff) {
  for (const std::size_t part : {0u, 1u, 2u}) {  // of a block: nothing, its label, all but its end
    const Frame& first = frames_[frame_of(commits, 0)];
    const Frame& second = frames_[frame_of(commits, 1)];
    const std::uint64_t more = part == 0 ? 0 : part == 1 ? FrameLabel::size : second.label.whole() - 1;
    write(whole_.substr(0, first.end() + more));
    expect({.counted = commits - 1, .unfinished = first.label.whole() + more});
    EXPECT_EQ(writer().take_notice(), "");
    EXPECT_FALSE(std::filesystem::exists(path_ + ".cut"));
  }
}

TEST_F(DamagedRecordingTest, WhatStandsBetweenFramesIsToldAndCostsNone) {
  const std::string foreign(100, 'w');
  for (std::size_t number = 0; number < frames_.size(); ++number) {
    SCOPED_TRACE(weir::format("behind frame {}", number));
    const std::uint64_t at = frames_[number].end();
    write(whole_.substr(0, at) + foreign + whole_.substr(at));
    Sight wanted;
    if (number + 1 == frames_.size()) {
      wanted.unfinished = foreign.size();
    } else if (commit_of(number + 1) == commits) {
      wanted = {.counted = commits - 1, .unfinished = bytes().size() - end_of(commits - 1), .cut = true};
    } else {
      wanted.damages.emplace_back(at, at + foreign.size());
    }
    expect(wanted);
    if (HasFailure()) return;
  }
}

TEST_F(DamagedRecordingTest, WhoeverMadeItToBeSearchedForEverIsRefused) {
  // Labels of frames that would just fit, one behind the other, and each sum is wrong.
  constexpr std::size_t labels = 400'000;
  std::string changed = whole_.substr(0, frames_[0].end());
  const std::size_t end = changed.size() + labels * FrameLabel::size;
  while (changed.size() < end) {
    auto label = label_of(FrameKind::block, {}, 0);
    const auto head = static_cast<std::uint32_t>(end - changed.size() - FrameLabel::size);
    std::memcpy(label.data() + 8, &head, sizeof head);
    changed.append(label.data(), label.size());
  }
  write(changed);
  const auto opened = Reader::open(path_);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  EXPECT_TRUE(opened.error().message.contains("far too much of it looks like frames")) << opened.error().message;
}

TEST_F(DamagedRecordingTest, WithoutItsBeginningItIsNone) {
  for (std::size_t at = 0; at < frames_[0].end(); ++at) {
    std::string changed = whole_;
    changed[at] = flip_a_bit(changed[at], at);
    write(changed);
    for (const Error& problem : {Reader::open(path_).error(), Writer::open(path_, {1000, "fleet", "tape"}).error()}) {
      ASSERT_EQ(problem.kind, Error::Kind::invalid) << at;
      ASSERT_NE(problem.message.find(path_ + ": this is no recording, or its first bytes are damaged"),
                std::string::npos)
          << problem.message;
    }
    ASSERT_TRUE(bytes() == changed) << "and is left alone";
  }
}

}  // namespace
}  // namespace weir::recording
