/// A context whose counters and warnings a test can look at, from whatever thread they come.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <weir/context.hpp>

namespace weir::fakes {

/// Threads   as Context says; real time.
class CountingContext : public Context {
 public:
  explicit CountingContext(std::string node, Partition partition = 0, const Codec* codec = nullptr)
      : node_{std::move(node)}, partition_{partition}, codec_{codec} {}

  std::string_view pipeline() const override { return "fleet"; }
  std::string_view node() const override { return node_; }
  Partition partition() const override { return partition_; }
  std::uint32_t key_limit() const override { return keys_->limit(); }
  Duration forget() const override { return minute; }
  const std::shared_ptr<Dictionary>& keys() const override { return keys_; }
  const std::shared_ptr<Dictionary>& fields() const override { return fields_; }
  const std::vector<ProjectedField>& projection() const override { return projection_; }
  const Clock& clock() const override { return system_clock(); }
  const Codec* codec(std::string_view) const override { return codec_; }
  std::size_t counter(std::string_view name) const override {
    const std::scoped_lock lock{mutex_};
    return numbers_.try_emplace(std::string{name}, numbers_.size()).first->second;
  }
  void count(std::size_t counter, std::uint64_t n) override {
    const std::scoped_lock lock{mutex_};
    counts_[counter] += n;
  }
  void warn(std::string_view message) override {
    const std::scoped_lock lock{mutex_};
    warnings_.emplace_back(message);
  }
  void tell(std::string_view message) override {
    const std::scoped_lock lock{mutex_};
    told_.emplace_back(message);
  }

  std::uint64_t counted(std::string_view name) const {
    const std::size_t number = counter(name);
    const std::scoped_lock lock{mutex_};
    const auto it = counts_.find(number);
    return it == counts_.end() ? 0 : it->second;
  }
  std::vector<std::string> warnings() const {
    const std::scoped_lock lock{mutex_};
    return warnings_;
  }
  std::vector<std::string> told() const {
    const std::scoped_lock lock{mutex_};
    return told_;
  }

 private:
  std::string node_;
  Partition partition_;
  const Codec* codec_;
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(1u << 20);
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>(4096);
  std::vector<ProjectedField> projection_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::size_t> numbers_;
  std::map<std::size_t, std::uint64_t> counts_;
  std::vector<std::string> warnings_, told_;
};

}  // namespace weir::fakes
