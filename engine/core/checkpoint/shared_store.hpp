/// A store that several threads may use, one at a time.
#pragma once

#include <memory>
#include <mutex>

#include <weir/store.hpp>

namespace weir {

/// Threads   any.
class SharedStore final : public Store {
 public:
  explicit SharedStore(std::unique_ptr<Store> store) : store_{std::move(store)} {}

  Result<void> open() override {
    return locked([&] { return store_->open(); });
  }
  Result<void> put(std::string_view name, std::string_view value) override {
    return locked([&] { return store_->put(name, value); });
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    return locked([&] { return store_->get(name); });
  }
  Result<void> remove(std::string_view name) override {
    return locked([&] { return store_->remove(name); });
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    return locked([&] { return store_->names(prefix); });
  }
  bool durable() const override { return store_->durable(); }
  Duration lease() const override { return store_->lease(); }
  Result<std::optional<Versioned>> newest(std::string_view name) override {
    return locked([&] { return store_->newest(name); });
  }
  Result<std::optional<std::uint64_t>> put_if(std::string_view name, std::string_view value,
                                              std::uint64_t revision) override {
    return locked([&] { return store_->put_if(name, value, revision); });
  }
  Result<Timestamp> time() override {
    return locked([&] { return store_->time(); });
  }

 private:
  auto locked(auto call) -> decltype(call()) {
    const std::scoped_lock lock{mutex_};
    return call();
  }

  std::unique_ptr<Store> store_;
  std::mutex mutex_;
};

}  // namespace weir
