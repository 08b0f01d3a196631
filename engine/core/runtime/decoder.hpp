/// Raw messages to batches of samples.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <weir/codec.hpp>
#include <weir/dictionary.hpp>
#include <weir/shapes.hpp>
#include <weir/sink.hpp>

#include "core/observe/counters.hpp"

namespace weir {

/// What decoding a pull's worth of messages gave.
struct Decoded {
  Place place = {};                            ///< of the last message
  BatchPtr batch;                              ///< samples; of no rows if there were only markers or refused messages
  std::vector<Sink::DeadLetter> dead_letters;  ///< whole messages that could not be decoded, with their bytes
  std::uint32_t keys = 0;                      ///< how many keys and fields the tables held then: what save() keeps
  std::uint32_t fields = 0;
  std::uint64_t messages = 0;             ///< without markers
  std::uint64_t empty = 0;                ///< messages that were fine and held no sample
  std::uint64_t bytes = 0;                ///< of payload
  std::uint64_t untimed_samples = 0;      ///< samples whose payload told none: their arrival is their event time
  std::vector<std::string> notices = {};  ///< lines for the log: what the first payload of a kind lacks
};

/// Decodes messages with a codec, interning keys and fields: those of a refused message take no place in the tables.
///
/// Threads   one.
/// Refused   the whole message, with a reason: what the source or the codec would not accept; no key; a key longer than
///           1,024 bytes, or not UTF-8, or another than its subject's; a new key beyond the table's limit; a text that
///           is not UTF-8. One sample, with a dead letter of its message, the others of which are taken: a new field
///           beyond the limit, a point that is no place on the Earth, what the codec refuses alone.
class Decoder {
 public:
  static constexpr std::size_t longest_key = 1024;
  /// The table holds more: whatever devices have sent before, a column that is added later has a place.
  static constexpr std::uint32_t most_met_fields = samples::most_fields - 256;

  Decoder(const Codec& codec, std::string node, Partition partition, std::uint32_t partitions,
          std::shared_ptr<Dictionary> keys, std::shared_ptr<Dictionary> fields);

  /// The position before the first message to come, and the arrival time that was reached there.
  void start(Position after, Timestamp arrival) {
    last_ = after;
    arrival_ = arrival;
  }

  Decoded decode(std::shared_ptr<const Messages> messages);

 private:
  /// How a lack is told: once, of the first payload of which the codec has something to say.
  struct Telling {
    Lack lack;
    std::string_view says, means;
    unsigned tries = 100;  ///< each reads the payload again; where so many need not have it, none need
  };
  void tell(Telling& telling, const Message& message, std::vector<std::string>& notices) const;

  const Codec& codec_;
  std::string node_;
  Partition partition_;
  std::uint32_t partitions_;
  std::shared_ptr<Dictionary> keys_;
  std::shared_ptr<Dictionary> fields_;
  Position last_ = 0;
  Timestamp arrival_ = no_time;  // the greatest so far: a stream's own timestamps may go back
  Telling untimed_{Lack::time, "tells no time",
                   "its arrival is its event time (this is said once; untimed_samples counts)"};
  Telling empty_{Lack::samples, "holds no sample", "nothing comes of it (this is said once; empty_messages counts)"};
};

}  // namespace weir
