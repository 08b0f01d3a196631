#include "core/testing/case_feed.hpp"

#include <gtest/gtest.h>

#include "fakes/recording_fixture.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

using fakes::said;

class RecordedMessages : public fakes::RecordingFixture {
 protected:
  Result<std::vector<CaseMessage>> recorded() const { return recorded_messages(path_, no_time, end_of_time); }
};

TEST_F(RecordedMessages, AreThoseThatWereReceivedWithTheirHeaders) {
  auto first = said(1, 1 * second, "a", "xy");
  first.headers = {{"Unit", "km/h"}, {"Unit", "mph"}};
  record({first, said(2, 2 * second, "b", "z")});
  const auto messages = recorded();
  ASSERT_TRUE(messages) << messages.error().message;
  ASSERT_EQ(messages->size(), 2U);
  EXPECT_EQ(messages->at(0).subject, "vehicle.a.speed");
  EXPECT_EQ(messages->at(0).headers, first.headers);
  EXPECT_TRUE(messages->at(1).headers.empty());

  const std::vector<Arrival> arrivals{{.at = second, .message = &messages->at(0)},
                                      {.at = second, .message = &messages->at(1)}};
  Node source;
  source.op = fakes::registry().find(Role::source, "recording");
  const auto given = messages_of(arrivals, 0, source);
  EXPECT_EQ(said_by(*given)[0].headers, first.headers) << "as in a run";
  EXPECT_TRUE(given->items[1].headers.empty());
}

TEST_F(RecordedMessages, OfWhichACommitIsTornAreNone) {
  record({said(1, 1 * second, "a", "xy")});
  const std::string before = bytes();
  record({said(2, 2 * second, "a", "xy")});
  ASSERT_EQ(recorded()->size(), 2U);
  const std::string whole = bytes();
  std::string torn = whole;
  torn[torn.size() - 1] ^= 1;
  write(torn);
  ASSERT_TRUE(recording::Reader::open(path_)->cut());
  ASSERT_FALSE(recorded());
  EXPECT_EQ(recorded().error().kind, Error::Kind::changed);
  EXPECT_TRUE(recorded().error().message.contains("its last commit is not whole")) << recorded().error().message;
  write(before);
  EXPECT_EQ(recorded()->size(), 1U);
}

}  // namespace
}  // namespace weir
