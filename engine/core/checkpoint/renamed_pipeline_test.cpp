#include "core/checkpoint/renamed_pipeline.hpp"

#include <gtest/gtest.h>

#include <weir/format.hpp>

#include "core/checkpoint/snapshot.hpp"
#include "fakes/map_store.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

Pipeline pipeline(const std::string& name, const std::string& every = "1s", const std::string& more = "") {
  auto checked = check_pipeline(weir::format(R"({{ "name": "{}", {} "limits": {{ "keys": 9 }}, "nodes": [
{{ "id": "in", "source": "nats", "stream": "S" }},
{{ "id": "rows", "transform": "window-join", "from": "in", "every": "{}" }},
{{ "id": "out", "sink": "stdout", "from": "rows", "columns": {{ "speed": {{}} }} }} ] }})",
                                             name, more, every),
                                "p.json", fakes::registry(), {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return std::move(*checked.pipeline);
}

class RenamedPipeline : public testing::Test {
 protected:
  /// Leaves what a worker of the pipeline would.
  void keep(const Pipeline& of, Partition partition, const char* sinks = "out") {
    Snapshots snapshots{store_, of.kept_name()};
    const auto name =
        snapshots.write(partition, "w", {{.place = {.position = 40}, .fingerprint = of.fingerprint}, "state"});
    ASSERT_TRUE(name && snapshots.remember(partition, {*name, sinks}));
  }
  std::string refusal(const Pipeline& of) {
    const auto checked = check_renamed(of, store_);
    if (checked) return "";
    EXPECT_EQ(checked.error().kind, Error::Kind::invalid);
    return checked.error().message;
  }

  fakes::MapStore::Values values_;
  fakes::MapStore store_{values_};
};

TEST_F(RenamedPipeline, IsRefusedUnlessItSaysSo) {
  EXPECT_EQ(refusal(pipeline("trip")), "") << "there is nothing yet";
  keep(pipeline("fleet"), 3);
  EXPECT_TRUE(refusal(pipeline("trip")).contains(R"(write "renamed_from": "fleet" beside "name")"))
      << refusal(pipeline("trip"));
  EXPECT_EQ(refusal(pipeline("fleet")), "");
  EXPECT_EQ(refusal(pipeline("trip", "1s", R"("renamed_from": "fleet",)")), "");
  EXPECT_EQ(refusal(pipeline("trip", "2s")), "") << "another pipeline";
}

TEST_F(RenamedPipeline, IsNotTakenForOneOfOtherSinks) {
  keep(pipeline("fleet"), 3, "db");
  EXPECT_EQ(refusal(pipeline("trip")), "");
}

TEST_F(RenamedPipeline, WithStateUnderBothNamesIsRefused) {
  keep(pipeline("fleet"), 0);
  keep(pipeline("trip", "2s"), 0);
  EXPECT_TRUE(refusal(pipeline("trip", "1s", R"("renamed_from": "fleet",)")).contains("take out \"renamed_from\""));
  EXPECT_EQ(refusal(pipeline("trip", "2s")), "");
}

TEST_F(RenamedPipeline, ThatWasResetBeginsAnewOnPurpose) {
  keep(pipeline("fleet"), 0);
  keep(pipeline("trip", "2s"), 0);
  ASSERT_TRUE(Snapshots(store_, "trip").forget(0));
  EXPECT_EQ(refusal(pipeline("trip")), "");
}

TEST_F(RenamedPipeline, WhatIsDamagedTellsNothing) {
  keep(pipeline("fleet"), 0);
  std::erase_if(values_, [](const auto& value) { return value.first.ends_with("/manifest"); });
  EXPECT_EQ(refusal(pipeline("trip")), "");
}

}  // namespace
}  // namespace weir
