/// Lane state in a store: written whole before it is named, found again by name.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <weir/sink.hpp>
#include <weir/store.hpp>
#include <weir/types.hpp>

namespace weir {

/// One lane's state at one position.
struct Snapshot {
  Progress at;  ///< all that is known of that position; its own `snapshot` is empty
  std::string state;
};

/// A name of anything, made fit to be part of a store's names, which hold only some characters.
std::string storable(std::string_view text);

/// Snapshots of one pipeline in a store. A snapshot is chunks of at most Store::largest_value and then a manifest, so
/// that one without a manifest, or with a chunk missing or changed, is never taken for whole. Its name contains the
/// owner's fence, so that a former owner's late upload overwrites nothing; and the numbering of its rows, as one owner
/// may come to a position again by other messages of a source that can't replay.
///
/// Threads   any; for one partition one at a time.
class Snapshots {
 public:
  /// The store must be open and outlive this. `shared`: workers share partitions by this store, which has leases.
  Snapshots(Store& store, std::string_view pipeline, bool shared = false);

  /// Writes a snapshot whole and answers its name.
  Result<std::string> write(Partition partition, std::string_view fence, const Snapshot& snapshot);

  /// Error::changed if it is not there or not whole.
  Result<Snapshot> read(std::string_view name);
  /// Its place alone; the state may be damaged.
  Result<Progress> place(std::string_view name);

  /// Deletes the partition's snapshots older than `newest`, but for `before`; only by the owner, after a commit in
  /// which every progress came to name `newest`. Of other fences only those older than `before`: if a fail-over lost
  /// that commit, a new owner may name one of its own between the two by now.
  Result<void> prune(Partition partition, std::string_view newest, std::string_view before);

  /// The snapshot that was named last: where sinks keep no progress, a lane starts from it; where they do, it tells
  /// sinks that come later where they begin, and that what a sink kept is gone.
  struct Latest {
    std::string snapshot = {};  ///< empty: none
    std::string sinks = {};     ///< that have what led there, as Progress::sinks
    bool operator==(const Latest&) const = default;
  };
  /// Where workers share, false if another has remembered one since remembered() was asked: the partition is its own
  /// now, and nothing has changed.
  Result<bool> remember(Partition partition, const Latest& latest);
  Result<Latest> remembered(Partition partition);

  /// Whether there is anything of a partition, but for how often it was forgotten.
  Result<bool> any(Partition partition);
  /// Deletes all that there is of a partition, and counts that; if that fails in between, it is not whole, and once
  /// more deletes the rest.
  Result<void> forget(Partition partition);
  /// How often that was done.
  Result<std::uint32_t> resets(Partition partition);

  bool durable() const { return store_.durable(); }
  bool shared() const { return shared_; }
  const std::string& pipeline() const { return pipeline_; }  ///< storable

 private:
  std::string prefix(Partition partition) const;
  Result<std::string> manifest(std::string_view name);
  Result<std::vector<std::string>> names(Partition partition);

  Store& store_;
  std::string pipeline_;
  bool shared_;
  /// Where workers share: what the store holds, as far as this one knows.
  struct Remembered {
    std::uint64_t revision = 0;
    std::string tried = {};  ///< what it was last told, if nothing was heard of that
  };
  Remembered& known_of(Partition partition);
  std::mutex mutex_;
  std::map<Partition, Remembered> remembered_;
};

}  // namespace weir
