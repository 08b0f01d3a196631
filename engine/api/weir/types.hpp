/// The words every other header uses: instants, lengths of time, places in a stream, errors, reasons.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

/// An instant: nanoseconds since 1970-01-01T00:00:00 UTC. Event times and arrival times are both of this type.
using Timestamp = std::int64_t;

/// A length of time in nanoseconds.
using Duration = std::int64_t;

inline constexpr Timestamp no_time = INT64_MIN;  ///< "there is none"; compares below every instant
inline constexpr Timestamp end_of_time = INT64_MAX;
inline constexpr Duration unlimited = INT64_MAX;  ///< of settings that may be "none"
inline constexpr Duration microsecond = 1'000;
inline constexpr Duration millisecond = 1'000'000;
inline constexpr Duration second = 1'000'000'000;
inline constexpr Duration minute = 60 * second;

inline double seconds(Duration length) { return static_cast<double>(length) / static_cast<double>(second); }

/// A partition of a stream, counted from 0. The lane that reads it has the same number.
using Partition = std::uint32_t;

/// A place in one partition: the stream sequence of the last message that is wholly done. 0 is before the first
/// message.
using Position = std::uint64_t;

/// What the world did to us; returned, never thrown.
struct Error {
  enum class Kind {
    unreachable,  ///< a service does not answer or refuses the login; trying again may help
    refused,      ///< the service answered and said no (a data error, a missing right); trying again will not help
    held,         ///< another worker has it: it becomes free when that one gives it up or is dead
    changed,      ///< what is there differs from what was agreed: a table, a stream, a fence
    invalid,      ///< the user's setting or input can't work as it is
    exhausted,    ///< a declared bound was reached
    stopped,      ///< the caller asked to stop while we were waiting
    internal,     ///< our bug, or a third party's exception
  };
  Kind kind = Kind::internal;
  std::string message;       ///< says what is wrong, where, and what to do; no trailing full stop
  std::string setting = {};  ///< the node's setting that is to blame, as a path ("columns.speed.fill"); may be empty
  std::size_t offset = 0;    ///< where inside that setting's text (expressions), in bytes
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Error::Kind kind, std::string message, std::string setting = {},
                                   std::size_t offset = 0) {
  return std::unexpected(Error{kind, std::move(message), std::move(setting), offset});
}

/// Why a record was not processed: a code that programs, metrics and SQL go by, and words for people. The code is the
/// same for all records of a kind, and stays what it is: `ahead_of_arrival`. The words may show the record and may
/// change at any time.
struct Reason {
  std::string code = {};  ///< lower-case letters, digits and '_'; empty: there is no reason
  std::string detail = {};

  Reason() = default;
  explicit(false) Reason(std::string_view stable, std::string words = {}) : code{stable}, detail{std::move(words)} {}
  explicit(false) Reason(const char* stable) : code{stable} {}

  bool empty() const { return code.empty(); }
  void add_detail(std::string_view words);
  /// "code: detail"
  std::string text() const;
  /// The reason whose text() this is; of anything else the code is `unspecified`, and all of it the detail.
  static Reason parse(std::string_view text);
  bool operator==(const Reason&) const = default;
};

/// Whether a code may be one.
bool is_code(std::string_view text);

}  // namespace weir
