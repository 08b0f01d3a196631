/// The dead letter of a row, and how many of them are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <weir/batch.hpp>
#include <weir/sink.hpp>
#include <weir/state.hpp>

namespace weir {

/// A letter for a row of a batch. Where the message behind the row is known, its position and bytes are the letter's,
/// wherever batches were cut; else the position is the last of the batch, and the payload the row as JSON.
Sink::DeadLetter dead_letter_of(const Batch& in, std::size_t row, std::string_view node, const Reason& reason);

/// The letter of a row that a sink would not take, told from others by the row's number. Of a message with several rows
/// the payload is the row as JSON: a frame of a thousand samples, all refused, is not kept a thousand times.
Sink::DeadLetter dead_letter_of(const Encoded& rows, std::size_t row, std::string_view node, const Reason& reason);

/// What of a partition's letters is kept: so many of a minute of arrival time per node and reason, of these per key,
/// and of a day in all. Which are kept is a function of the letters alone, in their order. A publisher that sends
/// nothing but invalid messages fills neither the database nor the place of another vehicle's letters.
///
/// State     a number for each key and reason that has a letter in this minute: at most the letters that are kept.
/// Threads   one.
class DeadLetterQuota {
 public:
  /// More reasons than these in a minute share the bound of one.
  static constexpr std::size_t most_reasons = 64;

  explicit DeadLetterQuota(const DeadLetterBounds& bounds) : bounds_{bounds} {}

  /// Whether the letter is to be kept; it counts then.
  bool takes(const Sink::DeadLetter& letter);

  void save(StateWriter& out) const;
  void load(StateReader& in);

 private:
  using Cause = std::pair<std::string, std::string>;  // node, and a reason's code

  DeadLetterBounds bounds_;
  std::int64_t minute_ = 0, day_ = 0;  // of the newest letter's arrival
  std::uint32_t today_ = 0;
  struct Kept {
    std::uint32_t letters = 0;
    std::map<std::string, std::uint32_t> by_key = {};
  };
  std::map<Cause, Kept> kept_;  // in this minute
};

/// The same of the rows that sinks reject, which are known when they are committed: a sink's own, or those of others
/// that it is given. A copy is what to go on with once the commit has succeeded.
class RejectedRowQuota {
 public:
  explicit RejectedRowQuota(const DeadLetterBounds& bounds) : bounds_{bounds} {}

  /// Letters of anything but rows are bounded in their lane already, and taken always.
  bool takes(const Sink::DeadLetter& letter) {
    return !letter.row || lanes_.try_emplace(letter.partition, bounds_).first->second.takes(letter);
  }

 private:
  DeadLetterBounds bounds_;
  std::map<Partition, DeadLetterQuota> lanes_;
};

}  // namespace weir
