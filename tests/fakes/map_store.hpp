/// A durable store whose values are a plain variable, which may outlive it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <weir/store.hpp>

namespace weir::fakes {

class MapStore : public Store {
 public:
  using Values = std::map<std::string, std::string, std::less<>>;
  explicit MapStore(Values& values) : values_{values} {}

  Result<void> open() override { return {}; }
  Result<void> put(std::string_view name, std::string_view value) override {
    values_[std::string{name}] = value;
    return {};
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    const auto it = values_.find(name);
    return it == values_.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> remove(std::string_view name) override {
    values_.erase(std::string{name});
    return {};
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    std::vector<std::string> out;
    for (auto it = values_.lower_bound(prefix); it != values_.end() && it->first.starts_with(prefix); ++it)
      out.push_back(it->first);
    return out;
  }
  bool durable() const override { return is_durable; }

  bool is_durable = true;

 private:
  Values& values_;
};

}  // namespace weir::fakes
