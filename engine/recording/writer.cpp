#include "recording/recording.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "recording/block.hpp"
#include "recording/flat.hpp"
#include "recording/frame.hpp"
#include "recording/search.hpp"

namespace weir::recording {
namespace {

constexpr mode_t for_group = 0640;  // positions of vehicles; less what the process's mask forbids

std::string beginning_head(const Beginning& beginning) {
  flatbuffers::FlatBufferBuilder out;
  const auto made_by = out.CreateString("weir " WEIR_VERSION), pipeline = out.CreateString(beginning.pipeline),
             node = out.CreateString(beginning.node), selection = out.CreateString(beginning.selection);
  out.Finish(recorded::CreateBeginning(out, format_version, made_by, beginning.made_at, pipeline, node, selection));
  return bytes_of(out);
}

/// Whether there is nothing yet, or what a crash has left of a file that was just being made.
Result<bool> is_cut_beginning(const File& file, std::uint64_t size) {
  constexpr std::uint64_t most = 4096;  // bytes of a beginning
  if (size == 0 || size > most) return size == 0;
  const auto bytes = file.read(0, std::min<std::uint64_t>(frame_magic.size(), size));
  if (!bytes || !frame_magic.starts_with(*bytes)) return bytes.transform([](const std::string&) { return false; });
  std::uint64_t in_vain = 0;
  return frame_from(file, 0, size, in_vain).transform([](const std::optional<Frame>& any) { return !any.has_value(); });
}

/// Makes a new file durable, and that there is one of its name.
Result<void> sync_name(const File& file, const std::string& path) {
  if (::fsync(file.descriptor()) != 0 && errno != EINVAL) return by_system("it", "synchronise");
  const std::string folder = std::filesystem::path{path}.parent_path().string();
  const File names{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (names.descriptor() < 0 || (::fsync(names.descriptor()) != 0 && errno != EINVAL))
    return by_system("its folder", "synchronise");
  return {};
}

std::string commit_head(const std::map<Partition, Reached>& lanes) {
  flatbuffers::FlatBufferBuilder out;
  std::vector<flatbuffers::Offset<recorded::Lane>> all;
  for (const auto& [partition, at] : lanes) {
    const auto stream = out.CreateString(at.stream.stream);
    all.push_back(recorded::CreateLane(out, partition, at.position, at.arrival, stream, at.stream.created));
  }
  const auto vector = out.CreateVector(all);
  out.Finish(recorded::CreateCommit(out, vector));
  return bytes_of(out);
}

/// When a message arrived, as the engine decided, where that can be seen: the rows [begin, end) are made of it.
Timestamp decided(const Batch& decoded, std::size_t message, std::size_t begin, std::size_t end) {
  return begin < end ? decoded.arrival[begin] : decoded.messages->items[message].arrival;
}

}  // namespace

struct Writer::Impl {
  std::string path;
  File file;
  std::uint64_t end = 0;        // of what is written
  std::uint64_t committed = 0;  // of what counts
  Beginning beginning = {};
  std::string notice = {};
  std::map<Partition, Reached> reached = {};  // as committed
  std::map<Partition, Reached> passed = {};   // behind what was added
  std::map<Partition, Position> first = {};   // messages that were there when it was opened
  std::set<Partition> closed = {};            // those that have come to `until`
  std::map<Partition, BlockBuilder> open = {};

  Result<void> append(FrameKind kind, std::string_view head, std::string_view body) {
    const auto label = label_of(kind, head, body.size());
    std::string bytes{label.data(), label.size()};
    bytes.append(head).append(body);
    auto done = file.write(end, bytes);
    if (!done) return about(path, std::move(done.error()));
    end += bytes.size();
    return {};
  }

  Result<void> sync() {
    if (::fdatasync(file.descriptor()) != 0 && errno != EINVAL) return by_system(path, "synchronise");
    committed = end;
    return {};
  }

  /// What does not count must not be found by who opens the file next: after a sync that failed the system may have
  /// it in memory alone, and call it written.
  void cut_off() const { (void)!::ftruncate(file.descriptor(), static_cast<off_t>(committed)); }

