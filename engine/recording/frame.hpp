/// Frames of a recording's file: where they stand, and whether they are whole.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <weir/types.hpp>

namespace weir::recording {

/// An error that is about the file of this name.
std::unexpected<Error> about(const std::string& path, Error error);
/// What the system has just refused to do with it, as errno says.
std::unexpected<Error> by_system(const std::string& path, const char* what);

/// A file that is open; closed with it.
class File {
 public:
  explicit File(int descriptor = -1) : descriptor_{descriptor} {}
  ~File();
  File(File&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  int descriptor() const { return descriptor_; }
  Result<std::uint64_t> size() const;
  /// So many bytes, or fewer where the file ends.
  Result<std::string> read(std::uint64_t at, std::uint64_t size) const;
  /// All of it, at a place.
  Result<void> write(std::uint64_t at, std::string_view bytes) const;

 private:
  int descriptor_;
};

/// What a frame begins with.
inline constexpr std::string_view frame_magic = "wrec";

enum class FrameKind : std::uint32_t { beginning = 1, block = 2, commit = 3 };

/// What stands before head and body, as schemas/recording.fbs says.
struct FrameLabel {
  static constexpr std::size_t size = 24;
  FrameKind kind = FrameKind::block;
  std::uint32_t head = 0, body = 0;

  std::uint64_t whole() const { return size + std::uint64_t{head} + body; }
};

std::array<char, FrameLabel::size> label_of(FrameKind kind, std::string_view head, std::size_t body);

struct Frame {
  std::uint64_t at = 0;  ///< in the file
  FrameLabel label;
  std::string head;

  std::uint64_t end() const { return at + label.whole(); }
  std::uint64_t body_at() const { return at + FrameLabel::size + label.head; }
};

/// The frame at a place, if it is one, within the first `size` bytes of the file.
Result<std::optional<Frame>> frame_at(const File& file, std::uint64_t at, std::uint64_t size);
/// Whether the first `size` bytes end at a place, or within a frame of this kind that begins there.
Result<bool> stopped_within(const File& file, FrameKind kind, std::uint64_t at, std::uint64_t size);
/// The next one from a place on; nothing: there is none. `in_vain` counts the bytes of what began like a frame and was
/// none, over all that is searched of a file. Error::changed: more of it than the file has, and than chance or a disk
/// makes, so that whoever made it wants us to search for ever.
Result<std::optional<Frame>> frame_from(const File& file, std::uint64_t at, std::uint64_t size, std::uint64_t& in_vain);

}  // namespace weir::recording
