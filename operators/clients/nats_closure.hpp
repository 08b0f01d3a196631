/// What callbacks of the library are given to find their object by.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace weir::nats {

/// A number that stands for an object as long as this lives. The library hands it to its callbacks; one that is late
/// finds nothing instead of freed memory. Needed because the library calls back without its lock, and destroying a
/// JetStream context does not wait for a callback that is under way.
///
/// Threads   any.
template <typename T>
class Closure {
 public:
  explicit Closure(const std::shared_ptr<T>& object) {
    auto& all = known();
    const std::lock_guard lock{all.mutex};
    number_ = ++all.last;
    all.objects.emplace(number_, object);
  }
  ~Closure() {
    auto& all = known();
    const std::lock_guard lock{all.mutex};
    all.objects.erase(number_);
  }
  Closure(const Closure&) = delete;
  Closure& operator=(const Closure&) = delete;

  void* value() const { return reinterpret_cast<void*>(number_); }  // NOLINT: never followed

  /// The object, kept alive by the answer; null if its Closure is gone.
  static std::shared_ptr<T> find(void* value) {
    auto& all = known();
    const std::lock_guard lock{all.mutex};
    const auto found = all.objects.find(reinterpret_cast<std::uintptr_t>(value));
    return found == all.objects.end() ? nullptr : found->second.lock();
  }

 private:
  struct Known {
    std::mutex mutex;
    std::uintptr_t last = 0;
    std::unordered_map<std::uintptr_t, std::weak_ptr<T>> objects;
  };
  /// Never destroyed: the library's threads may outlive main().
  static Known& known() {
    static auto& all = *new Known;
    return all;
  }

  std::uintptr_t number_ = 0;
};

}  // namespace weir::nats
