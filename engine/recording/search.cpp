#include "recording/search.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>

#include "recording/block.hpp"
#include "recording/flat.hpp"

namespace weir::recording {
namespace {

bool read_commit(const std::string& head, std::map<Partition, Reached>& lanes) {
  const auto* commit = root_of<recorded::Commit>(head);
  if (commit == nullptr || commit->lanes() == nullptr) return false;
  for (const auto* lane : *commit->lanes()) {
    lanes[lane->partition()] = {lane->position(), lane->arrival(), {text_of(lane->stream()), lane->stream_created()}};
  }
  return true;
}

/// Goes from frame to frame up to a place in the file.
class Search {
 public:
  Search(const File& file, std::uint64_t size) : file_{file}, size_{size} {}

  Result<Found> run() {
    std::uint64_t at = 0;
    while (at < size_) {
      auto frame = frame_at(file_, at, size_);
      if (frame && !*frame) {
        frame = frame_from(file_, at + 1, size_, in_vain_);
        if (frame && *frame) damages_.push_back({at, (*frame)->at});
      }
      if (!frame) return std::unexpected(frame.error());
      if (!*frame) break;
      take(**frame);
      at = (*frame)->end();
    }
    if (!holds_) return std::move(out_);
    const auto stopped = stopped_within(file_, FrameKind::block, at, size_);
    if (!stopped) return std::unexpected(stopped.error());
    out_.cut = strange_ || !damages_.empty() || !*stopped;
    return std::move(out_);
  }

 private:
  void take(const Frame& frame) {
    if (frame.label.kind == FrameKind::block) {
      auto head = read_head(frame.head);
      // Of one partition they ascend: what stands there once more was not written so.
      if (!head || head->block.first <= last_[head->block.partition] || head->block.last < head->block.first) {
        damages_.push_back({frame.at, frame.end()});
        return;
      }
      holds_ = true;
      last_[head->block.partition] = head->block.last;
      head->block.at = frame.at;
      head->block.bytes = frame.label.whole();
      blocks_.push_back(std::move(head->block));
    } else if (frame.label.kind == FrameKind::commit ? read_commit(frame.head, out_.reached) : frame.at == 0) {
      commit(frame.end());
    } else {
      strange_ = true;
    }
  }

  /// What came before it counts.
  void commit(std::uint64_t end) {
    for (Block& block : blocks_) {
      if (out_.begins == no_time || block.begins < out_.begins) out_.begins = block.begins;
      out_.blocks.push_back(std::move(block));
    }
    blocks_.clear();
    holds_ = strange_ = false;
    out_.damages.append_range(std::exchange(damages_, {}));
    out_.before = std::exchange(out_.end, end);
  }

  const File& file_;
  std::uint64_t size_;
  Found out_;
  // Since the last commit.
  std::vector<Block> blocks_;
  std::vector<Damage> damages_;
  std::map<Partition, Position> last_;
  bool holds_ = false;         // whole blocks
  std::uint64_t in_vain_ = 0;  // see frame_from()
  bool strange_ = false;       // a whole frame that does not belong there
};

}  // namespace

Result<Beginning> read_beginning(const File& file, std::uint64_t size) {
  const auto frame = frame_at(file, 0, size);
  if (!frame) return std::unexpected(frame.error());
  const auto* head =
      *frame && (*frame)->label.kind == FrameKind::beginning ? root_of<recorded::Beginning>((*frame)->head) : nullptr;
  if (head == nullptr) return fail(Error::Kind::invalid, "this is no recording, or its first bytes are damaged");
  if (head->version() > format_version) {
    return fail(Error::Kind::invalid, weir::format("a recording of version {}, and this weir reads those up to {}",
                                                   head->version(), format_version));
  }
  return Beginning{head->made_at(), text_of(head->pipeline()), text_of(head->node()), text_of(head->selection()),
                   text_of(head->made_by())};
}

Result<std::shared_ptr<const Messages>> read_block(const File& file, const Block& block) {
  auto frame = frame_at(file, block.at, block.at + block.bytes);
  if (!frame) return std::unexpected(frame.error());
  const auto head = *frame ? read_head((*frame)->head) : std::nullopt;
  auto body = head ? file.read((*frame)->body_at(), (*frame)->label.body) : Result<std::string>{};
  if (!body) return std::unexpected(body.error());
  auto messages = head ? read_body(block, *body, head->content)
                       : Result<std::shared_ptr<const Messages>>{fail(Error::Kind::changed, "its head has changed")};
  if (!messages) messages.error().message = damage_of(block, messages.error().message);
  return messages;
}

std::string damage_of(const Block& block, std::string_view why) {
  return weir::format("the block at byte {} (partition {}, messages {} to {}) is damaged: {}", block.at,
                      block.partition, block.first, block.last, why);
}

Result<Found> find_all(const File& file, std::uint64_t size, std::optional<Partition> only) {
  const auto of_partition = [&](Found&& all) {
    if (only) std::erase_if(all.blocks, [&](const Block& block) { return block.partition != *only; });
    return std::move(all);
  };
  auto found = Search{file, size}.run();
  if (!found) return found;
  // Of all partitions, so that who reads one of them sees the same end as who reads another.
  const bool whole =
      std::ranges::none_of(found->damages, [&](const Damage& one) { return one.from >= found->before; }) &&
      std::ranges::all_of(found->blocks, [&](const Block& block) {
        return block.at < found->before || read_block(file, block).has_value();
      });
  if (whole) return of_partition(*std::move(found));
  return Search{file, found->before}.run().transform([&](Found&& less) {
    less.cut = true;
    return of_partition(std::move(less));
  });
}

}  // namespace weir::recording
