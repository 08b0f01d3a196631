/// The contract of a payload encoding.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <weir/message.hpp>
#include <weir/types.hpp>

namespace weir {

/// One sample on its way in or out of a payload.
struct Sample {
  std::string_view key = {};
  std::string_view field = {};
  std::optional<Timestamp> time = {};  ///< none: arrival stands in
  double x = 0, y = 0, z = 0;          ///< z is NaN when unknown
  std::string_view text = {};
  enum class Kind : std::uint8_t { number, point, text } kind = Kind::number;
};

/// Takes the samples of one message. The engine interns names, checks bounds, and drops what a failing message already
/// added.
class SampleSink {
 public:
  virtual ~SampleSink() = default;
  virtual void add(const Sample& sample) = 0;
  /// A sample of the message can't be taken; the others can. The message has a dead letter all the same.
  virtual void refuse(Reason reason) = 0;
};

/// Answers what stands for a key from now on.
using Renaming = std::function<std::string(std::string_view key)>;

/// What a payload that was taken may lack.
enum class Lack : std::uint8_t { time, samples };

/// Bytes to samples and back. One instance may be used by many lanes.
///
/// Threads   decode and encode may be called from several threads at once; no state.
/// Errors    decode answers a reason, {"not_json", "mistake at byte 7"}; the message then goes whole to the dead
/// letters.
class Codec {
 public:
  virtual ~Codec() = default;
  /// `message.key` and `message.field` stand in where the payload names none.
  virtual std::expected<void, Reason> decode(const Message& message, SampleSink& out) const = 0;
  /// Of a message that decode() took and that gave no sample, or one without a time: where that was looked for, and
  /// what stands there instead, as a line for the log. Empty: the encoding has none, or this message need not have any.
  virtual std::string explain(const Message&, Lack) const { return {}; }
  /// The payload of a message with other texts for the keys that it names, wherever decode() looks for one. An Error if
  /// it is no payload of this encoding, or this encoding can't do that.
  virtual std::expected<std::string, std::string> renamed(const Message&, const Renaming&) const {
    return std::unexpected("keys in payloads of this encoding can't be replaced");
  }
  /// One payload with these samples. `key_outside` and `field_outside`: the subject says it, so leave it out.
  /// An Error if this encoding can't hold them (text: one number only).
  virtual std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                         bool field_outside) const = 0;
};

}  // namespace weir
