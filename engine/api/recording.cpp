#include <weir/recording.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "recording_block.hpp"
#include "recording_flat.hpp"
#include "recording_frame.hpp"

namespace weir::recording {
namespace {

constexpr std::uint32_t version = 1;
constexpr mode_t for_all = 0666;  // less what the process's mask forbids

std::unexpected<Error> about(const std::string& path, Error error) {
  error.message = path + ": " + error.message;
  return std::unexpected(std::move(error));
}

std::unexpected<Error> by_system(const std::string& path, const char* what) {
  return fail(Error::Kind::refused, weir::format("can't {} {}: {}", what, path, std::strerror(errno)), "path");
}

std::string beginning_head(const Beginning& beginning) {
  flatbuffers::FlatBufferBuilder out;
  const auto made_by = out.CreateString("weir " WEIR_VERSION), pipeline = out.CreateString(beginning.pipeline),
             node = out.CreateString(beginning.node), selection = out.CreateString(beginning.selection);
  out.Finish(recorded::CreateBeginning(out, version, made_by, beginning.made_at, pipeline, node, selection));
  return bytes_of(out);
}

Result<Beginning> read_beginning(const File& file, std::uint64_t size) {
  const auto frame = frame_at(file, 0, size);
  if (!frame) return std::unexpected(frame.error());
  const auto* head =
      *frame && (*frame)->label.kind == FrameKind::beginning ? root_of<recorded::Beginning>((*frame)->head) : nullptr;
  if (head == nullptr) return fail(Error::Kind::invalid, "this is no recording, or its first bytes are damaged");
  if (head->version() > version) {
    return fail(Error::Kind::invalid, weir::format("a recording of version {}, and this weir reads those up to {}",
                                                   head->version(), version));
  }
  return Beginning{head->made_at(), text_of(head->pipeline()), text_of(head->node()), text_of(head->selection()),
                   text_of(head->made_by())};
}

/// Whether there is nothing yet, or what a crash has left of a file that was just being made.
Result<bool> is_cut_beginning(const File& file, std::uint64_t size) {
  constexpr std::uint64_t most = 4096;  // bytes of a beginning
  if (size == 0 || size > most) return size == 0;
  const std::string_view start = "wrec";
  const auto bytes = file.read(0, std::min<std::uint64_t>(start.size(), size));
  if (!bytes || !start.starts_with(*bytes)) return bytes.transform([](const std::string&) { return false; });
  return frame_from(file, 0, size).transform([](const std::optional<Frame>& any) { return !any.has_value(); });
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

bool read_commit(const std::string& head, std::map<Partition, Reached>& lanes) {
  const auto* commit = root_of<recorded::Commit>(head);
  if (commit == nullptr || commit->lanes() == nullptr) return false;
  for (const auto* lane : *commit->lanes()) {
    lanes[lane->partition()] = {lane->position(), lane->arrival(), {text_of(lane->stream()), lane->stream_created()}};
  }
  return true;
}

/// What is found by going from frame to frame.
struct Found {
  std::vector<Block> blocks;
  std::vector<Damage> damages;
  std::map<Partition, Reached> reached;
  Timestamp begins = no_time;
  std::uint64_t end = 0;     // behind the last commit, or the beginning
  std::uint64_t before = 0;  // behind the one before that
  bool cut = false;          // there is one more, of which not all is whole
};

/// Goes from frame to frame up to a place in the file.
class Search {
 public:
  Search(const File& file, std::uint64_t size, std::optional<Partition> only) : file_{file}, size_{size}, only_{only} {}

  Result<Found> run() {
    std::uint64_t at = 0;
    while (at < size_) {
      auto frame = frame_at(file_, at, size_);
      if (frame && !*frame) {
        frame = frame_from(file_, at + 1, size_);
        if (frame && *frame) damages_.push_back({at, (*frame)->at});
      }
      if (!frame) return std::unexpected(frame.error());
      if (!*frame) break;
      take(**frame);
      at = (*frame)->end();
    }
    return std::move(out_);
  }

 private:
  void take(const Frame& frame) {
    if (frame.label.kind == FrameKind::block) {
      auto head = read_head(frame.head);
      // Of one partition they ascend: what stands there once more was not written so.
      if (!head || head->block.first <= last_[head->block.partition]) {
        damages_.push_back({frame.at, frame.end()});
        return;
      }
      last_[head->block.partition] = head->block.last;
      head->block.at = frame.at;
      head->block.bytes = frame.label.whole();
      blocks_.push_back(std::move(head->block));
    } else if (frame.label.kind == FrameKind::commit ? read_commit(frame.head, out_.reached) : frame.at == 0) {
      commit(frame.end());
    }
  }

  /// What came before it counts.
  void commit(std::uint64_t end) {
    for (Block& block : blocks_) {
      if (out_.begins == no_time || block.begins < out_.begins) out_.begins = block.begins;
      if (!only_ || block.partition == *only_) out_.blocks.push_back(std::move(block));
    }
    blocks_.clear();
    out_.damages.append_range(std::exchange(damages_, {}));
    out_.before = std::exchange(out_.end, end);
  }

  const File& file_;
  std::uint64_t size_;
  std::optional<Partition> only_;
  Found out_;
  // Since the last commit.
  std::vector<Block> blocks_;
  std::vector<Damage> damages_;
  std::map<Partition, Position> last_;
};

Result<std::shared_ptr<const Messages>> read_block(const File& file, const Block& block) {
  auto frame = frame_at(file, block.at, block.at + block.bytes);
  if (!frame) return std::unexpected(frame.error());
  const auto head = *frame ? read_head((*frame)->head) : std::nullopt;
  auto body = head ? file.read((*frame)->body_at(), (*frame)->label.body) : Result<std::string>{};
  if (!body) return std::unexpected(body.error());
  auto messages = head ? read_body(block, *body, head->content)
                       : Result<std::shared_ptr<const Messages>>{fail(Error::Kind::changed, "its head has changed")};
  if (!messages) {
    messages.error().message =
        weir::format("the block at byte {} (partition {}, messages {} to {}) is damaged: {}", block.at, block.partition,
                     block.first, block.last, messages.error().message);
  }
  return messages;
}

/// What counts. Of the last commit each frame must be whole: a power cut may have left less than all of it.
Result<Found> find_all(const File& file, std::uint64_t size, std::optional<Partition> only) {
  auto found = Search{file, size, only}.run();
  if (!found) return found;
  const bool whole =
      std::ranges::none_of(found->damages, [&](const Damage& one) { return one.from >= found->before; }) &&
      std::ranges::all_of(found->blocks, [&](const Block& block) {
        return block.at < found->before || read_block(file, block).has_value();
      });
  if (whole) return found;
  return Search{file, found->before, only}.run().transform([](Found&& less) {
    less.cut = true;
    return std::move(less);
  });
}

/// When a message arrived, as the engine decided, where that can be seen: the rows [begin, end) are made of it.
Timestamp decided(const Batch& decoded, std::size_t message, std::size_t begin, std::size_t end) {
  return begin < end ? decoded.arrival[begin] : decoded.messages->items[message].arrival;
}

}  // namespace

struct Reader::Impl {
  std::string path;
  File file;
  std::uint64_t size = 0;
  Beginning beginning = {};
  Found found = {};
};

Reader::Reader(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

Result<Reader> Reader::open(const std::string& path, std::optional<Partition> only) {
  auto impl = std::make_unique<Impl>(path, File{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)});
  if (impl->file.descriptor() < 0) return by_system(path, "open");
  const auto size = impl->file.size();
  if (!size) return about(path, size.error());
  impl->size = *size;
  auto beginning = read_beginning(impl->file, *size);
  if (!beginning) return about(path, std::move(beginning.error()));
  impl->beginning = std::move(*beginning);
  auto found = find_all(impl->file, *size, only);
  if (!found) return about(path, std::move(found.error()));
  impl->found = std::move(*found);
  return Reader{std::move(impl)};
}

const Beginning& Reader::beginning() const { return impl_->beginning; }
const std::vector<Block>& Reader::blocks() const { return impl_->found.blocks; }
const std::vector<Damage>& Reader::damages() const { return impl_->found.damages; }
const std::map<Partition, Reached>& Reader::reached() const { return impl_->found.reached; }
Timestamp Reader::begins() const { return impl_->found.begins; }
std::uint64_t Reader::unfinished() const { return impl_->size - impl_->found.end; }
bool Reader::cut() const { return impl_->found.cut; }

Result<std::shared_ptr<const Messages>> Reader::read(const Block& block) const {
  auto messages = read_block(impl_->file, block);
  if (!messages) return about(impl_->path, std::move(messages.error()));
  return messages;
}

Result<std::vector<std::uint32_t>> Reader::keys(const Block& block) const {
  const auto frame = frame_at(impl_->file, block.at, block.at + block.bytes);
  if (!frame) return about(impl_->path, frame.error());
  return *frame ? keys_of((*frame)->head) : std::vector<std::uint32_t>{};
}

struct Writer::Impl {
  std::string path;
  File file;
  std::uint64_t end = 0;        // of what is written
  std::uint64_t committed = 0;  // of what counts
  Beginning beginning = {};
  std::string notice = {};
  std::map<Partition, Reached> reached = {};  // as committed
  std::map<Partition, Reached> passed = {};   // behind what was added, without streams
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
    const std::string aside = path + ".cut";
    const File to{::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, for_all)};
    if (to.descriptor() < 0) return by_system(aside, "open");
    constexpr std::uint64_t step = 1u << 20;
    for (std::uint64_t at = end; at < size; at += step) {
      const auto bytes = file.read(at, std::min(step, size - at));
      const auto done = bytes ? to.write(at - end, *bytes) : Result<void>{std::unexpected(bytes.error())};
      if (!done) return about(aside, done.error());
    }
    notice =
        weir::format("{}: its last commit, {} bytes, is not whole and was put aside to {}", path, size - end, aside);
    return {};
  }