  /// What was committed once, but is not whole: of a power cut it is nothing, of a disk it may be all that there is.
  Result<void> put_aside(std::uint64_t size) {
    std::string aside = path + ".cut";
    const auto make = [&] { return ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, for_group); };
    File to{make()};
    for (int number = 2; to.descriptor() < 0 && errno == EEXIST; ++number) {
      aside = weir::format("{}.cut.{}", path, number);
      to = File{make()};
    }
    if (to.descriptor() < 0) return by_system(aside, "make");
    auto done = copy_end(to, size).and_then([&] { return sync_name(to, aside); });
    if (!done) {
      ::unlink(aside.c_str());
      return about(aside, std::move(done.error()));
    }
    tell(weir::format("its last commit, {} bytes, is not whole and was put aside to {}", size - end, aside));
    return {};
  }

  Result<void> copy_end(const File& to, std::uint64_t size) const {
    constexpr std::uint64_t step = 1u << 20;
    for (std::uint64_t at = end; at < size; at += step) {
      auto done = file.read(at, std::min(step, size - at)).and_then([&](const std::string& bytes) {
        return to.write(at - end, bytes);
      });
      if (!done) return done;
    }
    return {};
  }

  void tell(const std::string& sentence) { notice += (notice.empty() ? "" : "; ") + path + ": " + sentence; }

  Result<void> resume(std::uint64_t size) {
    auto begun = read_beginning(file, size);
    if (!begun) return about(path, std::move(begun.error()));
    beginning = std::move(*begun);
    auto found = find_all(file, size, {});
    if (!found) return about(path, std::move(found.error()));
    end = committed = found->end;
    for (const Block& block : found->blocks) first.try_emplace(block.partition, block.first);
    reached = passed = std::move(found->reached);
    if (found->cut) {
      if (auto kept = put_aside(size); !kept) return kept;
    }
    if (::ftruncate(file.descriptor(), static_cast<off_t>(end)) != 0) return by_system(path, "cut off the end of");
    return {};
  }

  Result<void> begin(const Beginning& fresh) {
    if (::ftruncate(file.descriptor(), 0) != 0) return by_system(path, "empty");
    beginning = fresh;
    if (auto done = append(FrameKind::beginning, beginning_head(beginning), {}); !done) return done;
    if (auto done = sync(); !done) return done;
    // And what stands beside it since before, such as the secret of its masks.
    auto named = sync_name(file, path);
    return named ? named : about(path, std::move(named.error()));
  }

  Result<void> close_block(Partition partition) {
    const auto builder = open.find(partition);
    if (builder == open.end() || builder->second.empty()) return {};
    const BlockBuilder::Frame frame = builder->second.finish();
    open.erase(builder);
    return append(FrameKind::block, frame.head, frame.body);
  }

  /// A lane's place, but not beyond what was taken.
  Reached place_of(const LaneCommit& lane) {
    Reached out{lane.next.place.position, lane.next.place.arrival, lane.next.stream};
    const Reached& taken = passed.try_emplace(lane.partition, out).first->second;
    if (taken.position >= out.position) return out;
    out.position = taken.position;
    out.arrival = taken.arrival;
    return out;
  }

  bool begins_behind(Partition partition, Position message) const {
    const auto there = first.find(partition);
    return there != first.end() && message < there->second;
  }

  /// The next message is the first one behind `before`, and is wanted: whether those up to there are in the file.
  Result<void> reach_over(Partition partition, bool going_on, Position before, Timestamp since) {
    Reached& has = passed[partition];
    if (before <= has.position) return {};
    const std::string missing =
        weir::format("messages {} to {} of partition {} are not in it", has.position + 1, before, partition);
    // A lane that one writer sees goes on where it was, unless another worker had the partition meanwhile.
    if (going_on) {
      tell(missing + ": another worker had them");
    } else if (has.arrival < since) {
      tell(missing + ": what arrived before \"since\" is not wanted");
    } else {
      return fail(Error::Kind::changed,
                  weir::format("{}: {}, and come no more, as what follows them was committed elsewhere or is all that "
                               "the source has: record to another file",
                               path, missing));
    }
    has.position = before;
    return {};
  }

