/// Rows of several nodes: one order whatever the parts of a step, and no part larger than there is room for.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <weir/json_rows.hpp>

#include "conformance/lane.hpp"

namespace weir::conformance {
namespace {

constexpr int vehicles = 40, ticks = 60;
constexpr std::size_t columns = 10;  // of a row of brackets of two fields

/// A minute of two fields of each vehicle, all of it due at once at the next message.
std::vector<std::shared_ptr<const Messages>> a_burst(std::vector<std::string>& texts) {
  auto burst = std::make_shared<Messages>();
  const auto add = [&](Messages& to, std::string subject, const std::string& key, const std::string& field,
                       Timestamp time, Timestamp arrival) {
    texts.push_back(std::move(subject));
    const std::string_view name = texts.back();
    texts.push_back(key);
    const std::string_view owner = texts.back();
    texts.push_back(field);
    const std::string_view of = texts.back();
    texts.push_back(weir::format(R"({{"time":{},"value":{}}})", time, time / second % 100));
    to.items.push_back({.subject = name,
                        .payload = texts.back(),
                        .sequence = static_cast<Position>(texts.size()),
                        .arrival = arrival,
                        .key = owner,
                        .field = of});
  };
  for (int tick = 0; tick <= ticks; ++tick) {
    for (int v = 0; v < vehicles; ++v) {
      const std::string key = weir::format("v{}", v);
      for (const char* field : {"speed", "charge"})
        add(*burst, weir::format("vehicle.{}.{}", key, field), key, field, now + tick * second + 1 + v,
            now + 62 * second);
    }
  }
  auto later = std::make_shared<Messages>();
  add(*later, "vehicle.other.speed", "other", "speed", now + 200 * second, now + 200 * second);
  return {burst, later};
}

struct Given {
  std::vector<std::string> rows;
  std::size_t most = 0;  ///< rows of a part
};

Given given(std::size_t part_cells) {
  const auto pipeline = checked(R"({ "name": "union", "limits": { "keys": 100 }, "nodes": [
    { "id": "signals", "source": "nats", "encoding": "json" },
    { "id": "first", "transform": "window-join", "from": "signals", "every": "1s", "wait": "5s", "fields": ["speed", "charge"] },
    { "id": "second", "transform": "window-join", "from": "signals", "every": "1s", "wait": "5s", "fields": ["speed", "charge"] },
    { "id": "passed", "transform": "filter", "from": "second", "where": "true" },
    { "id": "all", "sink": "drop", "from": ["first", "passed"], "columns": { "speed": {}, "charge": {} } } ] })");
  Counters counters;
  Chain chain{*pipeline, fakes::registry(), counters, system_clock(), 0, 1, part_cells};
  EXPECT_TRUE(chain.start(0));
  std::vector<std::string> texts;
  texts.reserve(4 * 2 * vehicles * (ticks + 1) + 4);
  Given out;
  for (const auto& messages : a_burst(texts)) {
    const Decoded decoded = chain.decode(messages);
    ChainOutput part;
    EXPECT_TRUE(chain.step(decoded, false, part));
    for (bool more = true; more;) {
      out.most = std::max(out.most, rows_of(part));
      for (const SinkBatch& rows : part.batches) {
        for (std::size_t row = 0; row < rows.batch->rows; ++row)
          json::append_row(*rows.batch, row, out.rows.emplace_back());
      }
      more = part.more;
      if (!more) break;
      part = {};
      EXPECT_TRUE(chain.go_on(part));
    }
  }
  return out;
}

TEST(Union, OfTwoThatMakeMoreThanThereIsRoomForComesInParts) {
  const Given whole = given(SIZE_MAX);
  ASSERT_EQ(whole.rows.size(), 2u * vehicles * ticks);
  for (const std::size_t room : {1, 7, 100}) {
    const Given parts = given(room * columns);
    EXPECT_EQ(parts.rows, whole.rows) << room;
    EXPECT_LE(parts.most, 2 * room + 2 * vehicles) << "rows that wait for the other input, and those of one instant";
  }
}

}  // namespace
}  // namespace weir::conformance
