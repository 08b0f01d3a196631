#include "clients/nats_subject.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <weir/partition.hpp>

namespace weir::nats {
namespace {

SubjectPattern pattern(std::string_view text) { return SubjectPattern::parse(text).value(); }

/// "key/field" of a match, "-" of none.
std::string taken_apart(std::string_view text, std::string_view subject) {
  std::string_view key;
  std::string_view field;
  if (!pattern(text).match(subject, key, field)) return "-";
  return std::string{key} + "/" + std::string{field};
}

TEST(NatsSubject, takesSubjectsApart) {
  EXPECT_EQ(taken_apart("vehicle.{key}.{field}", "vehicle.7.speed"), "7/speed");
  EXPECT_EQ(taken_apart("vehicle.{key}.{field}", "vehicle.7"), "-");
  EXPECT_EQ(taken_apart("vehicle.{key}.{field}", "vehicle.7.speed.x"), "-");
  EXPECT_EQ(taken_apart("vehicle.{key}.{field}", "car.7.speed"), "-");
  EXPECT_EQ(taken_apart("vehicle.{key}", "vehicle.7"), "7/");
  EXPECT_EQ(taken_apart("vehicle.{key}.>", "vehicle.7"), "-");
  EXPECT_EQ(taken_apart("vehicle.{key}.>", "vehicle.7.a.b"), "7/");
  EXPECT_EQ(taken_apart("{field}.*.{key}", "speed.eu.7"), "7/speed");
  EXPECT_EQ(taken_apart(">", "anything.at.all"), "/");
  EXPECT_EQ(taken_apart("vehicle.{key}", ""), "-");
}

TEST(NatsSubject, saysWhatNatsUnderstands) {
  EXPECT_EQ(pattern("vehicle.{key}.{field}").filter(), "vehicle.*.*");
  EXPECT_EQ(pattern("vehicle.{key}.>").filter(), "vehicle.*.>");
  EXPECT_EQ(pattern(">").filter(), ">");
  EXPECT_FALSE(pattern("vehicle.{key}.{field}").has_wildcard());
  EXPECT_TRUE(pattern("vehicle.*.{field}").has_wildcard());
  EXPECT_TRUE(pattern("vehicle.{key}.>").has_wildcard());
}

TEST(NatsSubject, sayWhereTheyAreWrong) {
  for (const auto& [text, offset] : std::vector<std::pair<std::string, std::size_t>>{
           {"", 0}, {"a..b", 2}, {"a.>.b", 4}, {"a.{key}.{key}", 8}, {"a.{name}", 2}, {"a.b c", 2}, {"a.", 2}}) {
    const auto parsed = SubjectPattern::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().offset, offset) << parsed.error().message;
    EXPECT_EQ(parsed.error().setting, "subject");
  }
}

TEST(NatsSubject, putsKeysIn) {
  EXPECT_EQ(pattern("vehicle.{key}.{field}").expand("7", "speed"), "vehicle.7.speed");
  EXPECT_EQ(pattern("vehicle.{key}").expand("7", "no token"), "vehicle.7");
  EXPECT_EQ(pattern("vehicle.{key}").expand("", ""), "");
  for (const char* key : {"a.b", "a b", "*", ">", "a\n"})
    EXPECT_EQ(pattern("vehicle.{key}").expand(key, ""), "") << key;
}

/// "from > to" of the mapping that feeds 16 partitions, or why there is none.
std::string mapped(std::string_view text) {
  const auto mapping = pattern(text).mapping(16);
  return mapping ? mapping->from + " > " + mapping->to : mapping.error().message;
}

TEST(NatsSubject, tellsTheMappingThatFeedsPartitions) {
  const std::string vehicle = "vehicle.*.> > p.{{partition(16,1)}}.vehicle.{{wildcard(1)}}.>";
  EXPECT_EQ(mapped("vehicle.{key}.{field}"), vehicle);
  EXPECT_EQ(mapped("vehicle.{key}.telemetry"), vehicle);
  EXPECT_EQ(mapped("vehicle.{key}.>"), vehicle);
  EXPECT_EQ(mapped("vehicle.{key}"), "vehicle.* > p.{{partition(16,1)}}.vehicle.{{wildcard(1)}}");
  EXPECT_EQ(mapped("eu.{field}.*.x.{key}.y"),
            "eu.*.*.x.*.> > p.{{partition(16,3)}}.eu.{{wildcard(1)}}.{{wildcard(2)}}.x.{{wildcard(3)}}.>");
}

TEST(NatsSubject, saysWhyItCanNotBeMapped) {
  EXPECT_NE(mapped("vehicle.>").find("has no {key}"), std::string::npos) << mapped("vehicle.>");
  for (const char* text : {"{key}.speed", "*.{key}", "{field}.{key}", "p.{key}", "$JS.{key}", "_INBOX.{key}"})
    EXPECT_NE(mapped(text).find("would catch subjects"), std::string::npos) << mapped(text);
  for (const char* text : {"vehicle.>", "{key}.speed"})
    EXPECT_NE(mapped(text).find("pipelines/route.json"), std::string::npos) << mapped(text);
}

TEST(NatsSubject, coversWhatItMatches) {
  EXPECT_TRUE(covers("vehicle.>", "vehicle.*.*"));
  EXPECT_TRUE(covers("vehicle.*.*", "vehicle.*.speed"));
  EXPECT_TRUE(covers("a.b", "a.b"));
  EXPECT_TRUE(covers(">", "a"));
  EXPECT_FALSE(covers("vehicle.*", "vehicle.*.*"));
  EXPECT_FALSE(covers("vehicle.*.*", "vehicle.*.>"));
  EXPECT_FALSE(covers("vehicle.*.speed", "vehicle.*.*"));
  EXPECT_FALSE(covers("a.b.c", "a.b"));
}

TEST(Partition, isFnv1aModuloN) {
  EXPECT_EQ(partition_of("", 1u << 31), 2166136261u % (1u << 31));
  EXPECT_EQ(partition_of("a", 0xffffffffu), 0xe40c292cu);
  EXPECT_EQ(partition_of("foobar", 0xffffffffu), 0xbf9cf968u);
  EXPECT_EQ(partition_of("anything", 1), 0u);
}

// The firmware and nats-server are tested with the same lines.
TEST(Partition, agreesWithTheVectors) {
  std::ifstream in{WEIR_SOURCE_DIR "/schemas/partition_vectors.txt"};
  std::string line, key;
  std::uint32_t partitions = 0, partition = 0, lines = 0;
  while (std::getline(in, line)) {
    if (line.starts_with('#')) continue;
    ASSERT_TRUE(std::istringstream{line} >> key >> partitions >> partition) << line;
    EXPECT_EQ(partition_of(key, partitions), partition) << line;
    ++lines;
  }
  EXPECT_GT(lines, 90u);
}

}  // namespace
}  // namespace weir::nats
