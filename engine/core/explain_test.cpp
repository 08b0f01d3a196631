#include "core/explain.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir {
namespace {

/// The promises of a pipeline with this source and sink, as `about: what`.
std::vector<std::string> promises(const std::string& source, const std::string& sink) {
  Registry registry;
  register_all(registry);
  const std::string text =
      R"({ "name": "p", "nodes": [ { "id": "in", )" + source + R"( }, { "id": "out", "from": "in", )" + sink + " } ] }";
  const auto checked = check_pipeline(text, "p.json", registry, {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  std::vector<std::string> out;
  for (const Promise& promise : explain(*checked.pipeline, registry))
    out.push_back(promise.about + ": " + promise.what);
  return out;
}

bool promised(const std::vector<std::string>& all, const std::string& one) { return std::ranges::contains(all, one); }

const std::string simulated = R"("source": "simulate", "for": "1s")";
const std::string file = R"("sink": "duckdb", "path": "x.duckdb")";

TEST(Explain, RowsAndPositionInOneTransactionAreExactlyOnce) {
  const auto all = promises(simulated, file);
  EXPECT_TRUE(promised(all, "out: exactly once"));
  EXPECT_TRUE(promised(all, "replay: byte-identical"));
  EXPECT_TRUE(promised(all, "order: per vehicle"));
}

TEST(Explain, ASharedQueueHasNoOrderAndRedelivers) {
  const auto all = promises(
      R"("source": "nats", "subject": "v.{key}.{field}", "stream": "S", "mode": "shared", "durable": "d")", file);
  EXPECT_TRUE(promised(all, "out: at least once"));
  EXPECT_TRUE(promised(all, "order: none"));
  EXPECT_TRUE(promised(all, "replay: not promised"));
}

TEST(Explain, ACoreSubscriptionIsAtMostOnceEvenIntoATransaction) {
  EXPECT_TRUE(promised(promises(R"("source": "nats", "subject": "v.{key}.{field}", "mode": "core")", file),
                       "out: at most once"));
}

TEST(Explain, WhatNothingRemembersIsAtLeastOnce) {
  EXPECT_TRUE(promised(promises(simulated, R"("sink": "stdout")"), "out: at least once"));
  EXPECT_TRUE(promised(promises(simulated, R"("sink": "drop")"), "out: kept nowhere"));
}

}  // namespace
}  // namespace weir