  Result<void> write_commit(std::span<const LaneCommit> lanes) {
    std::map<Partition, Reached> news;
    for (const LaneCommit& lane : lanes) {
      Reached place = place_of(lane);
      const auto before = reached.find(lane.partition);
      if (before != reached.end() && before->second.stream != place.stream) {
        return fail(Error::Kind::changed,
                    weir::format("{} holds messages of another stream than {}, or of one that was recreated since: "
                                 "record to another file",
                                 path, place.stream.stream));
      }
      if (before == reached.end() || before->second.position < place.position) news[lane.partition] = std::move(place);
    }
    while (!open.empty()) {
      if (auto closed_one = close_block(open.begin()->first); !closed_one) return closed_one;
    }
    if (news.empty() && end == committed) return {};
    if (auto done = append(FrameKind::commit, commit_head(news), {}); !done) return done;
    if (auto done = sync(); !done) return done;
    for (auto& [partition, place] : news) reached[partition] = std::move(place);
    return {};
  }
};

Writer::Writer(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;

Result<Writer> Writer::open(const std::string& path, const Beginning& beginning) {
  auto impl =
      std::make_unique<Impl>(path, File{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, for_group)});
  if (impl->file.descriptor() < 0) return by_system(path, "open");
  if (::flock(impl->file.descriptor(), LOCK_EX | LOCK_NB) != 0)
    return fail(Error::Kind::held, path + " is being written by another process", "path");
  const auto size = impl->file.size();
  if (!size) return about(path, size.error());
  const auto fresh = is_cut_beginning(impl->file, *size);
  if (!fresh) return about(path, fresh.error());
  auto ready = *fresh ? impl->begin(beginning) : impl->resume(*size);
  if (!ready) return std::unexpected(std::move(ready.error()));
  const Beginning& is = impl->beginning;
  if (is.pipeline != beginning.pipeline || is.node != beginning.node) {
    return fail(Error::Kind::invalid,
                weir::format("{} is a recording of {}/{}; this one needs another file", path, is.pipeline, is.node),
                "path");
  }
  if (is.selection != beginning.selection) {
    const auto whose = [](const std::string& text) {
      return text.empty() ? std::string{"everybody's messages"} : text;
    };
    return fail(Error::Kind::invalid,
                weir::format("{} records {}, and now it should be {}: record to another file", path,
                             whose(is.selection), whose(beginning.selection)),
                "path");
  }
  return Writer{std::move(impl)};
}

const std::map<Partition, Reached>& Writer::reached() const { return impl_->reached; }
std::string Writer::take_notice() { return std::exchange(impl_->notice, {}); }

Result<std::size_t> Writer::add(const Batch& decoded, const Selection& selection) {
  std::size_t added = 0;
  if (!decoded.messages) return added;
  const Partition partition = decoded.origin.partition;
  const auto& items = decoded.messages->items;
  if (impl_->closed.contains(partition)) return added;
  Reached& passed = impl_->passed.try_emplace(partition, decoded.origin.after).first->second;
  std::size_t row = 0;
  const Column& keys = decoded.columns[samples::key];
  const Column& fields = decoded.columns[samples::field];
  const auto times = decoded.columns[samples::time].int64s();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t begin = row;
    while (row < decoded.rows && decoded.message_of_row[row] == i) ++row;
    if (items[i].sequence <= passed.position) {
      const bool wanted = selection.keep.empty() && decided(decoded, i, begin, row) >= selection.since;
      if (wanted && impl_->begins_behind(partition, items[i].sequence)) {
        return fail(Error::Kind::changed,
                    weir::format("{}: message {} of partition {} and what follows it are wanted now, but not in it, as "
                                 "it begins behind them: record to another file",
                                 impl_->path, items[i].sequence, partition));
      }
      continue;
    }
    Message message = items[i];
    message.arrival = std::max(passed.arrival, decided(decoded, i, begin, row));
    if (message.arrival >= selection.until) {
      impl_->closed.insert(partition);
      return added;
    }
    if (message.arrival >= selection.since && i == 0) {
      auto reached = impl_->reach_over(partition, selection.going_on, decoded.origin.after, selection.since);
      if (!reached) return std::unexpected(std::move(reached.error()));
    }
    passed.position = message.sequence;
    const Timestamp before = std::exchange(passed.arrival, message.arrival);
    if (message.arrival < selection.since || (!selection.keep.empty() && selection.keep[i] == 0)) continue;
    BlockBuilder& block = impl_->open.try_emplace(partition, partition, before).first->second;
    block.add(message);
    added += message.marker ? 0 : 1;
    for (std::size_t sample = begin; sample < row; ++sample)
      block.add_sample(keys.text(sample), fields.text(sample), times[sample]);
    if (!block.full()) continue;
    if (auto closed = impl_->close_block(partition); !closed) {
      impl_->cut_off();
      return std::unexpected(std::move(closed.error()));
    }
  }
  return added;
}

Result<void> Writer::commit(std::span<const LaneCommit> lanes) {
  auto done = impl_->write_commit(lanes);
  if (!done) impl_->cut_off();
  return done;
}

}  // namespace weir::recording
