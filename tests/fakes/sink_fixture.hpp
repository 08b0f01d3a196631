/// What a sink needs around it in a test: a context, settings, rows.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weir/operator.hpp>

#include "fakes/counting_context.hpp"

namespace weir::fakes {

class SinkContext final : public CountingContext {
 public:
  SinkContext() : CountingContext{"db"} {}
  std::string_view worker() const override { return name; }

  std::string name;  ///< of the worker; empty: one of its own
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
          {.place = {.position = position,
                     .arrival = static_cast<Timestamp>(position) + 1,
                     .stamp = static_cast<Timestamp>(position) + 2,
                     .consumed = position + 3},
           .snapshot = "s",
           .fingerprint = "f",
           .stream = {"S", 5},
           .sinks = "db nats"}};
}

}  // namespace weir::fakes
