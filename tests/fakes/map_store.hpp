/// A durable store whose values are a plain variable, which may outlive it.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <weir/store.hpp>

namespace weir::fakes {

class MapStore : public Store {
 public:
  using Values = std::map<std::string, std::string, std::less<>>;
  explicit MapStore(Values& values) : values_{values} {}

  Result<void> open() override { return {}; }
  Result<void> put(std::string_view name, std::string_view value) override {
    const std::scoped_lock lock{mutex_};
    set(name, value);
    return {};
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    if (before_get) std::exchange(before_get, {})();
    const std::scoped_lock lock{mutex_};
    const auto it = values_.find(name);
    return it == values_.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> remove(std::string_view name) override {
    const std::scoped_lock lock{mutex_};
    values_.erase(std::string{name});
    return {};
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    const std::scoped_lock lock{mutex_};
    std::vector<std::string> out;
    for (auto it = values_.lower_bound(prefix); it != values_.end() && it->first.starts_with(prefix); ++it)
      out.push_back(it->first);
    return out;
  }
  bool durable() const override { return is_durable; }

  Duration lease() const override { return lease_length; }
  Result<std::optional<Versioned>> newest(std::string_view name) override {
    const std::scoped_lock lock{mutex_};
    return get(name).transform([&](auto value) {
      return value ? std::optional{Versioned{*value, revisions_[std::string{name}], written_[std::string{name}]}}
                   : std::nullopt;
    });
  }
  Result<std::optional<std::uint64_t>> put_if(std::string_view name, std::string_view value,
                                              std::uint64_t revision) override {
    if (before_put_if) std::exchange(before_put_if, {})(name);
    const std::scoped_lock lock{mutex_};
    const auto there = newest(name);
    if ((*there ? (*there)->revision : 0) != revision) return std::nullopt;
    if (std::exchange(fails, false)) return fail(Error::Kind::unreachable, "the store does not answer");
    set(name, value);
    if (std::exchange(answer_lost, false)) return fail(Error::Kind::unreachable, "the store does not answer");
    return last_revision_;
  }

  Result<Timestamp> time() override { return now; }

  bool is_durable = true;
  Timestamp now = 0;  // by its own clock
  Duration lease_length = 0;
  bool answer_lost = false;                             // of the next put_if() that succeeds
  bool fails = false;                                   // the next put_if() that would succeed
  std::function<void(std::string_view)> before_put_if;  // called once
  std::function<void()> before_get;                     // called once

 private:
  void set(std::string_view name, std::string_view value) {
    values_[std::string{name}] = value;
    revisions_[std::string{name}] = ++last_revision_;
    written_[std::string{name}] = now;
  }

  std::recursive_mutex mutex_;
  Values& values_;
  std::map<std::string, std::uint64_t> revisions_;  // of what put_if() or put() stored
  std::map<std::string, Timestamp> written_;
  std::uint64_t last_revision_ = 0;
};

}  // namespace weir::fakes
