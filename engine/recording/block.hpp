/// Blocks of messages: between what a source gave and the head and body of a frame.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "recording/recording.hpp"

namespace weir::recording {

/// A block while it is gathered. Ascending messages of one partition.
///
/// Threads   one.
class BlockBuilder {
 public:
  /// `before`: arrival time that was reached.
  BlockBuilder(Partition partition, Timestamp before);

  void add(const Message& message);
  /// A sample of a message that was added.
  void add_sample(std::string_view key, std::string_view field, Timestamp time);

  bool empty() const { return block_.messages == 0; }
  /// Large enough to be written.
  bool full() const;

  struct Frame {
    std::string head, body;
  };
  Frame finish();

 private:
  Block block_;
  std::map<std::string, std::uint64_t, std::less<>> fields_;
  std::vector<std::uint32_t> keys_;
  std::uint32_t last_key_ = 0;
  std::uint64_t* last_count_ = nullptr;
  std::string last_field_;
  Timestamp stamp_ = 0;  // of the last message

  std::vector<std::uint64_t> steps_;
  std::vector<std::int64_t> stamps_;
  std::vector<std::uint8_t> markers_;
  std::vector<std::uint32_t> subject_sizes_, key_begins_, key_sizes_, field_begins_, field_sizes_, header_sizes_,
      refusal_sizes_, payload_sizes_;
  std::string subjects_, headers_, refusals_, payloads_;
};

/// What a head says; nothing if it is none. Without its place in the file. `content`: bytes of the body, decompressed.
struct ReadHead {
  Block block;
  std::uint32_t content = 0;
};
std::optional<ReadHead> read_head(std::string_view head);
/// The hashes of the keys that a head names.
std::vector<std::uint32_t> keys_of(std::string_view head);

/// The messages in a body. Error: why it is none.
Result<std::shared_ptr<const Messages>> read_body(const Block& block, std::string_view body, std::uint32_t content);

}  // namespace weir::recording
