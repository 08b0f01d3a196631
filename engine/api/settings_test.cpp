#include <weir/settings.hpp>

#include <gtest/gtest.h>

#include <weir/spec.hpp>

namespace weir {
namespace {

TEST(Settings, GivesBackWhatWasSet) {
  Settings inner{"inner"};
  inner.set("field", std::string{"power"});
  Settings settings{"rows"};
  settings.set("every", Setting{std::int64_t{second}});
  settings.set("rate", 2.5);
  settings.set("on", true);
  settings.set("fields", std::vector<std::string>{"a", "b"});
  settings.set("session", std::make_shared<const Settings>(inner));
  settings.set("left_out", std::monostate{});
  EXPECT_EQ(settings.id(), "rows");
  EXPECT_EQ(settings.duration("every"), second);
  EXPECT_EQ(settings.size("every"), 1'000'000'000U);
  EXPECT_EQ(settings.number("every"), 1e9) << "a whole number will do where a number is asked for";
  EXPECT_EQ(settings.number("rate"), 2.5);
  EXPECT_TRUE(settings.boolean("on"));
  EXPECT_EQ(settings.list("fields").size(), 2U);
  EXPECT_EQ(settings.object("session").text("field"), "power");
  EXPECT_FALSE(settings.has("left_out"));
  EXPECT_FALSE(settings.has("unknown"));
  EXPECT_TRUE(settings.has("rate"));
}

TEST(Settings, ALaterValueReplacesAnEarlierInItsPlace) {
  Settings settings;
  settings.set("a", std::int64_t{1});
  settings.set("b", std::int64_t{2});
  settings.set("a", std::int64_t{3});
  ASSERT_EQ(settings.entries().size(), 2U);
  EXPECT_EQ(settings.entries()[0].first, "a");
  EXPECT_EQ(settings.integer("a"), 3);
}

TEST(Settings, AskingForAnUndeclaredOneNamesIt) {
  const auto said = [](const Settings& settings) -> std::string {
    try {
      return settings.text("url");
    } catch (const std::logic_error& problem) {
      return problem.what();
    }
  };
  Settings settings{"db", "sink \"timescale\""};
  EXPECT_EQ(said(settings),
            "sink \"timescale\" asks for its setting \"url\" as a text, but there is none: its Spec does not declare "
            "it, or it was left out");
  settings.set("url", true);
  EXPECT_EQ(said(settings),
            "sink \"timescale\" asks for its setting \"url\" as a text, but its Spec declares another kind");
  EXPECT_TRUE(said(Settings{"db"}).starts_with("node \"db\" asks for its setting \"url\""));
}

TEST(Spec, ChainedCallsDescribeTheSettings) {
  const Spec spec = Spec::transform("does")
                        .field("where", kind::expression(), "what")
                        .field("every", kind::duration(), "how often", "1s")
                        .between(1e7, 3.6e12)
                        .optional("mode", kind::choice({"a", "b"}), "which")
                        .port("late", "too late")
                        .counter("late", "too late")
                        .details("one")
                        .details("two")
                        .keyed_state();
  EXPECT_EQ(spec.role, Role::transform);
  ASSERT_EQ(spec.fields.size(), 3U);
  EXPECT_TRUE(spec.fields[0].required);
  EXPECT_FALSE(spec.fields[1].required);
  EXPECT_EQ(spec.fields[1].fallback, "1s");
  EXPECT_EQ(spec.fields[1].least, 1e7);
  EXPECT_FALSE(spec.fields[0].least);
  EXPECT_FALSE(spec.fields[2].required);
  EXPECT_EQ(spec.fields[2].kind.choices.size(), 2U);
  EXPECT_EQ(spec.paragraph, "one\n\ntwo");
  EXPECT_TRUE(spec.bounded_by_keys);
  EXPECT_FALSE(spec.whole_keys);
}

}  // namespace
}  // namespace weir