  Result<void> resume(std::uint64_t size) {
    auto begun = read_beginning(file, size);
    if (!begun) return about(path, std::move(begun.error()));
    beginning = std::move(*begun);
    auto found = find_all(file, size, {});
    if (!found) return about(path, std::move(found.error()));
    end = committed = found->end;
    reached = passed = std::move(found->reached);
    if (found->cut) {
      if (auto kept = put_aside(size); !kept) return kept;
    }
    if (::ftruncate(file.descriptor(), static_cast<off_t>(end)) != 0) return by_system(path, "cut off the end of");
    return {};
  }

  Result<void> begin(const Beginning& anew) {
    if (::ftruncate(file.descriptor(), 0) != 0) return by_system(path, "empty");
    beginning = anew;
    if (auto done = append(FrameKind::beginning, beginning_head(beginning), {}); !done) return done;
    return sync();
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
    Reached out{lane.next.position, lane.next.arrival, lane.next.stream};
    if (!closed.contains(lane.partition)) return out;
    const Reached& taken = passed[lane.partition];
    out.position = taken.position;
    out.arrival = taken.arrival;
    return out;
  }

  Result<void> write_commit(std::span<const LaneCommit> lanes) {
    std::map<Partition, Reached> news;
    for (const LaneCommit& lane : lanes) {
      Reached place = place_of(lane);
      const auto before = reached.find(lane.partition);
      if (before != reached.end() && before->second.stream != place.stream) {
        return fail(Error::Kind::changed,
                    weir::format("{} holds messages of another stream than {}, or of one that was made anew since: "
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
      std::make_unique<Impl>(path, File{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, for_all)});
  if (impl->file.descriptor() < 0) return by_system(path, "open");
  if (::flock(impl->file.descriptor(), LOCK_EX | LOCK_NB) != 0)
    return fail(Error::Kind::held, path + " is being written by another process", "path");
  const auto size = impl->file.size();
  if (!size) return about(path, size.error());
  const auto anew = is_cut_beginning(impl->file, *size);
  if (!anew) return about(path, anew.error());
  auto ready = *anew ? impl->begin(beginning) : impl->resume(*size);
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
const std::string& Writer::notice() const { return impl_->notice; }

Result<std::size_t> Writer::add(const Batch& decoded, const Selection& selection) {
  std::size_t added = 0;
  if (!decoded.messages) return added;
  const Partition partition = decoded.origin.partition;
  const auto& items = decoded.messages->items;
  Reached& passed = impl_->passed[partition];
  std::size_t row = 0;
  const Column& keys = decoded.columns[samples::key];
  const Column& fields = decoded.columns[samples::field];
  const auto times = decoded.columns[samples::time].int64s();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t begin = row;
    while (row < decoded.rows && decoded.message_of_row[row] == i) ++row;
    if (items[i].sequence <= passed.position) continue;
    Message message = items[i];
    message.arrival = std::max(passed.arrival, decided(decoded, i, begin, row));
    if (message.arrival >= selection.until) {
      impl_->closed.insert(partition);
      return added;
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
