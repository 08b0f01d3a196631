/// The contract of a store: named values that outlive a worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// Values by name. The engine cuts snapshots into values of at most 512 kB and writes the manifest last, so a store
/// needs neither transactions nor large values. Names are `[A-Za-z0-9_/=.-]+`.
///
/// Threads   any: snapshots of several partitions are read and written at once.
class Store {
 public:
  static constexpr std::size_t largest_value = 512u << 10;

  virtual ~Store() = default;
  /// Connects, creates what it keeps values in if it is absent.
  virtual Result<void> open() = 0;
  /// Connects and makes nothing, for those who only look: where nothing was ever kept there are no values.
  virtual Result<void> look() { return open(); }
  virtual Result<void> put(std::string_view name, std::string_view value) = 0;
  /// Nothing if there is no such value.
  virtual Result<std::optional<std::string>> get(std::string_view name) = 0;
  virtual Result<void> remove(std::string_view name) = 0;
  /// Names that begin with `prefix`, sorted.
  virtual Result<std::vector<std::string>> names(std::string_view prefix) = 0;
  /// False for a store whose values are gone with the process.
  virtual bool durable() const = 0;

  // For workers that share partitions by it: a store that several processes see alike.

  /// How long a lease lasts; 0: there are none, and the two below are never called.
  virtual Duration lease() const { return 0; }
  struct Versioned {
    std::string value;
    std::uint64_t revision = 0;   ///< another after each change; never 0
    Timestamp written = no_time;  ///< by the store's own clock, see time()
  };
  /// What get() answers, never stale, with its revision.
  virtual Result<std::optional<Versioned>> newest(std::string_view name) {
    return fail(Error::Kind::invalid, std::string{name} + ": this store has no revisions");
  }
  /// Stores a value if what is there still has this revision (0: there is nothing). Answers the new revision, nothing
  /// if something else was there.
  virtual Result<std::optional<std::uint64_t>> put_if(std::string_view name, std::string_view value,
                                                      std::uint64_t revision) {
    (void)value, (void)revision;
    return fail(Error::Kind::invalid, std::string{name} + ": this store has no revisions");
  }
  /// What the store's own clock says now: `written` is to be compared with nobody else's.
  virtual Result<Timestamp> time() { return fail(Error::Kind::invalid, "this store has no clock"); }
};

}  // namespace weir
