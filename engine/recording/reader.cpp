#include "recording/recording.hpp"

#include <fcntl.h>

#include <utility>

#include "recording/block.hpp"
#include "recording/frame.hpp"
#include "recording/search.hpp"

namespace weir::recording {

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
  if (*frame && (*frame)->label.kind == FrameKind::block) return keys_of((*frame)->head);
  return about(impl_->path, {Error::Kind::changed, damage_of(block, "its head has changed")});
}

}  // namespace weir::recording
