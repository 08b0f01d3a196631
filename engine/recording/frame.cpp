#include "recording/frame.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <weir/checksum.hpp>
#include <weir/format.hpp>

namespace weir::recording {
namespace {

constexpr std::size_t summed = 16;               // bytes of a label that its sum is of
constexpr std::uint32_t most_head = 64u << 20;   // of keys a message has, or thousands of partitions in a commit
constexpr std::uint64_t search_step = 1u << 20;  // bytes
constexpr std::uint64_t vain_at_least = 64u << 20;

static_assert(std::endian::native == std::endian::little, "numbers in labels are little-endian");

Result<std::optional<Frame>> none() { return std::optional<Frame>{}; }

/// A label as it stands in the file.
struct Written {
  FrameLabel label;
  std::string bytes;  // that the sum is of
  std::uint64_t sum = 0;

  bool has(std::string_view head) const {
    return head.size() == label.head && checksum(std::string{bytes}.append(head)) == sum;
  }
};

std::optional<Written> label_in(std::string_view bytes) {
  if (bytes.size() < FrameLabel::size || !bytes.starts_with(frame_magic)) return {};
  std::array<std::uint32_t, 3> numbers{};
  Written out;
  std::memcpy(numbers.data(), bytes.data() + frame_magic.size(), sizeof numbers);
  std::memcpy(&out.sum, bytes.data() + summed, sizeof out.sum);
  out.label = {FrameKind{numbers[0]}, numbers[1], numbers[2]};
  out.bytes = bytes.substr(0, summed);
  if (out.label.head > most_head) return {};
  return out;
}

Result<std::optional<Frame>> frame_at(const File& file, std::uint64_t at, std::uint64_t size, std::uint64_t& in_vain) {
  const auto bytes = file.read(at, FrameLabel::size);
  if (!bytes) return std::unexpected(bytes.error());
  const auto written = label_in(*bytes);
  if (!written || at > size || written->label.whole() > size - at) return none();
  auto head = file.read(at + FrameLabel::size, written->label.head);
  if (!head) return std::unexpected(head.error());
  if (written->has(*head)) return Frame{at, written->label, std::move(*head)};
  in_vain += head->size();
  return none();
}

}  // namespace

std::unexpected<Error> about(const std::string& path, Error error) {
  error.message = path + ": " + error.message;
  return std::unexpected(std::move(error));
}

std::unexpected<Error> by_system(const std::string& path, const char* what) {
  return fail(Error::Kind::refused, weir::format("can't {} {}: {}", what, path, std::strerror(errno)), "path");
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::uint64_t> File::size() const {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) return by_system("it", "look at");
  if (!S_ISREG(status.st_mode)) return fail(Error::Kind::invalid, "it is no file that could be a recording");
  return static_cast<std::uint64_t>(status.st_size);
}

Result<std::string> File::read(std::uint64_t at, std::uint64_t size) const {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = ::pread(descriptor_, out.data() + have, out.size() - have, static_cast<off_t>(at + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return by_system("it", "read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  out.resize(have);
  return out;
}

Result<void> File::write(std::uint64_t at, std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return by_system("it", "write");
    at += static_cast<std::size_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

std::array<char, FrameLabel::size> label_of(FrameKind kind, std::string_view head, std::size_t body) {
  std::array<char, FrameLabel::size> out{};
  const std::array<std::uint32_t, 3> numbers{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(head.size()),
                                             static_cast<std::uint32_t>(body)};
  std::ranges::copy(frame_magic, out.begin());
  std::memcpy(out.data() + frame_magic.size(), numbers.data(), sizeof numbers);
  const std::uint64_t sum = checksum(std::string{out.data(), summed}.append(head));
  std::memcpy(out.data() + summed, &sum, sizeof sum);
  return out;
}

Result<std::optional<Frame>> frame_at(const File& file, std::uint64_t at, std::uint64_t size) {
  std::uint64_t in_vain = 0;
  return frame_at(file, at, size, in_vain);
}

Result<bool> stopped_within(const File& file, FrameKind kind, std::uint64_t at, std::uint64_t size) {
  const auto bytes = file.read(at, std::min<std::uint64_t>(FrameLabel::size, size - at));
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->size() < FrameLabel::size) return frame_magic.starts_with(bytes->substr(0, frame_magic.size()));
  const auto written = label_in(*bytes);
  const std::uint64_t behind = size - at - FrameLabel::size;
  if (!written || written->label.kind != kind || written->label.whole() <= size - at) return false;
  if (written->label.head > behind) return true;
  return file.read(at + FrameLabel::size, written->label.head).transform([&](const std::string& head) {
    return written->has(head);
  });
}

Result<std::optional<Frame>> frame_from(const File& file, std::uint64_t at, std::uint64_t size,
                                        std::uint64_t& in_vain) {
  while (at + FrameLabel::size <= size) {
    const auto bytes = file.read(at, std::min(search_step, size - at));
    if (!bytes) return std::unexpected(bytes.error());
    for (std::size_t found = bytes->find(frame_magic); found != std::string::npos;
         found = bytes->find(frame_magic, found + 1)) {
      auto frame = frame_at(file, at + found, size, in_vain);
      if (!frame || *frame) return frame;
      if (in_vain > size + vain_at_least)
        return fail(Error::Kind::changed,
                    "it is no recording that anybody wrote: far too much of it looks like frames");
    }
    if (bytes->size() < frame_magic.size()) break;
    at += bytes->size() - frame_magic.size() + 1;
  }
  return none();
}

}  // namespace weir::recording
