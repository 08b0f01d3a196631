#include "console/progress_json.hpp"

#include <gmock/gmock.h>

namespace weir {
namespace {

using testing::ElementsAre;

TEST(ProgressJson, WhatAWorkerServesIsReadAgain) {
  Ledgers::Answers answers;
  answers.kept.push_back({"db",
                          {{.partition = 3,
                            .progress = {.place = {.position = 9}, .snapshot = "p.3.0.7-f"},
                            .owner = "vm-1",
                            .lease_left = 2 * second}}});
  answers.unanswered = {"file: is open in another process"};
  const auto read = read_progress(progress_json(answers));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->kept.size(), 1u);
  EXPECT_EQ(read->kept[0].node, "db");
  ASSERT_EQ(read->kept[0].lines.size(), 1u);
  const ProgressLine& line = read->kept[0].lines[0];
  EXPECT_EQ(line.partition, 3u);
  EXPECT_EQ(line.owner, "vm-1");
  EXPECT_EQ(line.progress.place.position, 9u);
  EXPECT_EQ(line.progress.snapshot, "p.3.0.7-f");
  EXPECT_THAT(read->unanswered, ElementsAre("file: is open in another process")) << "or the others pass for all";
}

TEST(ProgressJson, ALagOfSomeSinksSaysWhichDidNotAnswer) {
  Pipeline pipeline;
  pipeline.name = "fleet";
  Lag lag;
  lag.messages = 5;
  lag.unanswered = {"db2: no answer"};
  const auto read = read_lag(lag_json(pipeline, lag));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->pipeline, "fleet");
  EXPECT_EQ(read->lag.messages, 5u);
  EXPECT_THAT(read->lag.unanswered, ElementsAre("db2: no answer"));
}

TEST(ProgressJson, WhatIsSomethingElseIsSaidToBe) {
  EXPECT_EQ(read_progress("{}").error().kind, Error::Kind::changed);
  EXPECT_EQ(read_progress("[1]").error().kind, Error::Kind::changed);
  EXPECT_EQ(read_lag("[]").error().kind, Error::Kind::changed);
}

}  // namespace
}  // namespace weir
