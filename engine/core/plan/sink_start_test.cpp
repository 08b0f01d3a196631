#include "core/plan/sink_start.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

using enum SinkAction;

struct Row {
  const char* what;
  std::vector<SinkPlace> sinks;
  std::vector<SinkStart> starts;
};

SinkPlace transactional(std::string id, Position position, std::string sinks = "", std::uint32_t resets = 0,
                        std::optional<SinkBegins> begins = {}) {
  return {std::move(id), true, begins, {.place = {.position = position}, .sinks = std::move(sinks), .resets = resets}};
}

SinkPlace other(std::string id, std::optional<SinkBegins> begins = {}) { return {std::move(id), false, begins}; }

SinkStart start(SinkAction action, Position position, std::uint32_t resets = 0) {
  return {action, {.place = {.position = position}, .resets = resets}};
}

class SinkStarts : public testing::TestWithParam<Row> {};

TEST_P(SinkStarts, AreDecidedTogether) { EXPECT_EQ(starts_of(GetParam().sinks), GetParam().starts); }

constexpr auto from_now = SinkBegins::now;
constexpr auto stream = SinkBegins::stream;

INSTANTIATE_TEST_SUITE_P(
    Table, SinkStarts,
    testing::Values(Row{"a first run",
                        {transactional("a", 0), other("n"), transactional("b", 0, "", 0, from_now)},
                        {start(begin_first, 0), start(begin_first, 0), start(begin_first, 0)}},
                    Row{"each from its own place",
                        {transactional("a", 9, "a b n"), transactional("b", 5, "a b n")},
                        {start(resume, 9), start(resume, 5)}},
                    Row{"another output has what the furthest has that names it",
                        {other("n"), transactional("a", 9, "a b n"), transactional("b", 5, "a b n")},
                        {start(resume, 9), start(resume, 9), start(resume, 5)}},
                    Row{"but not what one has that was committed before it was there",
                        {other("n"), transactional("a", 5, "a n"), transactional("b", 9, "b")},
                        {start(resume, 5), start(resume, 5), start(resume, 9)}},
                    Row{"a new one begins at the furthest",
                        {transactional("a", 5, "a b"), transactional("b", 9, "a b"), transactional("c", 0)},
                        {start(resume, 5), start(resume, 9), start(begin_now, 9)}},
                    Row{"also one that keeps no progress",
                        {transactional("a", 9, "a"), other("n")},
                        {start(resume, 9), start(begin_now, 9)}},
                    Row{"unless it says so",
                        {transactional("a", 9, "a"), transactional("c", 0, "", 0, stream), other("n", stream)},
                        {start(resume, 9), start(begin_first, 0), start(begin_first, 0)}},
                    Row{"what is known begins where it is, whatever it says",
                        {transactional("a", 9, "a n"), other("n", stream)},
                        {start(resume, 9), start(resume, 9)}},
                    Row{"one that the others waited for begins where it would have",
                        {transactional("a", 9, "a b? n?"), transactional("b", 0), other("n")},
                        {start(resume, 9), start(begin_first, 0), start(begin_first, 0)}},
                    Row{"what the second to commit says counts",
                        {transactional("a", 9, "a b?"), transactional("c", 9, "a b c"), transactional("b", 0)},
                        {start(resume, 9), start(resume, 9), start(lost, 0)}},
                    Row{"one whose progress is gone is lost",
                        {transactional("a", 9, "a b"), transactional("b", 0)},
                        {start(resume, 9), start(lost, 0)}},
                    Row{"also if it says where to begin",
                        {transactional("a", 9, "a b"), transactional("b", 0, "", 0, stream)},
                        {start(resume, 9), start(lost, 0)}},
                    Row{"unless it was reset",
                        {transactional("a", 9, "a b n"), transactional("b", 0, "", 1), other("n")},
                        {start(resume, 9), start(begin_first, 0), start(resume, 9)}},
                    Row{"which may begin now",
                        {transactional("a", 9, "a b"), transactional("b", 0, "", 1, from_now)},
                        {start(resume, 9), start(begin_now, 9)}},
                    Row{"resets count where all were",
                        {transactional("a", 0, "", 2), transactional("b", 0, "", 1), other("n")},
                        {start(begin_first, 0, 1), start(begin_first, 0, 1), start(begin_first, 0, 1)}},
                    Row{"not those that a new sink never had",
                        {transactional("a", 9, "a", 2), transactional("b", 0)},
                        {start(resume, 9, 2), start(begin_now, 9, 2)}}),
    [](const auto& row) { return std::to_string(row.index); });

TEST(RenamedSinks, AreRefusedUnlessTheySayIt) {
  Pipeline pipeline;
  pipeline.name = "p";
  pipeline.nodes.resize(2);
  pipeline.nodes[0].id = "out";
  pipeline.nodes[1].id = "other";
  const auto problem = [&](bool has_progress, std::vector<Peer> peers) {
    return rename_problem(pipeline, {pipeline.nodes[0], has_progress, std::move(peers)});
  };
  EXPECT_EQ(problem(false, {}), "");
  EXPECT_TRUE(problem(false, {{"p", "db", true}}).contains(R"("renamed_from": "db")"));
  EXPECT_EQ(problem(false, {{"p", "db", false}}), "") << "it writes another table";
  EXPECT_EQ(problem(false, {{"p", "other", true}}), "") << "it is not gone";
  EXPECT_EQ(problem(false, {{"q", "db", true}}), "") << "another pipeline's";
  EXPECT_EQ(problem(true, {{"p", "db", true}}), "") << "it is not new";
  pipeline.nodes[0].renamed_from = "db";
  EXPECT_EQ(problem(true, {}), "");
  EXPECT_TRUE(problem(true, {{"p", "out", true}}).contains("has, too")) << "both have progress";
  EXPECT_TRUE(problem(false, {{"p", "out", true}}).contains("has none"));
  EXPECT_TRUE(problem(false, {{"p", "first", true}}).contains(R"("renamed_from": "first")")) << "renamed twice";
  pipeline.nodes[0].renamed_from.clear();
  pipeline.nodes[1].renamed_from = "db";
  EXPECT_EQ(problem(false, {{"p", "db", true}}), "") << "another node has that";
  pipeline.renamed_from = "q";
  EXPECT_EQ(problem(true, {}), "");
  EXPECT_TRUE(problem(true, {{"p", "out", true}}).contains("has, too")) << "both names have progress";
}

TEST(SinkMentions, AreFoundAsTheyWereAdded) {
  std::string sinks;
  EXPECT_EQ(mention_of("db", sinks), SinkMention::none);
  add_mention("db2", true, sinks);
  add_mention("nats", false, sinks);
  EXPECT_EQ(sinks, "db2 nats?");
  EXPECT_EQ(mention_of("db2", sinks), SinkMention::known);
  EXPECT_EQ(mention_of("nats", sinks), SinkMention::awaited);
  EXPECT_EQ(mention_of("db", sinks), SinkMention::none);
}

}  // namespace
}  // namespace weir
