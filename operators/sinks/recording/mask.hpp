/// Keys that stand for others: who the vehicles are is not recorded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <weir/batch.hpp>
#include <weir/codec.hpp>
#include <weir/types.hpp>

namespace weir::recording {

/// A secret that a file holds. Makes the file, for its owner alone, with a random one if it is not there and
/// `may_make`. Error: refused by the system, or invalid: not there.
Result<std::string> secret_in(const std::string& path, bool may_make);
/// Whether others than its owner may read a file; false if that can't be told.
bool others_may_read(const std::string& path);

/// Replaces keys in messages: in subjects, in payloads, and in what is known of both. The same key always gets the same
/// mask, from which without the secret nobody finds it; mask and key belong to the same partition.
///
/// Threads   one at a time.
class Mask {
 public:
  /// `codec` must outlive it. `partitions`: of the source.
  Mask(std::string secret, const Codec& codec, std::uint32_t partitions);

  /// 18 digits and letters.
  std::string of(std::string_view key);
  /// Tells secrets apart, without telling them.
  std::string fingerprint() const;

  struct Masked {
    BatchPtr batch;
    std::vector<std::uint8_t> keep;  ///< 0: the message can't be masked, or was not wanted
    std::uint64_t left_out = 0;      ///< those that were wanted
  };
  /// A decoded batch and its messages. `wanted`: flags of the messages; none: all. Headers, which may say anything, are
  /// left out, and messages that the source refused or that are no payloads of the codec.
  Masked batch(const Batch& decoded, std::span<const std::uint8_t> wanted);

 private:
  struct Owner;
  using Named = std::set<std::string, std::less<>>;  ///< keys that a payload names

  std::string subject_of(const Message& from, const Named& named);
  bool mask(const Message& from, Message& into, Owner& owner);

  std::string secret_;
  const Codec& codec_;
  std::uint32_t partitions_;
  std::unordered_map<std::string, std::string> masks_;  // the latest
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>();
};

}  // namespace weir::recording
