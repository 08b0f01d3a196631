/// A pipeline's lane without threads and servers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/format.hpp>

#include "core/runtime/chain.hpp"
#include "fakes/registry.hpp"

namespace weir::conformance {

constexpr Timestamp now = 1'800'000'000 * second;  // 2027

inline std::shared_ptr<const Pipeline> checked(const std::string& text) {
  auto checked = check_pipeline(text, "test.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return std::make_shared<const Pipeline>(std::move(checked.pipeline).value());
}

/// A lane without threads and servers: messages in, rows and dead letters out.
class Lane {
 public:
  /// `nodes` stand behind the source "signals"; `limits` are members of the pipeline's limits.
  Lane(const std::string& encoding, const std::string& nodes, const std::string& limits)
      : pipeline_{checked(weir::format(
            R"({{ "name": "bad", "limits": {{ {} }}, "nodes": [ {{ "id": "signals", "source": "nats", "encoding": "{}" }}, {} ] }})",
            limits, encoding, nodes))},
        chain_{*pipeline_, fakes::registry(), counters, system_clock(), 0} {
    EXPECT_TRUE(chain_.start(0));
  }
  explicit Lane(const std::string& encoding)
      : Lane{encoding, R"({ "id": "out", "sink": "drop", "from": "signals" })", R"("keys": 1000)"} {}

  /// One pull's worth of messages of key "v" and field "f", all of one arrival (default: in 2027); later ones do what
  /// is due before.
  ChainOutput feed(const std::vector<std::string>& payloads, Timestamp arrival = now) {
    auto messages = std::make_shared<Messages>();
    for (const std::string& payload : payloads) {
      messages->items.push_back({.subject = "vehicle.v.f",
                                 .payload = payload,
                                 .sequence = ++sequence_,
                                 .arrival = arrival,
                                 .key = "v",
                                 .field = "f"});
    }
    return feed(std::move(messages));
  }
  ChainOutput feed(std::shared_ptr<const Messages> messages) {
    ChainOutput out;
    const auto done = chain_.step(chain_.decode(std::move(messages)), false, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
  }
  Chain& chain() { return chain_; }

  /// "reason count" of what a node refused, in order of first appearance.
  std::vector<std::string> refused(std::string_view node) const {
    std::vector<std::string> out;
    for (const auto& line : counters.lines()) {
      if (line.node == node && line.name == "invalid") out.push_back(weir::format("{} {}", line.reason, line.value));
    }
    return out;
  }

  Counters counters;

 private:
  std::shared_ptr<const Pipeline> pipeline_;
  Chain chain_;
  Position sequence_ = 0;
};

inline std::size_t rows_of(const ChainOutput& out) {
  std::size_t rows = 0;
  for (const auto& part : out.batches) rows += part.batch->rows;
  return rows;
}

}  // namespace weir::conformance
