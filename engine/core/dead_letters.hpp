/// Where dead letters go when no sink keeps them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <weir/sink.hpp>

namespace weir {

/// Keeps dead letters. Letters that are given again after a failure have the same partition, position and ordinal.
/// Threads   one.
class DeadLetterBox {
 public:
  virtual ~DeadLetterBox() = default;
  /// Durable when it returns.
  virtual Result<void> keep(const std::vector<Sink::DeadLetter>& letters) = 0;
};

/// One JSON object per line: pipeline, node, reason, partition, position, ordinal, arrival, subject, and payload as
/// base64. The file is opened at the first letter, appended to, and synchronised at every keep().
std::unique_ptr<DeadLetterBox> dead_letter_file(std::string path, std::string pipeline);

}  // namespace weir
