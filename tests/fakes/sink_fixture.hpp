/// What a sink needs around it in a test: a context, settings, rows.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <weir/operator.hpp>

namespace weir::fakes {

/// Threads   as Context says.
class SinkContext final : public Context {
 public:
  std::string_view pipeline() const override { return "fleet"; }
  std::string_view node() const override { return "db"; }
  Partition partition() const override { return 0; }
  std::uint32_t key_limit() const override { return 1u << 20; }
  Duration forget() const override { return minute; }
  const std::shared_ptr<Dictionary>& keys() const override { return keys_; }
  const std::shared_ptr<Dictionary>& fields() const override { return fields_; }
  const std::vector<FieldDemand>& demand() const override { return demand_; }
  const Clock& clock() const override { return system_clock(); }
  const Codec* codec(std::string_view) const override { return nullptr; }
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

 private:
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>();
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>();
  std::vector<FieldDemand> demand_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::size_t> numbers_;
  std::map<std::size_t, std::uint64_t> counts_;
  std::vector<std::string> warnings_;
};

/// Rows (key, tick, then float64 columns of these names): row i is of vehicle "v<i % vehicles>", at second i of 2026,
/// and column c holds i + c/8.
inline std::shared_ptr<Batch> make_rows(const std::shared_ptr<Dictionary>& keys, const std::vector<std::string>& names,
                                        std::size_t count, std::size_t first = 0, std::size_t vehicles = 7) {
  constexpr Timestamp start = 1'767'225'600 * second;
  Schema schema{Shape::rows, {{"key", Type::dictionary}, {"tick", Type::timestamp}}};
  for (const std::string& name : names) schema.columns.push_back({name, Type::float64});
  auto batch = std::make_shared<Batch>();
  batch->rows = count;
  Ids ids{{}, keys};
  std::vector<Timestamp> ticks;
  std::vector<std::vector<double>> values(names.size());
  for (std::size_t i = first; i < first + count; ++i) {
    ids.ids.push_back(*keys->intern("v" + std::to_string(i % vehicles)));
    ticks.push_back(start + static_cast<Timestamp>(i) * second);
    for (std::size_t c = 0; c < names.size(); ++c)
      values[c].push_back(static_cast<double>(i) + static_cast<double>(c) / 8);
  }
  batch->arrival = ticks;
  batch->columns.push_back(Column::dictionary(std::move(ids)));
  batch->columns.push_back(Column::timestamp(std::move(ticks)));
  for (auto& column : values) batch->columns.push_back(Column::float64(std::move(column)));
  batch->schema = std::make_shared<const Schema>(std::move(schema));
  return batch;
}

/// A batch as the engine hands it to write().
inline Encoded encode(const Sink& sink, const BatchPtr& batch, Partition partition, Position last) {
  Encoded out = sink.encode(batch);
  out.partition = partition;
  out.last = last;
  return out;
}

inline LaneCommit lane(Partition partition, Position position) {
  return {partition,
          {.position = position,
           .arrival = static_cast<Timestamp>(position) + 1,
           .snapshot = "s",
           .fingerprint = "f",
           .stream = {"S", 5}}};
}

}  // namespace weir::fakes
