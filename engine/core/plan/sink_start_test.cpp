#include "core/plan/sink_start.hpp"

#include <gtest/gtest.h>

#include <ranges>
#include <regex>

#include <weir/format.hpp>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

/// A sink as a line of the data file, which explains it.
SinkPlace place_of(const std::string& line) {
  static const std::regex form{R"((\w+)(?: at (\d+))?(?: of ([^,]*))?(?:, (\d+) resets)?(?:, from (\w+))?)"};
  std::smatch found;
  EXPECT_TRUE(std::regex_match(line, found, form)) << line;
  SinkPlace out{.id = found[1], .keeps = found[2].matched};
  if (found[2].matched) out.kept.place.position = std::stoull(found[2]);
  out.kept.sinks = found[3];
  if (found[4].matched) out.kept.resets = static_cast<std::uint32_t>(std::stoul(found[4]));
  if (found[5].matched) out.begins = found[5] == "stream" ? SinkBegins::stream : SinkBegins::now;
  return out;
}

std::string starts(const text_tests::Input& in) {
  static constexpr const char* actions[] = {"resume", "begin_now", "begin_first", "lost"};
  std::vector<SinkPlace> sinks;
  for (const auto& line : std::views::split(in.text(), '\n')) sinks.push_back(place_of({line.begin(), line.end()}));
  std::string out;
  for (const SinkStart& start : starts_of(sinks)) {
    out += weir::format("{} at {}", actions[static_cast<std::size_t>(start.action)], start.at.place.position);
    out += start.at.resets == 0 ? "\n" : weir::format(", {} resets\n", start.at.resets);
  }
  return out;
}

const bool sink_start_tests = text_tests::add("engine/core/plan/sink_start_test.txt", {{"starts", starts}});

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
