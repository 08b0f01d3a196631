/// What of a recording's file counts: found by going from frame to frame.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recording/recording.hpp"

#include "recording/frame.hpp"

namespace weir::recording {

inline constexpr std::uint32_t format_version = 1;

struct Found {
  std::vector<Block> blocks;
  std::vector<Damage> damages;
  std::map<Partition, Reached> reached;
  Timestamp begins = no_time;
  std::uint64_t end = 0;     ///< behind the last commit that counts, or the beginning
  std::uint64_t before = 0;  ///< behind the one before that
  bool cut = false;          ///< whole blocks stand behind, and there is or was one more, of which not all is whole
};

// Errors: as Reader's and Writer's open() have them, without the file's name. `size`: bytes of the file.

Result<Beginning> read_beginning(const File& file, std::uint64_t size);

/// Of the last commit each frame must be whole: a power cut may have left less than all of it. `only`: blocks of this
/// partition.
Result<Found> find_all(const File& file, std::uint64_t size, std::optional<Partition> only);

/// What there is to say of a block that can't be read.
std::string damage_of(const Block& block, std::string_view why);

/// changed: its bytes are not those that were written.
Result<std::shared_ptr<const Messages>> read_block(const File& file, const Block& block);

}  // namespace weir::recording
